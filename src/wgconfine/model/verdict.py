"""What `verify` says of one thing, in a word."""

from enum import StrEnum

__all__ = ["Verdict"]


class Verdict(StrEnum):
    """What was found of one thing.

    OPEN is a hole that the owner asked for, or one that is documented to stay open: it is shown and
    is no failure. UNAVAILABLE is what this machine can't have: shown, no failure. BROKEN is a
    tunnel that does not carry: closed, and of no use. UNKNOWN could not be checked.
    """

    OK = "ok"
    OPEN = "open"
    UNAVAILABLE = "not available"
    UNKNOWN = "unknown"
    BROKEN = "does not work"
    NOT_CONFINED = "not confined"
    LEAK = "LEAK"
