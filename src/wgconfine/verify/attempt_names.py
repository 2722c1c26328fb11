"""Attempts to have a name looked up outside: by packets, and by asking daemons of the host."""

from __future__ import annotations

import socket
import struct

from wgconfine.verify.attempt import BLOCKED, OUT, SECONDS, SENT, ask_each, connect_all, refusals
from wgconfine.verify.attempt_network import query
from wgconfine.verify.bus import Bus, BusError, ask_system_bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from wgconfine.verify.attempt import Attempt, Outcome, Targets

DNS_PORT, DNS_TLS_PORT = 53, 853
STUBS = ("127.0.0.53", "127.0.0.54", "127.0.0.1")
STUB_NAME = "_localdnsstub"
"""A name that systemd-resolved answers itself, by 127.0.0.53: nss-resolve(8), systemd-resolved(8).
It never asks anybody for `.invalid` names, so that no packet tells of a look-up by it."""
OUTBOUND = "_outbound"
"""Likewise the host's own address. 252 knows this one, and asks its links for the other, which may
take longer than an attempt."""
STUB_ADDRESS = socket.inet_aton("127.0.0.53")

NSCD_VERSION, GETHOSTBYNAME, GETAI = 2, 4, 14  # glibc nscd/nscd-client.h


def libc(targets: Targets) -> Outcome:
    """What any program of the service does."""
    of_the_host = {"127.0.0.53", *(address for address, _, _ in targets.addresses)}
    notes = []
    for name in (OUTBOUND, f"{targets.token}.invalid", STUB_NAME):
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except OSError as error:
            notes.append(error.strerror or str(error))
            continue
        addresses = sorted({str(each[4][0]).partition("%")[0] for each in found})
        if name in {OUTBOUND, STUB_NAME} and of_the_host & {*addresses}:
            return OUT, f"systemd-resolved of the host answered: {name} is {' '.join(addresses)}"
        notes.append(f"{name} is {' '.join(addresses)}")
    return SENT, "; ".join(notes)


def stub(targets: Targets) -> Outcome:
    return straight(targets, STUBS)


def resolvers(targets: Targets) -> Outcome:
    if not targets.resolvers:
        return BLOCKED, "the host has none"
    return straight(targets, [each for each in targets.resolvers if each not in STUBS])


def outside(targets: Targets) -> Outcome:
    return straight(targets, [targets.outside])


def straight(targets: Targets, servers: Iterable[str]) -> Outcome:
    """Ask servers by UDP, TCP and the port of DNS over TLS."""
    question = query(targets.token)
    stub_question = query(STUB_NAME, domain="")
    notes: list[str] = []
    for server in servers:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        try:
            for asked in (question, stub_question):
                answer = ask_datagram(family, server, asked)
                if asked is stub_question and STUB_ADDRESS in answer[len(asked) :]:
                    return OUT, f"systemd-resolved of the host answered at {server}"
            ends = [(server, DNS_PORT), (server, DNS_TLS_PORT)]
            framed = struct.pack("!H", len(question)) + question
            (word, detail), _ = connect_all(family, ends, framed)
        except OSError as error:
            notes.append(f"{server} {refusals([error])}")
            continue
        notes.append(f"{server} {word}: {detail}")
    return SENT, "; ".join(notes)


def ask_datagram(family: int, server: str, question: bytes) -> bytes:
    """Give the answer, empty for none; raises OSError where the question was not let go."""
    with socket.socket(family, socket.SOCK_DGRAM) as end:
        end.settimeout(SECONDS / 4)
        end.connect((server, DNS_PORT))
        end.send(question)
        try:
            return end.recv(4096)
        except OSError:
            return b""


def varlink(targets: Targets) -> Outcome:
    """How nss-resolve(8) asks."""
    call = (
        '{"method":"io.systemd.Resolve.ResolveHostname",'
        f'"parameters":{{"name":"{targets.token}.invalid","family":2,"flags":0}}}}'
    )
    names = ("io.systemd.Resolve", "io.systemd.Resolve.Monitor")
    return ask_each([f"/run/systemd/resolve/{name}" for name in names], call.encode() + b"\0")


def dbus(targets: Targets) -> Outcome:
    return ask_system_bus(lambda bus: _resolve1(bus, targets.token))


REFUSED = (
    *("org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.ServiceUnknown"),
    *("org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.UnknownMethod"),
    *("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",),
)
"""A broker or a proxy answers so, or systemd to who may not: the call went no further."""


def _resolve1(bus: Bus, token: str) -> Outcome:
    body = bus.pack("isit", 0, f"{token}.invalid", socket.AF_INET, 0)
    place = ("org.freedesktop.resolve1", "/org/freedesktop/resolve1")
    try:
        bus.call(
            *place,
            "org.freedesktop.resolve1.Manager",
            "ResolveHostname",
            signature="isit",
            body=body,
        )
    except BusError as error:
        if error.name in REFUSED:
            return BLOCKED, f"the bus says {error.name.rpartition('.')[2]}"
        return OUT, f"resolve1 says {error.name}"
    return OUT, "resolve1 answered"


def nscd(targets: Targets) -> Outcome:
    name = f"{targets.token}.invalid".encode() + b"\0"
    paths = ("/run/nscd/socket", "/var/run/nscd/socket")
    kinds = [struct.pack("iii", NSCD_VERSION, kind, len(name)) for kind in (GETHOSTBYNAME, GETAI)]
    outcomes = [ask_each(paths, kind + name) for kind in kinds]
    return next((each for each in outcomes if each[0] != BLOCKED), outcomes[0])


def avahi(targets: Targets) -> Outcome:
    question = f"RESOLVE-HOSTNAME-IPV4 {targets.token}.invalid\n".encode()
    return ask_each(["/run/avahi-daemon/socket", "/var/run/avahi-daemon/socket"], question)


def sssd(targets: Targets) -> Outcome:
    question = struct.pack("IIII", 16, 1, 0, 0) + targets.token[:0].encode()  # SSS_GET_VERSION
    return ask_each([f"/var/lib/sss/pipes/{name}" for name in ("nss", "autofs", "ssh")], question)


ATTEMPTS: dict[str, Attempt] = {
    "dns-libc": libc,
    "dns-stub": stub,
    "dns-resolvers": resolvers,
    "dns-outside": outside,
    "dns-varlink": varlink,
    "dns-dbus": dbus,
    "dns-nscd": nscd,
    "dns-avahi": avahi,
    "dns-sssd": sssd,
}
