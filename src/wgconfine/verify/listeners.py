"""Who answers inside a tunnel's namespace and is outside of it. Observes; portjudge.py judges."""

from collections.abc import Collection, Iterable

from wgconfine.model.settings import TunnelName
from wgconfine.model.verify import Check
from wgconfine.runtime.namespace import identity
from wgconfine.runtime.paths import LINK, named_namespace, record_of_namespace
from wgconfine.system.cgroup import Cgroup
from wgconfine.system.inside import ask_all, opened
from wgconfine.system.listeners import Stranger, sockets_of, strangers
from wgconfine.system.sockdiag import InetSocket
from wgconfine.system.systemctl import loaded_units
from wgconfine.system.unitstates import words_of
from wgconfine.verify.portjudge import judge_strangers
from wgconfine.verify.ports import listed_inside, listened_at
from wgconfine.verify.subject import Subject

__all__ = ["check_listeners"]

SYSTEMD = 1


def check_listeners(subject: Subject) -> list[Check]:
    """Find who answers inside and is outside: every way in, and out, but `reach`."""
    record = record_of_namespace(subject.name)
    held = sockets_of(SYSTEMD)
    reached = {str(each.listen) for each in subject.reach}

    def listed() -> list[InetSocket]:
        return [
            each
            for each in listed_inside(record)
            if not (each.local in reached and each.inode in held and each.protocol == "tcp")
        ]

    found = strangers(record, listed=listed, known=processes_of(subject))
    carried = ports_of_kernel(subject.carried) if found else frozenset()
    found = tuple(each for each in found if not is_of_kernel(each, carried))
    units = sockets_inside(subject) if found else {}
    return [judge_strangers((each for each in found if units.get(each.local) != ""), units)]


def is_of_kernel(found: Stranger, ports: Collection[str]) -> bool:
    """Tell whether it is the socket of a tunnel that goes through this one, which nobody holds."""
    port = found.local.rpartition(":")[2]
    return found.protocol == "udp" and not found.holder.pid and port in ports


def ports_of_kernel(carried: Iterable[TunnelName]) -> frozenset[str]:
    """Give the UDP ports of the kernel's links whose sockets are here. Raises OperationFailed."""
    return frozenset(port for name in carried if (port := port_of(name)))


def port_of(name: TunnelName) -> str:
    record = record_of_namespace(name)
    if identity(record) is None:
        return ""
    with opened(record) as namespace:
        (answer,) = ask_all([("wg", "show", LINK, "listen-port")], namespace=namespace)
    return answer.output.strip() if answer.status == 0 else ""


def processes_of(subject: Subject) -> set[int]:
    """Give the processes of the services, wherever they are: another area judges that."""
    shown = subject.systemctl.show(subject.settings.services, ("ControlGroup",))
    groups = [Cgroup.find(each["ControlGroup"]) for each in shown.values()]
    return {pid for group in groups if group for pid in group.processes()}


def sockets_inside(subject: Subject) -> dict[str, str]:
    """Give the socket units of anybody's that listen inside, by address.

    Without a name where all that they start is inside, too: what they hand over leads nowhere else.
    """
    places = {named_namespace(subject.name), record_of_namespace(subject.name)}
    properties = ("Listen", "Triggers", "NetworkNamespacePath", "ActiveState")
    shown = loaded_units(("*.socket",), properties)
    inside = {
        unit: words_of(each["Triggers"])
        for unit, each in shown.items()
        if each["NetworkNamespacePath"] in places and each["ActiveState"] == "active"
    }
    started = sorted({each for units in inside.values() for each in units})
    homes = subject.systemctl.show(started, ("NetworkNamespacePath",))
    return {
        address: ""
        if units and all(homes[each]["NetworkNamespacePath"] in places for each in units)
        else unit
        for unit, units in inside.items()
        for address in listened_at(shown[unit]["Listen"])
    }
