"""The one place where a value enters the text of a unit: systemd.syntax(7), systemd.unit(5)."""

from wgconfine.model.errors import WgconfineError

__all__ = ["UnsafeValueError", "escape_path_unit", "is_safe", "value"]

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@:\\,=~")


class UnsafeValueError(WgconfineError):
    """A value that can't stand in a unit as it is, such as a path with a space or a line break."""


def is_safe(text: str) -> bool:
    """Tell whether `value` takes this."""
    return bool(text) and set(text) <= PLAIN | {"%"}


def value(text: str) -> str:
    """Give `text` for a unit, with `%` doubled, as a specifier would be expanded.

    Quoting differs between settings of systemd, so that a value which would need it (white space,
    quotes, `$`, control characters) is refused instead. Raises UnsafeValueError.
    """
    if not is_safe(text):
        raise UnsafeValueError(f"{text!r}: has characters that can't stand in a systemd unit")
    return text.replace("%", "%%")


def escape_path_unit(text: str) -> str:
    r"""Escape a name for use *within* a unit's name, as systemd-escape(1) does: `a-b` is `a\x2db`.

    In a slice's name a dash makes a tree (systemd.slice(5)), so that `wgconfine-a-b.slice` would
    lie below `wgconfine-a.slice`. Names of tunnels need no more than this.
    """
    return text.replace("-", "\\x2d")
