"""`make pages`: write `share/` anew."""

import sys
from pathlib import Path

from pages import schema
from pages.completion import PLACES, completion
from pages.manual import PAGES, manual

__all__ = ["SHARE", "made"]

SHARE = Path(__file__).parents[1] / "share"


def made() -> dict[str, str]:
    """Give each file by its place below `share`."""
    return {
        **{place: completion(shell) for shell, place in PLACES.items()},
        **{page.place: manual(page) for page in PAGES},
        schema.PLACE: schema.text(),
    }


def main() -> int:
    for place, text in made().items():
        path = SHARE / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
