"""`make screenshots`: README's story on a machine of the lab, and a picture of what it showed."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import World, boot_container, build_wheelhouse
from tests.container.test_readme import prepare
from tests.screenshots.svg import Line, Run, drawn, read_lines
from tests.terminal import shown

TOP = Path(__file__).parents[2]
PICTURE = TOP / "docs/pictures/init.svg"
COLUMNS = 100
TITLE = "wgconfine: from a provider's .conf to a confined service"
INIT = "wgconfine init mullvad-se1.conf --name vpn --service qbittorrent-nox@torrent --publish 8080"
STEPS = "[#] "
"""How each step that is done begins: of the many the first ones are shown."""
SHOWN_STEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of the story, and the answers that a person gives."""

    words: str
    answers: tuple[tuple[str, str], ...] = ()


STORY = (
    Command(words=INIT, answers=(("Do it? [y/N]", "y"),)),
    Command(words="wgconfine status"),
    Command(words="wgconfine verify"),
)


def main() -> int:
    with boot_container("trixie", wheelhouse=build_wheelhouse(TOP)) as world:
        prepare(world)
        lines = [line for each in STORY for line in told(world, each)]
    PICTURE.write_text(drawn(lines, columns=COLUMNS, title=TITLE), encoding="utf-8")
    return 0


def told(world: World, command: Command) -> list[Line]:
    said = shown(world, command.words, command.answers, columns=COLUMNS)
    prompt = (Run(text="# "), Run(text=command.words, classes=("bold",)))
    return [prompt, *shortened(read_lines(said))]


def shortened(lines: Sequence[Line]) -> list[Line]:
    """Leave most of the steps out, which are many and alike, and say so."""
    steps = [number for number, line in enumerate(lines) if is_step(line)]
    left_out = steps[SHOWN_STEPS:]
    mark: Line = (Run(text=f"… {len(left_out)} more steps"),)
    kept = [mark if number in left_out[:1] else line for number, line in enumerate(lines)]
    return [line for number, line in enumerate(kept) if number not in left_out[1:]]


def is_step(line: Line) -> bool:
    return bool(line) and line[0].text.startswith(STEPS)


if __name__ == "__main__":
    sys.exit(main())
