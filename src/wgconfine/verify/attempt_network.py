"""Attempts to reach the host, or somebody, with packets."""

from __future__ import annotations

import socket

from wgconfine.verify.attempt import (
    BLOCKED,
    OPEN,
    OUT,
    SENT,
    connect_all,
    interfaces,
    is_link_local,
    refusals,
    send_datagrams,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wgconfine.verify.attempt import Attempt, Outcome, Targets

MDNS_PORT = 5353
EXPERIMENTAL = 0x88B5  # an ethertype for local experiments: IEEE 802
ECHO_REQUEST, ECHO_REQUEST_6 = 8, 128
SO_BINDTODEVICE = 25


def tcp4(targets: Targets) -> Outcome:
    ends = [(address, tcp) for address, tcp, _ in targets.own(socket.AF_INET)]
    ends.append((targets.outside, targets.outside_port))
    return connect_all(socket.AF_INET, ends, targets.token.encode())[0]


def tcp6(targets: Targets) -> Outcome:
    ends = [(address, tcp) for address, tcp, _ in targets.own(socket.AF_INET6)]
    return connect_all(socket.AF_INET6, ends, targets.token.encode())[0]


def udp4(targets: Targets) -> Outcome:
    ends = [(address, udp) for address, _, udp in targets.own(socket.AF_INET)]
    ends.append((targets.outside, targets.outside_port))
    return send_datagrams(socket.AF_INET, ends, targets.token.encode())


def udp6(targets: Targets) -> Outcome:
    ends = [(address, udp) for address, _, udp in targets.own(socket.AF_INET6)]
    return send_datagrams(socket.AF_INET6, ends, targets.token.encode())


def link_local(targets: Targets) -> Outcome:
    ends = [
        (address, udp, 0, number)
        for address, _, udp in targets.addresses
        if is_link_local(address)
        for number, _ in interfaces()
    ]
    ends += [("ff02::1", targets.outside_port, 0, number) for number, _ in interfaces()]
    return send_datagrams(socket.AF_INET6, ends, targets.token.encode())


def multicast4(targets: Targets) -> Outcome:
    return send_datagrams(socket.AF_INET, [("224.0.0.251", MDNS_PORT)], query(targets.token))


def multicast6(targets: Targets) -> Outcome:
    ends = [("ff02::fb", MDNS_PORT, 0, number) for number, _ in interfaces()]
    return send_datagrams(socket.AF_INET6, ends, query(targets.token))


def broadcast(targets: Targets) -> Outcome:
    ends = [("255.255.255.255", targets.outside_port)]
    payload = targets.token.encode()
    return send_datagrams(socket.AF_INET, ends, payload, [socket.SO_BROADCAST])


def query(token: str, domain: str = "invalid", kind: int = 1) -> bytes:
    """A DNS query for TOKEN.invalid (RFC 6761: nobody's): RFC 1035."""
    labels = [token, domain] if domain else [token]
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels)
    head = (sum(token.encode()) & 0xFFFF).to_bytes(2, "big")
    tail = b"\0" + kind.to_bytes(2, "big") + b"\0\1"
    return head + b"\1\0\0\1\0\0\0\0\0\0" + name + tail


def raw(targets: Targets) -> Outcome:
    """Echo requests; a program may need no right for them (ping_group_range), or CAP_NET_RAW."""
    errors: list[OSError] = []
    sent = []
    for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM):
        for family, protocol, code in (
            (socket.AF_INET, socket.IPPROTO_ICMP, ECHO_REQUEST),
            (socket.AF_INET6, socket.IPPROTO_ICMPV6, ECHO_REQUEST_6),
        ):
            try:
                _echo(targets, family, kind, protocol, code)
                sent.append(f"{family.name} {kind.name}")
            except OSError as error:
                errors.append(error)
    return (SENT, f"sent by {', '.join(sent)}") if sent else (BLOCKED, refusals(errors))


def _echo(targets: Targets, family: int, kind: int, protocol: int, code: int) -> None:
    with socket.socket(family, kind, protocol) as end:
        addresses = [address for address, _, _ in targets.own(family)]
        addresses += [targets.outside] if family == socket.AF_INET else []
        message = bytearray(bytes([code, 0, 0, 0, 0, 1, 0, 1]) + targets.token.encode())
        message[2:4] = _checksum(bytes(message))
        for address in addresses:
            try:
                end.sendto(bytes(message), (address, 0))
            except OSError as error:
                if len(addresses) == 1:
                    raise OSError(error.errno, error.strerror) from error


def _checksum(message: bytes) -> bytes:
    """RFC 1071."""
    padded = message + b"\0" * (len(message) % 2)
    total = sum(int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def packet(targets: Targets) -> Outcome:
    """Frames below every firewall."""
    errors: list[OSError] = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            with socket.socket(socket.AF_PACKET, kind) as end:
                for number, name in interfaces():
                    _frame(end, name or str(number), targets.token.encode())
                return OPEN, f"{kind.name} of AF_PACKET"
        except OSError as error:
            errors.append(error)
    return BLOCKED, refusals(errors)


def _frame(end: socket.socket, link: str, payload: bytes) -> None:
    try:
        end.sendto(payload, (link, EXPERIMENTAL, 0, 0, b"\xff" * 6))
    except OSError:
        return


def bind_device(targets: Targets) -> Outcome:
    """A socket of one link of the host's, whatever the routes say."""
    here = {name for _, name in interfaces()}
    errors: list[OSError] = []
    for link in targets.links:
        if link in here and link in {"lo", "wg0"}:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            try:
                end.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, link.encode() + b"\0")
                end.sendto(targets.token.encode(), (targets.outside, targets.outside_port))
            except OSError as error:
                errors.append(error)
                continue
            return OUT, f"sent by {link}"
    return BLOCKED, refusals(errors)


ATTEMPTS: dict[str, Attempt] = {
    "tcp4": tcp4,
    "tcp6": tcp6,
    "udp4": udp4,
    "udp6": udp6,
    "link-local": link_local,
    "multicast4": multicast4,
    "multicast6": multicast6,
    "broadcast": broadcast,
    "raw": raw,
    "packet": packet,
    "bind-device": bind_device,
}
