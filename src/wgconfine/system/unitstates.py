"""Units of the running system: how they are, and whether their files have changed."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from wgconfine.model.errors import OperationFailed
from wgconfine.model.names import UnitName
from wgconfine.model.state import UnitState
from wgconfine.model.unittext import UnitText
from wgconfine.plan.unitdigest import digest_of, foreign_texts
from wgconfine.system.rooted import RootedFiles

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wgconfine.system.systemctl import Systemctl

__all__ = ["files_of", "read_texts", "unit_digest_now", "unit_states", "words_of"]

_STATE = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "ConditionResult",
    "ConditionTimestampMonotonic",
    "AssertResult",
    "AssertTimestampMonotonic",
    "MainPID",
    "NeedDaemonReload",
    "InvocationID",
    "ExecCondition",
    "FragmentPath",
    "DropInPaths",
    "ExecMainStatus",
    "ActiveEnterTimestampMonotonic",
    "InactiveEnterTimestampMonotonic",
    "InactiveExitTimestampMonotonic",
)
_SINCE = {
    **dict.fromkeys(("active", "reloading", "refreshing"), "ActiveEnterTimestampMonotonic"),
    **dict.fromkeys(("inactive", "failed"), "InactiveEnterTimestampMonotonic"),
}
"""Which time of a unit is the one since when it is what it is; of others, when it began to start.

A reload changes none of them, as it does `StateChangeTimestamp`.
"""
_WORD, _ESCAPED = r'"((?:[^"\\]|\\.)*)"|([^" ]+)', r"\\(?:([0-7]{3})|(.))"
"""Not compiled, which takes as long as an import, for what is rare."""
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ENDED = re.compile(r" ; code=(\S+) ; status=(\d+)(?:/\S*)? \}")


def unit_digest_now(state: UnitState) -> str:
    """Give the digest of a unit as its files are, less ours. Raises OperationFailed."""
    there = state.load not in {"not-found", "masked"}
    files = map(PurePosixPath, state.files)
    texts = read_texts(RootedFiles(Path("/")), files) if there else ()
    return digest_of(foreign_texts(UnitName(state.name), tuple(texts)))


def files_of(shown: dict[str, str]) -> tuple[str, ...]:
    """The files that a unit is made of: the main one, and its drop-ins in their order."""
    return (*words_of(shown["FragmentPath"]), *words_of(shown["DropInPaths"]))


def read_texts(files: RootedFiles, paths: Iterable[PurePosixPath]) -> Iterator[UnitText]:
    """The texts of those that are there; raises OperationFailed for one that cannot be read."""
    for path in paths:
        try:
            text = files.text(path)
        except OSError as error:
            raise OperationFailed(f"read {path}", error.strerror or str(error)) from error
        if text is not None:
            yield UnitText(path=path, text=text)


def words_of(value: str) -> list[str]:
    """A list as `systemctl show` prints it: in quotes what is more than plain, escaped as in C."""
    if '"' not in value:
        return [each for each in value.split(" ") if each]
    found = (quoted or plain for quoted, plain in re.findall(_WORD, value))
    return [re.sub(_ESCAPED, _character, each) if "\\" in each else each for each in found]


def _character(escaped: re.Match[str]) -> str:
    digits, letter = escaped.groups()
    return chr(int(digits, 8)) if digits else _LETTERS.get(letter, letter)


def unit_states(systemctl: Systemctl, names: Sequence[str]) -> dict[str, UnitState]:
    """The state of each unit, in one question to systemd. Raises OperationFailed."""
    shown = systemctl.show(names, _STATE)
    return {name: _state(name, shown[name]) for name in names}


def _state(name: str, shown: dict[str, str]) -> UnitState:
    ended = [match for match in _ENDED.findall(shown["ExecCondition"]) if match[0] != "(null)"]
    code, status = ended[-1] if ended else ("", "0")
    return UnitState(
        name=name,
        load=shown["LoadState"],
        active=shown["ActiveState"],
        sub=shown["SubState"],
        result=shown["Result"],
        condition=_tried(shown, "Condition"),
        assertion=_tried(shown, "Assert"),
        main_pid=int(shown["MainPID"] or "0"),
        need_daemon_reload=shown["NeedDaemonReload"] == "yes",
        invocation=shown["InvocationID"],
        condition_code=code,
        condition_status=int(status),
        files=files_of(shown),
        main_status=int(shown["ExecMainStatus"] or "0"),
        since=int(shown[_SINCE.get(shown["ActiveState"], "InactiveExitTimestampMonotonic")] or "0"),
    )


def _tried(shown: dict[str, str], what: str) -> bool | None:
    """systemd says "no" of a unit that was never started: only a time tells that it has looked."""
    if shown[f"{what}TimestampMonotonic"] in {"", "0"}:
        return None
    return shown[f"{what}Result"] == "yes"
