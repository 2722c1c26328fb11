"""What programs of this machine say: all asked side by side, none of them has to be there."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from wgconfine.runtime.failure import Failure
from wgconfine.runtime.process import find
from wgconfine.system.inside import Answer, ask_all

__all__ = ["Answers", "ask", "is_there", "json_of", "read", "succeeded"]

Answers = Mapping[str, Answer]
"""By the name that the question was given."""

SECONDS = 8.0
LIMIT = 1 << 20


def ask(
    questions: Mapping[str, Sequence[str]], stdin: str = "", seconds: float = SECONDS
) -> Answers:
    """Run a command for each; what is missing or does not end in time is an answer, too."""
    found = ask_all([*questions.values()], namespace=None, stdin=stdin, seconds=seconds)
    return dict(zip(questions, found, strict=True))


def succeeded(answer: Answer | None) -> bool:
    return answer is not None and answer.status == 0


def json_of(answer: Answer | None) -> list[dict[str, object]]:
    """Give the objects that a program printed; none where it said something else."""
    try:
        found = json.loads(answer.output) if answer is not None else []
    except ValueError:
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def read(root: Path, path: str) -> str | None:
    """Give the text of a file below `root`; None where it is not there, or not for this user."""
    try:
        with (root / path.lstrip("/")).open(encoding="utf-8", errors="replace") as file:
            return file.read(LIMIT)
    except OSError:
        return None


def is_there(program: str) -> bool:
    """Tell whether the runtime would find a program."""
    try:
        find(program)
    except Failure:
        return False
    return True
