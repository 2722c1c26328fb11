"""How this machine looks names up, which its confined services have nothing of. Reads."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wgconfine.config.wgquick import parse_ip
from wgconfine.doctor.asked import read
from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.model.settings import ConfCredential, ConfFile, Inline, Settings
from wgconfine.system.offers import conf_at

__all__ = ["ResolverFacts", "judge_resolver", "look_at_resolver", "named_endpoints"]

DAEMONS = {
    "systemd-resolved": "/run/systemd/resolve/io.systemd.Resolve",
    "nscd": "/run/nscd/socket",
    "avahi": "/run/avahi-daemon/socket",
    "sssd": "/var/lib/sss/pipes/nss",
}
"""Who may answer in a program's place, by the socket that is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverFacts:
    """`servers` are those of resolv.conf, None where that is not there or leads nowhere."""

    servers: tuple[str, ...] | None = None
    leads_to: str = ""
    daemons: tuple[str, ...] = ()


def named_endpoints(tunnels: Iterable[Settings]) -> Iterator[str]:
    """Give the tunnels with an endpoint that is a host name, as far as this user may know."""
    for settings in tunnels:
        hosts = [each.endpoint.host for each in settings.endpoints]
        match settings.wireguard:
            case Inline(peers=peers):
                hosts += [each.endpoint.host for each in peers if each.endpoint]
            case ConfFile(path=path):
                conf = conf_at(path)
                peers_of_conf = conf.peers if conf is not None else ()
                hosts += [each.endpoint[0] for each in peers_of_conf if each.endpoint]
            case ConfCredential():
                pass
        if not all(map(parse_ip, hosts)):
            yield settings.name


def look_at_resolver(root: Path) -> ResolverFacts:
    path = root / "etc/resolv.conf"
    text = read(root, "/etc/resolv.conf")
    lines = (line.split() for line in (text or "").splitlines())
    return ResolverFacts(
        servers=None
        if text is None
        else tuple(words[1] for words in lines if words[:1] == ["nameserver"] and words[1:]),
        leads_to=os.fspath(path.readlink()) if path.is_symlink() else "",
        daemons=tuple(
            name for name, socket in DAEMONS.items() if os.path.lexists(root / socket.lstrip("/"))
        ),
    )


finding = partial(Finding, subject=Subject.RESOLVER, name="resolver")


def judge_resolver(facts: ResolverFacts, named: Iterable[str] = ()) -> Iterator[Finding]:
    """`named` are tunnels with an endpoint that has to be looked up: the host's matter."""
    named = sorted(named)
    if facts.servers:
        asked = ", ".join(filter(None, (*facts.daemons, *map(spelled, facts.servers))))
        words = (
            f"this machine asks {asked}. None of these is asked by a confined service, which has "
            "the resolvers of its tunnel"
        )
        yield finding(grade=Grade.OK, words=words)
        return
    what = "/etc/resolv.conf is not there"
    if facts.leads_to:
        what = f"/etc/resolv.conf leads to {facts.leads_to}, which is not there"
    if facts.servers is not None:
        what = "/etc/resolv.conf names no server"
    if named:
        words = f"{what}: the host names of the endpoints of {', '.join(named)} can't be looked up"
        yield finding(grade=Grade.BROKEN, words=words)
    else:
        words = f"{what}: confined services have the resolvers of their tunnels all the same"
        yield finding(grade=Grade.NOTE, words=words)


def spelled(server: str) -> str:
    """Give an address as it is; what is none would not be asked either."""
    return server if parse_ip(server.partition("%")[0]) else ""
