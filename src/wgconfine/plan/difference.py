"""How the installed files differ from the desired ones. Pure."""

from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum
from pathlib import PurePosixPath

from wgconfine.model.tree import File, Link, Tree

__all__ = ["Change", "ChangeKind", "compare", "unified"]


class ChangeKind(StrEnum):
    """What happens to a file."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file that is not as desired; `before` is None for a creation, `after` for a removal."""

    kind: ChangeKind
    path: PurePosixPath
    before: File | Link | None
    after: File | Link | None

    def describe(self) -> str:
        """The change in one line, without its text."""
        return f"{self.kind} {self.path}"


def compare(desired: Tree, installed: Tree) -> tuple[Change, ...]:
    """What has to change so that `installed` becomes `desired`, by path."""
    changes: list[Change] = []
    for path in sorted(desired.keys() | installed.keys()):
        before, after = installed.get(path), desired.get(path)
        if before != after:
            changes.append(Change(kind=_kind(before, after), path=path, before=before, after=after))
    return tuple(changes)


def _kind(before: File | Link | None, after: File | Link | None) -> ChangeKind:
    if before is None:
        return ChangeKind.CREATE
    return ChangeKind.REMOVE if after is None else ChangeKind.UPDATE


def unified(change: Change) -> str:
    """The change as `diff -u` shows it; a link or another mode is one line of its own."""
    name = change.path.as_posix()
    lines = unified_diff(
        _lines(change.before),
        _lines(change.after),
        "/dev/null" if change.before is None else f"a{name}",
        "/dev/null" if change.after is None else f"b{name}",
        lineterm="",
    )
    return "".join(f"{line}\n" for line in lines)


def _lines(file: File | Link | None) -> list[str]:
    match file:
        case None:
            return []
        case Link(target=target):
            return [f"(link to {target})"]
        case File(text=text, mode=mode):
            odd_mode = [] if mode == 0o644 else [f"(mode {mode:04o})"]  # noqa: PLR2004  the usual
            return [*odd_mode, *text.splitlines()]
