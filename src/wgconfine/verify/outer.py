"""Is the socket of a tunnel with `via` in the namespace of the tunnel that it goes through?

WireGuard's socket stays where its link was asked for. In the host's namespace the encrypted packets
would leave in the open.
"""

from collections.abc import Callable, Iterable
from functools import partial

from wgconfine.model.settings import TunnelName
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.render.record import host_link
from wgconfine.runtime.namespace import identity
from wgconfine.runtime.paths import record_of_namespace
from wgconfine.system.listeners import HOST, Stranger, strangers
from wgconfine.system.sockdiag import InetSocket
from wgconfine.verify.ports import listed_inside, listed_on_host
from wgconfine.verify.subject import Subject

__all__ = ["check_outer", "judge_kernel", "judge_userspace", "links_on_the_way"]

Identity = tuple[int, int] | None

check = partial(Check, area=Area.STRUCTURE, name="outer-socket")


def check_outer(subject: Subject, *, userspace: bool, port: str) -> list[Check]:
    """Look where the socket is; nothing to say of a tunnel without `via`. Needs root.

    `port` is the one that the link listens at.
    """
    via = subject.applied.via
    if via is None:
        return []
    mend = f"systemctl restart wgconfine@{subject.name}.service"
    if userspace:
        pid = subject.states[f"wgconfine-wireguard@{subject.name}.service"].main_pid
        seen = identity(f"/proc/{pid}/ns/net") if pid else None
        wanted = identity(record_of_namespace(via))
        return [judge_userspace(via, seen, wanted, identity(HOST), mend)]
    inside = unheld(
        record_of_namespace(via), port, partial(listed_inside, record_of_namespace(via))
    )
    host = unheld(HOST, port, lambda: listed_on_host()[0])
    return [judge_kernel(subject.name, via, port, inside=inside, host=host)]


def unheld(
    namespace: str, port: str, listed: Callable[[], Iterable[InetSocket]]
) -> tuple[Stranger, ...]:
    """Give the UDP sockets at a port that no process holds: those of the kernel itself."""

    def at_port() -> list[InetSocket]:
        return [
            each
            for each in listed()
            if each.protocol == "udp" and each.local.rpartition(":")[2] == port
        ]

    found = strangers(namespace, listed=at_port, known=())
    return tuple(each for each in found if not each.holder.pid)


def judge_userspace(
    via: TunnelName, seen: Identity, wanted: Identity, host: Identity, mend: str
) -> Check:
    """Judge by the network namespace of wireguard-go, which has its sockets there."""
    if seen is None or host is None:
        return check(verdict=Verdict.UNKNOWN, evidence="the process wireguard-go can't be seen")
    if seen == wanted and seen != host:
        return check(verdict=Verdict.OK, evidence=f"wireguard-go is in the namespace of {via}")
    where = "the host's namespace" if seen == host else "another namespace"
    evidence = f"wireguard-go is in {where}, not in that of {via}"
    return check(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)


def judge_kernel(
    name: TunnelName,
    via: TunnelName,
    port: str,
    *,
    inside: Iterable[Stranger],
    host: Iterable[Stranger],
) -> Check:
    """Judge by the kernel's own sockets at the link's port: nothing else tells whose they are."""
    restart = f"systemctl restart wgconfine@{name}.service"
    match bool(tuple(inside)), bool(tuple(host)):
        case True, False:
            evidence = f"UDP port {port} of the kernel is in the namespace of {via}"
            return check(verdict=Verdict.OK, evidence=evidence)
        case True, True:
            evidence = f"the kernel has UDP port {port} in the namespace of {via} and in the host's"
            other_port = f"systemctl start wgconfine-rebind@{name}.service"
            return check(verdict=Verdict.UNKNOWN, evidence=evidence, mend=other_port)
        case False, True:
            evidence = f"UDP port {port} of the kernel is in the host's namespace, not in {via}'s"
            return check(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=restart)
        case _:
            evidence = f"there is no socket at UDP port {port}: it carries nothing"
            return check(verdict=Verdict.BROKEN, evidence=evidence, mend=restart)


def links_on_the_way(carried: Iterable[TunnelName]) -> frozenset[str]:
    """Give the names that links of wireguard-go bear here until they are moved to their tunnels."""
    return frozenset(map(host_link, carried))
