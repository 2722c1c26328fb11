"""Units of the running system: their facts before they are confined, their state afterwards."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from wgconfine.model.settings import UnitName
from wgconfine.model.state import UnitState
from wgconfine.model.units import UnitFacts
from wgconfine.plan.unitfile import build_facts
from wgconfine.system.rooted import RootedFiles
from wgconfine.system.systemctl import Systemctl
from wgconfine.system.unitsearch import UnitSearch

__all__ = ["read_facts", "unit_states", "words_of"]

_FACTS = (
    "Id",
    "Names",
    "LoadState",
    "FragmentPath",
    "DropInPaths",
    "TriggeredBy",
    "JoinsNamespaceOf",
    "NeedDaemonReload",
)
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
_ENDED = re.compile(r" ; code=(\S+) ; status=(\d+)(?:/\S*)? \}")


def read_facts(
    systemctl: Systemctl, names: Sequence[UnitName], *, root: Path = Path("/")
) -> dict[UnitName, UnitFacts]:
    """The facts of each unit, by the name asked for; `facts.name` is what an alias stands for.

    systemd says which files a unit is made of, and the files what is in them: `systemctl show`
    drops quotes. Where systemd says that the files have changed since it read them, they are
    searched as it will after a reload. Of units that would start or join this one, it knows those
    that are loaded: files are searched for the others. Raises OperationFailed.
    """
    search = UnitSearch(RootedFiles(root))
    shown = systemctl.show(names, _FACTS)
    return {name: _facts(search, name, shown[name]) for name in names}


def _facts(search: UnitSearch, name: UnitName, shown: dict[str, str]) -> UnitFacts:
    triggered_by = words_of(shown["TriggeredBy"])
    joined = words_of(shown["JoinsNamespaceOf"])
    load_state = shown["LoadState"] or "error"
    if shown["NeedDaemonReload"] == "yes":
        fresh = search.facts(name)
        return build_facts(
            name=fresh.name,
            load_state=fresh.load_state,
            names=fresh.names,
            texts=fresh.texts,
            triggered_by=(*triggered_by, *fresh.triggered_by),
            joined=(*joined, *fresh.joined),
            user_unit=fresh.user_unit,
        )
    paths = [*words_of(shown["FragmentPath"]), *words_of(shown["DropInPaths"])]
    names = (name, *words_of(shown["Names"]))
    there = load_state not in {"not-found", "masked"}
    return build_facts(
        name=UnitName(shown["Id"] or name),
        load_state=load_state,
        names=names,
        texts=tuple(search.read(map(PurePosixPath, paths))) if there else (),
        triggered_by=(*triggered_by, *search.triggers_of(names)),
        joined=(*joined, *search.joiners_of(names)),
        user_unit=load_state == "not-found" and search.is_user_unit(name),
    )


def words_of(value: str) -> list[str]:
    """A list as `systemctl show` prints it: what has a backslash is in quotes, with it doubled."""
    return shlex.split(value) if '"' in value or "'" in value else value.split()


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
        main_status=int(shown["ExecMainStatus"] or "0"),
        since=int(shown[_SINCE.get(shown["ActiveState"], "InactiveExitTimestampMonotonic")] or "0"),
    )


def _tried(shown: dict[str, str], what: str) -> bool | None:
    """systemd says "no" of a unit that was never started: only a time tells that it has looked."""
    if shown[f"{what}TimestampMonotonic"] in {"", "0"}:
        return None
    return shown[f"{what}Result"] == "yes"
