"""Does the tunnel carry? A look-up and a connection to each resolver, and each peer's handshake."""

import errno
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

from wgconfine.config.check import unreachable
from wgconfine.config.conf import Conf
from wgconfine.model.errors import OperationFailed
from wgconfine.model.settings import Backend, IPAddress, IPNetwork, TunnelName
from wgconfine.model.state import UnitState, judge
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.render.record import host_link
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.link import declared
from wgconfine.runtime.paths import LINK, tunnel_state
from wgconfine.system.tunnelstate import peer_lines
from wgconfine.verify.inside import ask_inside
from wgconfine.verify.query import CODES, A, Answer, NotAnAnswer, encode, read_answer
from wgconfine.verify.subject import Subject

__all__ = ["Peer", "Reply", "ask_resolver", "check_works", "judge_works"]

FRESH = 180
"""Seconds: WireGuard takes no packet of an older session (REJECT_AFTER_TIME), and makes a new one
with the next packet that is sent."""
DNS, DISCARD = 53, 9
TRIES, PATIENCE = 3, 2.0
"""A packet that is lost, or waits for a handshake, is sent again: three times two seconds."""
SETTLE = 6.0
"""A handshake without an answer is tried again after five seconds (REKEY_TIMEOUT)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one resolver did. `look_up` is the name of its answer's code, `connect` `accepted` or
    `refused`; each is None where nothing came, and then its `error` says what was seen instead.
    `local` says that the address is of the namespace itself: no packet left.
    """

    address: IPAddress
    look_up: str | None
    connect: str | None
    look_up_error: str = ""
    connect_error: str = ""
    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer of the live link. `handshake_age` is in seconds, None before the first."""

    public_key: str
    endpoint: str | None
    allowed_ips: tuple[IPNetwork, ...]
    handshake_age: int | None
    received: int
    sent: int

    @property
    def fresh(self) -> bool:
        return self.handshake_age is not None and self.handshake_age <= FRESH

    def __str__(self) -> str:
        return f"{self.public_key[:8]}…"


def check_works(subject: Subject) -> list[Check]:
    """Look whether packets come back through the tunnel. Sends to its resolvers and peers alone.

    A look-up asks for a token below `.invalid`: any answer will do, and tells a stranger nothing.
    """
    unit = f"wgconfine@{subject.name}.service"
    word = judge(subject.states[unit])
    if word != "running":
        return [found("tunnel", Verdict.BROKEN, f"{unit}: {word}", f"systemctl start {unit}")]
    if (via := subject.applied.via) and (trouble := check_via(via, subject.states)):
        return [trouble]
    link = host_link(subject.name) if subject.backend is Backend.USERSPACE else LINK
    try:
        resolvers = read_resolvers(subject.name)
        away = out_of_reach(resolvers, declared(subject.name))
        asked = [each for each in resolvers if each not in away]
        before = read_peers(subject.name, link)
        replies = probe(subject.name, asked, [peer for peer in before if not peer.fresh])
        after = settled(lambda: read_peers(subject.name, link), before)
    except (OSError, OperationFailed, Failure) as error:
        return [found("tunnel", Verdict.UNKNOWN, str(error))]
    checks = judge_works(
        subject.name, replies, before, after, waiting=read_waiting(subject.name), behind=is_behind()
    )
    return [*(found("dns", Verdict.UNAVAILABLE, why) for why in away.values()), *checks]


def check_via(via: TunnelName, states: Mapping[str, UnitState]) -> Check | None:
    """Say that the tunnel which this one goes through is not up: then nothing can come back."""
    unit = f"wgconfine@{via}.service"
    word = judge(states[unit]) if unit in states else "not-found"
    if word == "running":
        return None
    evidence = f"it goes through tunnel {via}, which is not up: {word}"
    return found("via", Verdict.BROKEN, evidence, f"systemctl start {unit}")


def found(name: str, verdict: Verdict, evidence: str, mend: str = "") -> Check:
    return Check(area=Area.WORKS, name=name, verdict=verdict, evidence=evidence, mend=mend)


def read_resolvers(name: TunnelName) -> tuple[IPAddress, ...]:
    """Give the resolvers in force. Raises OSError."""
    text = Path(tunnel_state(name), "resolv.conf").read_text(encoding="utf-8")
    lines = (line.split() for line in text.splitlines())
    return tuple(ip_address(words[1]) for words in lines if words[:1] == ["nameserver"])


def out_of_reach(resolvers: Sequence[IPAddress], conf: Conf) -> dict[IPAddress, str]:
    """Give the resolvers that the tunnel leads nowhere to, each with why.

    Providers name an IPv6 resolver to those without IPv6, too, and programs ask the next one. None
    where no other is left: then that nothing answers is what there is to say.
    """
    addresses = [ip_interface(each) for each in conf.addresses]
    networks = [ip_network(each) for peer in conf.peers for each in peer.allowed_ips]
    if unreachable(resolvers, addresses, networks):
        return {}
    reasons = {each: unreachable([each], addresses, networks) for each in resolvers}
    return {each: why for each, why in reasons.items() if why}


def read_waiting(name: TunnelName) -> dict[str, str]:
    """Give the host names of endpoints, by public key: wgconfine-endpoint@ looks them up."""
    try:
        text = Path(tunnel_state(name), "endpoints").read_text(encoding="utf-8")
    except OSError:
        return {}
    return {key: host for key, host, *_ in map(str.split, text.splitlines())}


def read_peers(name: TunnelName, link: str) -> tuple[Peer, ...]:
    """Give the peers of the live link. Raises OperationFailed."""
    lines = peer_lines(name, link)
    if lines is None:
        raise OperationFailed("wg show", f"it does not show the link of {name}")
    return tuple(peer_of(fields, time.time()) for fields in lines)


def peer_of(fields: Sequence[str], now: float) -> Peer:
    """Read a line of `wg show LINK dump`: wg(8). The preshared key is left where it is."""
    public_key, _, endpoint, allowed_ips, handshake, received, sent, _ = fields
    networks = () if allowed_ips == "(none)" else map(ip_network, allowed_ips.split(","))
    return Peer(
        public_key=public_key,
        endpoint=None if endpoint == "(none)" else endpoint,
        allowed_ips=tuple(networks),
        handshake_age=None if handshake == "0" else max(0, int(now) - int(handshake)),
        received=int(received),
        sent=int(sent),
    )


def is_behind() -> bool:
    """Tell whether the clock is older than this very file, as after a boot without a battery."""
    return time.time() < Path(__file__).stat().st_mtime


def settled(look: Callable[[], tuple[Peer, ...]], before: Sequence[Peer]) -> tuple[Peer, ...]:
    """Give the peers when each that was sent something has a handshake, or had time for one."""
    known = {peer.public_key: peer for peer in before}
    deadline = time.monotonic() + SETTLE
    while True:
        after = look()
        waited = [
            peer for peer in after if peer.endpoint and not peer.fresh and is_used(peer, known)
        ]
        if not waited or time.monotonic() > deadline:
            return after
        time.sleep(0.1)


def is_used(peer: Peer, before: dict[str, Peer]) -> bool:
    """Tell whether anything was sent to a peer since."""
    earlier = before.get(peer.public_key)
    return earlier is None or peer.sent > earlier.sent


def probe(name: TunnelName, resolvers: Sequence[IPAddress], silent: Iterable[Peer]) -> list[Reply]:
    """Ask every resolver and wake every silent peer, from inside. Raises OperationFailed."""
    wake = [target for peer in silent for target in targets(peer.allowed_ips)]
    addresses = list(map(str, resolvers))
    answers = ask_inside(
        name, lambda: ask_all(addresses, wake), seconds=TRIES * PATIENCE + 2 * SETTLE
    )
    return [Reply(address=ip_address(address), **answer) for address, answer in answers.items()]


def targets(networks: Iterable[IPNetwork]) -> list[str]:
    """Give an address within a peer's networks, one of each family, to which a packet makes it
    shake hands. Within whole families those that are nobody's: RFC 5737 and RFC 3849.
    """
    chosen: dict[int, str] = {}
    for network in networks:
        nobody = ip_address("192.0.2.1" if network.version == 4 else "2001:db8::1")  # noqa: PLR2004 — IP
        single = network.num_addresses == 1
        within = network.network_address if single else network.network_address + 1
        chosen.setdefault(network.version, str(nobody if nobody in network else within))
    return list(chosen.values())


def ask_all(addresses: Sequence[str], wake: Iterable[str]) -> dict[str, Any]:
    """What the child does inside: all at once, since each may take seconds to say nothing."""
    for target in wake:
        send_nothing(target)
    with ThreadPoolExecutor(max_workers=2 * len(addresses) + 1) as pool:
        look_ups, connections = pool.map(look_up, addresses), pool.map(connect, addresses)
        return {
            address: by_udp | by_tcp
            for address, by_udp, by_tcp in zip(addresses, look_ups, connections, strict=True)
        }


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def send_nothing(target: str) -> None:
    """Send an empty datagram, for which WireGuard must have a session."""
    try:
        with socket.socket(family(target), socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", (target, DISCARD))
    except OSError:  # no route of this family: the handshake itself is what is judged
        return


def look_up(address: str) -> dict[str, Any]:
    token = f"{secrets.token_hex(8)}.invalid"
    try:
        (code, _), local = ask_resolver(address, token, A)
    except (OSError, NotAnAnswer) as error:
        return {"look_up": None, "look_up_error": said(error)}
    return {"look_up": CODES.get(code, f"code {code}"), "local": local}


def ask_resolver(address: str, name: str, kind: int) -> tuple[Answer, bool]:
    """Ask a resolver by UDP for the addresses of a name; the second says that it is our own.

    Raises OSError where nothing comes, NotAnAnswer where only something else does.
    """
    number = secrets.randbelow(1 << 16)
    query = encode(name, kind, number)
    wrong: Exception = TimeoutError(f"no answer within {TRIES * PATIENCE:g} s")
    with socket.socket(family(address), socket.SOCK_DGRAM) as asking:
        asking.connect((address, DNS))
        for _ in range(TRIES):
            asking.send(query)
            deadline = time.monotonic() + PATIENCE
            while (left := deadline - time.monotonic()) > 0:
                asking.settimeout(left)
                try:
                    data = asking.recv(1 << 16)
                    return read_answer(data, name, kind, number), asking.getsockname()[0] == address
                except TimeoutError:
                    break
                except NotAnAnswer as error:
                    wrong = error
    raise wrong


def connect(address: str) -> dict[str, Any]:
    """Try a TCP connection; a refusal proves just as well that packets come back."""
    try:
        with socket.socket(family(address), socket.SOCK_STREAM) as connecting:
            connecting.settimeout(TRIES * PATIENCE)
            status = connecting.connect_ex((address, DNS))
    except OSError as error:
        return {"connect": None, "connect_error": said(error)}
    words = {0: "accepted", errno.ECONNREFUSED: "refused"}
    if status in words:
        return {"connect": words[status]}
    timeouts = {errno.EAGAIN, errno.EINPROGRESS, errno.ETIMEDOUT}
    silent = f"no answer within {TRIES * PATIENCE:g} s"
    return {"connect": None, "connect_error": silent if status in timeouts else os.strerror(status)}


def said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def judge_works(
    name: TunnelName,
    replies: Sequence[Reply],
    before: Sequence[Peer],
    after: Sequence[Peer],
    *,
    waiting: dict[str, str],
    behind: bool,
) -> list[Check]:
    """Judge what was seen. Pure."""
    known = {peer.public_key: peer for peer in before}
    checks = [check for reply in replies for check in (judge_look_up(reply), judge_connect(reply))]
    if not replies:
        words = "no resolver is declared (dns = []): there is nothing to ask"
        checks.append(found("dns", Verdict.UNAVAILABLE, words))
    checks += judge_received(replies, known, after)
    return checks + [judge_peer(name, each, known, waiting, behind=behind) for each in after]


def judge_look_up(reply: Reply) -> Check:
    where = f"{reply.address}, port 53 by UDP"
    if reply.look_up is not None:
        return found("dns", Verdict.OK, f"{where}: {reply.look_up} for a name of our own")
    hint = "; the tunnel carries, and this resolver does not answer" if reply.connect else ""
    return found("dns", Verdict.BROKEN, f"{where}: {reply.look_up_error}{hint}")


def judge_connect(reply: Reply) -> Check:
    name = f"connect-v{reply.address.version}"
    where = f"{reply.address}, port 53 by TCP"
    if reply.connect is not None:
        return found(name, Verdict.OK, f"{where}: {reply.connect}")
    if reply.look_up is not None:  # the tunnel carries; some resolvers drop TCP
        return found(name, Verdict.UNAVAILABLE, f"{where}: {reply.connect_error}")
    return found(name, Verdict.BROKEN, f"{where}: {reply.connect_error}")


def judge_received(
    replies: Iterable[Reply], before: dict[str, Peer], after: Iterable[Peer]
) -> list[Check]:
    """See that what was answered came in through a peer, and not from somewhere else."""
    if not any((each.look_up or each.connect) and not is_local(each) for each in replies):
        return []
    new = sum(
        peer.received - (before[peer.public_key].received if peer.public_key in before else 0)
        for peer in after
    )
    if new > 0:
        return [found("received", Verdict.OK, f"{new} bytes came in from peers meanwhile")]
    return [found("received", Verdict.UNKNOWN, "there was an answer, but no byte from any peer")]


def is_local(reply: Reply) -> bool:
    return reply.local or reply.address.is_loopback


def judge_peer(
    name: TunnelName,
    peer: Peer,
    before: dict[str, Peer],
    waiting: dict[str, str],
    *,
    behind: bool,
) -> Check:
    """Judge one peer by its handshake, if anything was sent to it."""
    if peer.fresh:
        return found("handshake", Verdict.OK, f"{peer}: {peer.handshake_age} s ago")
    if peer.endpoint is None:
        if peer.public_key in waiting:
            words = f"{peer}: its endpoint {waiting[peer.public_key]} has not been resolved yet"
            mend = f"systemctl restart wgconfine-endpoint@{name}.service"
            return found("handshake", Verdict.BROKEN, words, mend)
        words = f"{peer}: it has no endpoint, so it must begin"
        return found("handshake", Verdict.UNAVAILABLE, words)
    seen = "never" if peer.handshake_age is None else f"{peer.handshake_age} s ago"
    if not is_used(peer, before):
        words = f"{peer}: {seen}, and nothing of ours goes to it"
        return found("handshake", Verdict.UNAVAILABLE, words)
    why = reason(peer, before, behind=behind)
    mend = "timedatectl set-ntp true" if behind else ""
    return found("handshake", Verdict.BROKEN, f"{peer} at {peer.endpoint}: {seen}; {why}", mend)


def reason(peer: Peer, before: dict[str, Peer], *, behind: bool) -> str:
    """Give what is likely wrong where a peer was sent something and has no handshake."""
    earlier = before.get(peer.public_key)
    if behind:
        return "this machine's clock is behind, and a peer takes no handshake older than the last"
    if earlier is not None and peer.received > earlier.received:
        return "it answers, but no handshake comes about: compare the preshared key"
    if peer.handshake_age is None:
        return (
            "nothing came back: it does not know our key, is not there, "
            "or a firewall of the host stops its UDP"
        )
    return "nothing came back, though it did before: it is not there, or forgot our key"
