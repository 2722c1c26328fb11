"""Does what a guide of docs/ says: writes the files that it shows, and runs its commands.

A block whose first line is `# /PATH` is that file. A block of `console` has commands after `# `,
and below each the lines that its output has. A block of `sh` is a script.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import World

TOP = Path(__file__).parents[1]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command, and lines that its output has in this order, each from its beginning."""

    line: str
    output: tuple[str, ...]


def follow(world: World, page: str, *, after: str = "") -> int:
    """Do it all, in its order; gives the number of blocks. Raises AssertionError where it errs.

    `after` is a block's first line: that block and what is before it was done otherwise.
    """
    text = (TOP / page).read_text(encoding="utf-8")
    blocks = FENCE.findall(
        text.partition(f"\n{after}\n")[2].partition("```\n")[2] if after else text
    )
    for language, text in blocks:
        if language == "console":
            for command in commands(text):
                run(world, command)
        elif language == "sh":
            world.machine.sh(text)
        else:
            write(world, text)
    return len(blocks)


def write(world: World, text: str) -> None:
    path = text.partition("\n")[0].removeprefix("# ")
    assert path.startswith("/"), f"a file without its path: {text}"
    # What the machine has of it keeps its owner and mode, as in an editor.
    script = 'mkdir -p "$(dirname "$1")"; cat >"$1"'
    world.machine.run("sh", "-euc", script, "sh", path, input=text)


def commands(text: str) -> Iterator[Command]:
    assert text.startswith("# "), f"no command comes first: {text}"
    for each in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        line, *output = each.splitlines()
        yield Command(line=line, output=tuple(output))


def run(world: World, command: Command) -> None:
    """Run a command. What it would install must be there: the lab has no archive."""
    program, *arguments = command.line.split()
    if [program, *arguments[:1]] == ["apt", "install"]:
        ask = ("dpkg-query", "-Wf", "${db:Status-Status}\\n", *arguments[1:])
        assert ["installed"] * len(arguments[1:]) == world.machine.run(*ask).stdout.split()
        return
    text = world.machine.sh(command.line, timeout=180)
    said = iter(text.splitlines())
    for line in command.output:
        found = any(each.startswith(line) for each in said)
        assert found, f"{command.line}: no line {line!r} in\n{text}"
