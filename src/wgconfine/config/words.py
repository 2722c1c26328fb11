"""Guesses what a misspelt word was meant to be."""

from collections.abc import Iterable

__all__ = ["suggest"]


def suggest(word: str, known: Iterable[str]) -> str:
    """Give the hint "Did you mean 'X'?", or nothing where no known word is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake pays for it

    spellings = {_plain(name): name for name in known}
    close = get_close_matches(_plain(word), spellings, n=1, cutoff=0.7)
    return f"Did you mean '{spellings[close[0]]}'?" if close else ""


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
