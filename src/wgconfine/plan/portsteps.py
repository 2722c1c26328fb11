"""What is asked of the sockets of `publish` and `reach` when their files change. Pure.

They come with their namespace and go with it. Here is what is left: of a namespace that runs on.
"""

from collections.abc import Collection, Iterable

from wgconfine.model.settings import TunnelName
from wgconfine.plan.difference import Change, ChangeKind
from wgconfine.render.places import UNITS

__all__ = ["gone_ports", "is_port", "ports_to_restart", "ports_to_start"]

_STEMS = ("wgconfine-publish@", "wgconfine-reach@")


def is_port(unit: str) -> bool:
    """Tell whether this is a socket of ours."""
    return unit.startswith(_STEMS) and unit.endswith(".socket")


def tunnel_of_port(unit: str) -> TunnelName:
    """Give the tunnel of a socket: a name of one has no dot."""
    return TunnelName(unit.partition("@")[2].partition(".")[0])


def gone_ports(changes: Iterable[Change]) -> list[str]:
    """Give the sockets whose file goes."""
    sockets = {unit: change for change in changes if (unit := _own(change))}
    return [unit for unit, change in sockets.items() if change.after is None]


def ports_to_restart(changes: Iterable[Change], running: Collection[str]) -> list[str]:
    """Give the running sockets that listen otherwise from now on, or whose proxy is another."""
    found = {unit for each in changes if each.after is not None and (unit := _concerns(each))}
    return sorted(found & set(running))


def ports_to_start(
    changes: Iterable[Change], running: Collection[str], failed: Collection[str]
) -> list[str]:
    """Give the sockets that are new, and those that have failed; one that was stopped is left.

    Not where their namespace is away: it brings them along.
    """
    gone, found = set(), set(failed)
    for change in changes:
        if unit := _own(change):
            gone |= {unit} if change.after is None else set()
            found |= {unit} if change.kind is ChangeKind.CREATE else set()
    return sorted(
        unit
        for unit in found - gone - set(running)
        if f"wgconfine-netns@{tunnel_of_port(unit)}.service" in running
    )


def _own(change: Change) -> str:
    """Give the socket that is this file."""
    return change.path.name if change.path.parent == UNITS and is_port(change.path.name) else ""


def _concerns(change: Change) -> str:
    """Give the socket that is this file, or whose proxy it is about."""
    proxy = change.path.parent.name.removesuffix(".service.d") + ".socket"
    return _own(change) or (proxy if is_port(proxy) else "")
