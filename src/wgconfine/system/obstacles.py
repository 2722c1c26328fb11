"""What is somebody else's on this machine and would keep a tunnel from starting, before it starts.

The runtime refuses the same when it comes to it; here it is known before anything is changed.
"""

from collections.abc import Iterable
from pathlib import Path

from wgconfine.config.escape import escape
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Backend, Settings
from wgconfine.plan.desired import Machine
from wgconfine.render.record import host_link
from wgconfine.runtime.link import is_tun
from wgconfine.runtime.netns import obstacle
from wgconfine.system.systemctl import Systemctl

__all__ = ["foreign_obstacles"]


def foreign_obstacles(
    systemctl: Systemctl, tunnels: Iterable[Settings], machine: Machine
) -> list[Problem]:
    """Give every obstacle to the start of these tunnels: units, namespaces, links."""
    found = []
    for settings in tunnels:
        userspace = machine.backend(settings) is Backend.USERSPACE
        found += foreign_units(systemctl, settings, userspace=userspace)
        if in_the_way := obstacle(settings.name):
            path, what = in_the_way
            found.append(Problem(where=path, what=what, hint="Remove or rename it"))
        link = host_link(settings.name)
        if userspace and Path("/sys/class/net", link).exists() and not is_tun(link):
            hint = f"Delete or rename it: ip link del {link}"
            found.append(
                Problem(where=link, what="a link of another kind is in the way", hint=hint)
            )
    return found


def foreign_units(systemctl: Systemctl, settings: Settings, *, userspace: bool) -> list[Problem]:
    """Give the units of a tunnel that are masked, or that a unit file of their own stands for."""
    kinds = ["", "-netns", "-reload", "-endpoint", *(["-wireguard"] if userspace else [])]
    units = {
        f"wgconfine{kind}@{settings.name}.service": f"wgconfine{kind}@.service" for kind in kinds
    }
    found = []
    for unit, shown in systemctl.show(sorted(units), ["LoadState", "FragmentPath"]).items():
        path = Path(shown["FragmentPath"])
        if shown["LoadState"] == "masked":
            hint = f"Unmask it: systemctl unmask {unit}"
            found.append(Problem(where=unit, what="is masked, so it can't start", hint=hint))
        elif path.name not in {"", units[unit]}:
            what = f"{escape(str(path))} stands for it, which is not wgconfine's"
            hint = "Move it away; what it should add can stand in a drop-in"
            found.append(Problem(where=unit, what=what, hint=hint))
    return found
