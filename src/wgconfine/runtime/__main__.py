"""`python -I -m wgconfine.runtime VERB NAME`; the units call `run` here."""

from __future__ import annotations

import sys

from wgconfine.runtime.failure import Failure, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


VERBS = (
    "netns-up", "netns-down", "up", "reload", "down", "resume", "clear", "endpoint"
)  # fmt: skip


def verb(word: str) -> Callable[[str], None] | None:
    """Give what a word of the command line means; each imports no more than it needs."""
    # ruff: noqa: PLC0415
    if word in {"up", "reload", "down"}:
        from wgconfine.runtime import tunnel

        return {"up": tunnel.up, "reload": tunnel.reload, "down": tunnel.down}[word]
    if word in {"netns-up", "netns-down"}:
        from wgconfine.runtime import netns

        return {"netns-up": netns.up, "netns-down": netns.down}[word]
    if word in {"resume", "clear"}:
        from wgconfine.runtime import services

        return {"resume": services.resume, "clear": services.clear}[word]
    if word == "endpoint":
        from wgconfine.runtime import endpoint

        return endpoint.resolve_all
    return None


def main(argv: list[str]) -> int:
    """Give the exit status: 0, 1 where a step failed, 2 where the words are wrong."""
    action = verb(argv[1]) if len(argv) == 3 else None  # noqa: PLR2004 — the module, a verb, a name
    if action is None:
        say(f"usage: python -I -m wgconfine.runtime {'|'.join(VERBS)} NAME")
        return 2
    try:
        action(argv[2])
    except (Failure, OSError) as error:
        for line in str(error).splitlines():
            say(line)
        return 1
    return 0


def run() -> None:
    """What the units call: the same without `-m`, which imports a tenth of a start's time more."""
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    run()
