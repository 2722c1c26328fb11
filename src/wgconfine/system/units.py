"""Units of the running system: their facts before they are confined."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from wgconfine.model.settings import UnitName
from wgconfine.model.units import UnitFacts
from wgconfine.plan.unitfile import build_facts
from wgconfine.system.rooted import RootedFiles
from wgconfine.system.systemctl import Systemctl
from wgconfine.system.unitsearch import UnitSearch
from wgconfine.system.unitstates import files_of, words_of

__all__ = ["read_facts"]

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
    names = (name, *words_of(shown["Names"]))
    there = load_state not in {"not-found", "masked"}
    return build_facts(
        name=UnitName(shown["Id"] or name),
        load_state=load_state,
        names=names,
        texts=tuple(search.read(map(PurePosixPath, files_of(shown)))) if there else (),
        triggered_by=(*triggered_by, *search.triggers_of(names)),
        joined=(*joined, *search.joiners_of(names)),
        user_unit=load_state == "not-found" and search.is_user_unit(name),
    )
