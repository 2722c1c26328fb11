"""`python -I -m wgconfine.runtime VERB NAME`; the units call `run` here."""

from __future__ import annotations

import os
import sys

from wgconfine.runtime import paths
from wgconfine.runtime.failure import Failure, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


VERBS = {
    "netns-up": ("netns", "up"),
    "netns-down": ("netns", "down"),
    "up": ("tunnel", "up"),
    "reload": ("tunnel", "reload"),
    "down": ("tunnel", "down"),
    "rebind": ("tunnel", "rebind"),
    "pass-on": ("tunnel", "pass_on"),
    "unlink": ("tunnel", "unlink"),
    "resume": ("services", "resume"),
    "clear": ("services", "clear"),
    "endpoint": ("endpoint", "resolve_all"),
    "ready": ("ready", "wait"),
    "changed": ("sources", "ask_to_read"),
    "switch-up": ("switch", "up"),
    "switch-down": ("switch", "down"),
    "paths-up": ("offered", "up"),
    "paths-down": ("offered", "down"),
    "admits": ("ipfilter", "prove"),
    "look": ("look", "inside"),
    "name": ("netns", "name_again"),
}
"""What a word of the command line means: a module beside this one, and its function of a name."""
CONFIGURES = ("netns-up", "up", "reload")
"""The verbs without which there is no tunnel: why they fail is kept until all of them worked."""
OF_THE_HOST = {
    "tick": ("tick", "tick"),
    "look-outside": ("look", "outside"),
}
"""Likewise, of words that take no name."""


def find(module: str, function: str) -> Callable[..., None]:
    """Give a verb's function; no other module is imported than it needs."""
    found: Callable[..., None] = getattr(
        __import__(f"wgconfine.runtime.{module}", fromlist=[function]), function
    )
    return found


def main(argv: list[str]) -> int:
    """Give the exit status: 0, 1 where a step failed, 2 where the words are wrong."""
    match argv[1:]:
        case [word, name] if word in VERBS:
            action, arguments = find(*VERBS[word]), [name]
        case [word] if word in OF_THE_HOST:
            action, arguments = find(*OF_THE_HOST[word]), []
        case _:
            words = f"{' | '.join(OF_THE_HOST)} | {'|'.join(VERBS)} NAME"
            say(f"usage: python -I -m wgconfine.runtime {words}")
            return 2
    try:
        action(*arguments)
    except (Failure, OSError) as error:
        for line in str(error).splitlines():
            say(line)
        if argv[1] in CONFIGURES:
            find("trouble", "keep")(*arguments, "; ".join(str(error).splitlines()))
        return 1
    if argv[1] in CONFIGURES[1:] and os.path.exists(paths.trouble(*arguments)):
        find("trouble", "forget")(*arguments)
    return 0


def run() -> None:
    """What the units call: the same without `-m`, which imports a tenth of a start's time more."""
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    run()
