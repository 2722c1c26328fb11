"""What is wrong with a tunnel that goes through another one: `via`. Between files, too."""

from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_address

from wgconfine.config.conf import ConfPeer
from wgconfine.config.places import place_of
from wgconfine.config.ports import LOOK_UPS
from wgconfine.config.wgquick import parse_ip
from wgconfine.config.words import suggest
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Endpoint, Peer, Settings, TunnelName

__all__ = ["check_via", "check_way"]


def check_via(
    settings: Collection[Settings],
    beside: Iterable[Settings] = (),
    unread: Collection[str] = (),
) -> list[Problem]:
    """Check that every tunnel leads out in the end, by others that there are.

    `beside` are tunnels that are there, too, and not what is checked; of those that are `unread`
    nothing is known, but that they are there.
    """
    known = {each.name: each for each in (*beside, *settings)}
    problems: list[Problem] = []
    told: set[str] = set()
    for tunnel in sorted(settings, key=lambda each: each.name):
        if not tunnel.enable or tunnel.via is None or tunnel.via in unread:
            continue
        outer = known.get(tunnel.via)
        circle, hint = _circle(tunnel, known), ""
        if outer is None:
            what = f"there is no tunnel '{tunnel.via}'"
            hint = suggest(tunnel.via, known.keys() - {tunnel.name})
        elif not outer.enable:
            what = f"'{outer.name}' is disabled, in {place_of(outer.path)}"
            hint = "Enable it there, or take this line away"
        elif circle and tunnel.name not in told:
            told |= set(circle)
            what = f"it leads back to itself: {' via '.join((*circle, tunnel.name))}"
        else:
            continue
        problems.append(Problem(where=place_of(tunnel.path, "via"), what=what, hint=hint))
    return problems


def _circle(tunnel: Settings, known: Mapping[TunnelName, Settings]) -> list[str]:
    """Give the tunnels on the way from this one back to itself; none where it leads elsewhere."""
    way: list[str] = []
    each: Settings | None = tunnel
    while each is not None and each.name not in way:
        way.append(each.name)
        each = known.get(each.via) if each.via else None
    return way if each is tunnel else []


def check_way(
    settings: Settings, outer: Settings | None, peers: Iterable[Peer | ConfPeer]
) -> list[Problem]:
    """Say why `outer`, the tunnel that this one goes through, would not let it.

    Of a host name only the port is known yet. Nothing where there is no such tunnel.
    """
    if outer is None:
        return []
    given = [each.endpoint for each in (*peers, *settings.endpoints) if each.endpoint]
    ends = [(each.host, each.port) if isinstance(each, Endpoint) else each for each in given]
    where, problems = place_of(settings.path, "via"), []
    for host, port in dict.fromkeys(ends):
        if port in LOOK_UPS:
            what = f"'{outer.name}' takes what is sent to port {port} for a look-up"
            hint = "Ask the provider for another port of the endpoint"
            problems.append(Problem(where=where, what=what, hint=hint))
        literal = ip_address(host) if parse_ip(host) else None
        denied = [each for each in outer.outbound_deny if literal is not None and literal in each]
        problems += [
            Problem(
                where=where,
                what=f"the endpoint {host} can't be reached through '{outer.name}'",
                hint=f"{network} is denied in {place_of(outer.path, 'outbound', 'deny')}",
            )
            for network in denied
        ]
    return problems
