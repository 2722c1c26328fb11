"""What a tunnel is made of, and whether it is there: names, link, addresses, routes, firewalls.

A mend is asked for, and done by another unit.
"""

from __future__ import annotations

from wgconfine.runtime import firewall, journal, link, paths, pin, switch
from wgconfine.runtime.failure import Failure, warn
from wgconfine.runtime.lock import Shared
from wgconfine.runtime.namespace import Visit, lost_names
from wgconfine.runtime.process import Running
from wgconfine.runtime.services import ask_to_reload, ask_to_start
from wgconfine.runtime.state import is_up, read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wgconfine.config import wgquick

    Missing = Mapping[str, str]
    """What is missing, by the tunnel that it is missing of."""

NAME = "a name of its namespace"
SWITCH = "its second switch"
PIN = "the rule that pins its endpoint"


def missing_inside(name: str) -> Missing:
    """Say what is gone of a tunnel that is up. Raises Failure.

    Nobody changes it meanwhile: who does so holds its lock.
    """
    state = paths.tunnel_state(name)
    with Shared(name):
        if not is_up(name):
            return {}
        if lost_names(name):
            return {name: NAME}
        conf = link.declared(name)
        with Visit(name):
            lacks = link.missing(conf)
            if not firewall_is_whole(conf, read_state(f"{state}/{paths.PORTS}")):
                lacks.append("firewall")
    return {name: ", ".join(lacks)} if lacks else {}


def firewall_is_whole(conf: wgquick.Conf, ports: str) -> bool:
    """Tell whether each chain of the table has its rules, by their number.

    Their text can't be compared: nft(8) prints rules in other words than it was given.
    """
    status, listing, _ = Running("nft", "list", "table", "inet", "wgconfine").wait()
    if status != 0:
        return False
    policy = firewall.Policy(
        resolvers=conf.dns, addresses=conf.addresses, **firewall.parse_declaration(ports)
    )
    wanted = switch.Table(firewall.ruleset(policy)).chains
    found = switch.Table(listing).chains
    return all(len(found.get(chain, ())) >= len(lines) for chain, lines in wanted.items())


def mend_inside(name: str, what: str, *, patience: int = 0) -> None:
    """Ask for a reload, which makes whatever is missing; of a name, for a name.

    So many seconds are waited for its end.
    """
    kind = "name" if lost_names(name) else "reload"
    unit = f"wgconfine-{kind}@{name}.service"
    tell(name, f"{what}: missing. Starting {unit}", unit)
    ask_to_start(unit, patience=patience)


def missing_switches() -> Missing:
    """Give the tunnels whose second switch was on and has been taken away, or their other rule."""
    found = dict.fromkeys(pin.lost(), PIN)
    for name in switch.switched_on():
        try:
            there = switch.is_whole(name)
        except Failure as failure:  # a table of somebody else's: other tunnels are looked at
            warn(str(failure))
            continue
        if not there:
            found[name] = SWITCH
    return found


def mend_switch(name: str, what: str, *, patience: int = 0) -> None:
    unit = f"wgconfine-switch@{name}.service"
    tell(name, f"{what} was gone; it is loaded again", unit)
    # Not one that is stopped: its rule may have stayed for what its services left behind.
    ask_to_reload(unit, patience=patience)


def tell(name: str, what: str, unit: str) -> None:
    journal.send(
        journal.WARNING,
        f"tunnel {name}: {what}",
        journal.MENDED,
        wgconfine_tunnel=name,
        object_systemd_unit=unit,
    )
