"""Lines for a terminal, broken between words where they are too long."""

from wgconfine.config.escape import escape

__all__ = ["INDENT", "folded"]

INDENT = "  "


def folded(line: str, width: int | None, first: str, then: str) -> list[str]:
    """Give a line with foreign text escaped; a `width` of None is for what is no terminal."""
    if width is None:
        return [first + escape(line)]
    import textwrap  # noqa: PLC0415 — not for JSON, nor for a pipe

    return textwrap.wrap(
        escape(line),
        width,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
