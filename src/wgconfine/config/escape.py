"""Foreign text on its way to a terminal, the journal or a message: invariants 8 and 14.

Imports nothing.
"""

from __future__ import annotations

__all__ = ["HIDDEN", "escape", "holds_key", "quote"]

HIDDEN = "(hidden)"
"""What stands where a secret would: `wg show` uses the same words."""

_KEY_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_KEY_RUN = 40  # a WireGuard key is 43 such characters and '='; a few may be lost on the clipboard
_SPLITTERS = frozenset(" \"'`,;\\")
"""What may have got into a key, beside control characters: two halves in quotes are a key, too."""
_QUOTED = 80


def escape(text: str) -> str:
    r"""Give `text` with every character that is not plainly visible as `\x1b`, `\u202e` …

    Control characters, bidi controls, zero-width characters, lone surrogates and every space but
    the ordinary one are what `str.isprintable` denies. A backslash stays single: unit names have
    them.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _escaped(ord(character)) for character in text
    )


def quote(text: str) -> str:
    """Give `text` escaped, shortened and in quotes; `(hidden)` where it may hold a key."""
    if holds_key(text):
        return HIDDEN
    shortened = text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"
    return f"'{escape(shortened)}'"


def holds_key(text: str) -> bool:
    """Tell whether `text`, less white space, quotes and the like, has as long a run as a key."""
    run = 0
    for character in text:
        if character in _SPLITTERS or not character.isprintable():
            continue
        run = run + 1 if character in _KEY_ALPHABET else 0
        if run >= _KEY_RUN:
            return True
    return False


def _escaped(code: int) -> str:
    for letter, digits in (("x", 2), ("u", 4)):
        if code < 16**digits:
            return f"\\{letter}{code:0{digits}x}"
    return f"\\U{code:08x}"
