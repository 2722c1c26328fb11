"""Guesses what a misspelt word was meant to be."""

from collections.abc import Collection, Iterable

from wgconfine.config.escape import escape, quote
from wgconfine.model.errors import OperationFailed

__all__ = ["name_tunnels", "refuse_strangers", "suggest", "suggest_services"]

_MOST = 3


def suggest(word: str, known: Iterable[str]) -> str:
    """Give the hint "Did you mean 'X'?", or nothing where no known word is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake pays for it

    spellings = {_plain(name): name for name in known}
    close = get_close_matches(_plain(word), spellings, n=1, cutoff=0.7)
    return f"Did you mean '{spellings[close[0]]}'?" if close else ""


def name_tunnels(known: Iterable[str]) -> str:
    """Give the hint for the name of no tunnel: which there are, or how the first is made."""
    names = ", ".join(sorted(known))
    return f"There are: {names}." if names else "To make one: wgconfine init CONF --name NAME."


def refuse_strangers(names: Iterable[str], known: Collection[str]) -> None:
    """Raise OperationFailed for names of no tunnel, all of them at once."""
    if strangers := sorted({*names} - {*known}):
        raise OperationFailed(
            escape(", ".join(strangers)), "there is no such tunnel", name_tunnels(known)
        )


def suggest_services(word: str, known: Iterable[str]) -> str:
    """Give the hint that names the services nearest to `word`: spelt alike, or with it in them.

    Both without the suffix, which all of them have. Nothing where none is close.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake pays for it

    plain = _plain(word.removesuffix(".service"))
    spellings = {_plain(name.removesuffix(".service")): name for name in sorted(known)}
    parts = [each for each in spellings if len(plain) >= _MOST and plain in each]
    close = [*get_close_matches(plain, spellings, n=_MOST, cutoff=0.6), *sorted(parts)]
    names = [quote(spellings[each]) for each in dict.fromkeys(close)][:_MOST]
    return f"Did you mean {' or '.join(names)}?" if names else ""


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
