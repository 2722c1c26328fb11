"""Watch the host for tokens of probes: whoever says one there has got out.

It listens on the host's own addresses for as long as probes run, and sees every packet that leaves
by any link of the host. A packet of the tunnel's own shows nothing: WireGuard has sealed it.
"""

import contextlib
import ctypes
import json
import re
import selectors
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from wgconfine.config.ports import LOOK_UPS
from wgconfine.runtime.process import ENVIRONMENT
from wgconfine.verify.attempt import is_link_local, outside_address, outside_port

__all__ = ["HostAddress", "Sighting", "Witness", "host_addresses"]

TOKEN = re.compile(rb"wgc[0-9a-f]{20}")
MOST_ADDRESSES = 16
MOST_SIGHTINGS = 4096
MOST_ENDS = 200
_EXPERIMENTAL = 0x88B5
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_ALL_PROTOCOLS = 3
_BUFFER = 4 << 20
_PACKET_OUTGOING = 4
_FRAME = 2048
_ICMP, _TCP, _UDP, _ICMP6 = 1, 6, 17, 58


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAddress:
    """An address of the host's; `link` is the number of its link."""

    address: str
    link: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A token that was seen outside, and where."""

    token: str
    where: str


class Witness:
    """From entering to leaving it watches, in a thread of its own."""

    def __init__(self, addresses: tuple[HostAddress, ...], abstract: str) -> None:
        self.ports: list[tuple[str, int, int]] = []
        self.sightings: list[Sighting] = []
        self.blind = ""
        """Why packets could not be watched, empty if they could."""
        self._local = {each.address for each in addresses}
        self._selector = selectors.DefaultSelector()
        self._stop, self._stopped = socket.socketpair()
        self._tokens: dict[tuple[str, int], str] = {}
        self._expected: set[str] = set()
        self._sniffer: socket.socket | None = None
        self._selector.register(self._stopped, selectors.EVENT_READ)
        for each in addresses[:MOST_ADDRESSES]:
            self._listen(each)
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end.bind("\0" + abstract)
        end.listen(8)
        self._register(end)
        self._watch_links()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.send(b"x")
        self._thread.join()
        self._count_lost()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._stop.close()

    def _count_lost(self) -> None:
        """What the kernel had no room for was not seen: packet(7), PACKET_STATISTICS."""
        if self._sniffer is not None:
            counted = self._sniffer.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
            _, lost = struct.unpack("II", counted)
            if lost:
                self.blind = f"{lost} were lost on this busy machine"

    def expect(self, tokens: Mapping[str, str]) -> None:
        """Know these tokens, and packets to 192.0.2.0/24 that have no room for one by where they
        go.
        """
        self._expected |= set(tokens.values())
        for token in tokens.values():
            address = outside_address(token)
            self._tokens[address, outside_port(token)] = token
        for name in ("dns-outside",):
            if name in tokens:
                for port in LOOK_UPS:
                    self._tokens[outside_address(tokens[name]), port] = tokens[name]

    def _listen(self, host: HostAddress) -> None:
        family = socket.AF_INET6 if ":" in host.address else socket.AF_INET
        scope = host.link if is_link_local(host.address) else 0
        place = (host.address, 0, 0, scope) if family == socket.AF_INET6 else (host.address, 0)
        ends = []
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                end = socket.socket(family, kind)
                ends.append(end)
                end.bind(place)
        except OSError:  # it went, or is not ours yet (tentative)
            for end in ends:
                end.close()
            return
        ends[0].listen(8)
        tcp, udp = (int(end.getsockname()[1]) for end in ends)
        self.ports.append((host.address, tcp, udp))
        for end in ends:
            self._register(end)

    def _register(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._selector.register(end, selectors.EVENT_READ)

    def _watch_links(self) -> None:
        try:
            end = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            with contextlib.suppress(PermissionError):  # in a container; else past rmem_max
                end.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            _attach(end, packet_filter())
        except OSError as error:
            self.blind = error.strerror or str(error)
            return
        self._sniffer = end
        self._register(end)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                end = key.fileobj
                if end is self._stopped:
                    return
                if isinstance(end, socket.socket):
                    with contextlib.suppress(OSError):
                        self._take(end)

    def _take(self, end: socket.socket) -> None:
        if end is self._sniffer:
            frame, address = end.recvfrom(_FRAME)
            self._frame(frame, f"a packet that left by {address[0]}")
        elif end.type != socket.SOCK_STREAM:
            self._heard(*end.recvfrom(64))
        elif end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            accepted, _ = end.accept()
            if len(self._selector.get_map()) < MOST_ENDS:
                self._register(accepted)
            else:
                accepted.close()
        else:
            self._selector.unregister(end)
            with contextlib.closing(end):
                self._heard(end.recv(64), end.getpeername())

    def _heard(self, said: bytes, peer: object) -> None:
        """What comes from elsewhere than this host came to its address by way of the tunnel."""
        source = str(peer[0]).partition("%")[0] if isinstance(peer, tuple) else ""
        if not source or source in self._local or source.startswith("127."):
            self._see(said, f"a connection to the host from {source or 'a process of it'}")

    def _frame(self, frame: bytes, where: str) -> None:
        self._see(frame.lower(), where)
        target = ip_target(frame)
        if target in self._tokens:
            self._add(self._tokens[target], where)

    def _see(self, data: bytes, where: str) -> None:
        for found in TOKEN.findall(data):
            self._add(found.decode(), where)

    def _add(self, token: str, where: str) -> None:
        if token in self._expected and len(self.sightings) < MOST_SIGHTINGS:
            self.sightings.append(Sighting(token=token, where=where))


def ip_target(packet: bytes) -> tuple[str, int]:
    """Where an IPv4 packet of TCP or UDP goes; ("", 0) for any other."""
    head = (packet[0] & 15) * 4 if packet else 0
    if len(packet) < head + 4 or packet[:1] < b"\x45" or packet[:1] > b"\x4f":
        return "", 0
    if packet[9] not in {_TCP, _UDP}:
        return "", 0
    return socket.inet_ntoa(packet[16:20]), int.from_bytes(packet[head + 2 : head + 4], "big")


def packet_filter() -> bytes:
    """A filter (Linux: networking/filter.rst) for what leaves and could be a probe's: anything to
    192.0.2.0/24, questions to a name server, multicast and broadcast, ICMPv6, frames of our own.
    """
    protocol, kind = 0xFFFFF000 + 0, 0xFFFFF000 + 4
    lines: list[tuple[str, int, int, str, str]] = [
        ("", 0x20, kind, "", ""),
        ("", 0x15, _PACKET_OUTGOING, "", "drop"),
        ("", 0x20, protocol, "", ""),
        ("", 0x15, _EXPERIMENTAL, "take", ""),
        ("", 0x15, 0x86DD, "six", ""),
        ("", 0x15, 0x0800, "", "drop"),
        ("", 0x20, 16, "", ""),  # IPv4: the target
        ("", 0x54, 0xFFFFFF00, "", ""),
        ("", 0x15, 0xC0000200, "take", ""),
        ("", 0x54, 0xF0000000, "", ""),
        ("", 0x35, 0xE0000000, "take", ""),
        ("", 0x30, 9, "", ""),
        ("", 0x15, _UDP, "ports", ""),
        ("", 0x15, _TCP, "ports", "drop"),
        ("ports", 0xB1, 0, "", ""),  # the length of the header
        ("", 0x48, 2, "", ""),
        *(("", 0x15, port, "take", "") for port in LOOK_UPS),
        ("", 0x06, 0, "", ""),
        ("six", 0x30, 6, "", ""),
        ("", 0x15, _ICMP6, "take", ""),
        ("", 0x30, 24, "", ""),
        ("", 0x15, 0xFF, "take", ""),
        ("", 0x28, 42, "", ""),
        *(("", 0x15, port, "take", "") for port in LOOK_UPS),
        ("drop", 0x06, 0, "", ""),
        ("take", 0x06, _FRAME, "", ""),
    ]
    places = {label: number for number, (label, *_) in enumerate(lines) if label}
    return b"".join(
        struct.pack(
            "HBBI",
            code,
            places[yes] - number - 1 if yes else 0,
            places[no] - number - 1 if no else 0,
            value,
        )
        for number, (_, code, value, yes, no) in enumerate(lines)
    )


def _attach(end: socket.socket, program: bytes) -> None:
    buffer = ctypes.create_string_buffer(program, len(program))
    count = len(program) // 8
    pointer = struct.pack("HxxxxxxP", count, ctypes.addressof(buffer))
    end.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)


def host_addresses() -> tuple[tuple[HostAddress, ...], tuple[str, ...]]:
    """Give the addresses of the host's links other than the loopback, and all links' names."""
    done = subprocess.run(
        ["ip", "-j", "address"],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=10,
    )
    try:
        links = json.loads(done.stdout or b"[]")
    except ValueError:
        links = []
    return tuple(_addresses(links)), tuple(str(link["ifname"]) for link in links if link)


def _addresses(links: list[dict[str, object]]) -> Iterator[HostAddress]:
    for link in links:
        listed = link.get("addr_info")
        if link.get("ifname") == "lo" or not isinstance(listed, list):
            continue
        for each in listed:
            yield HostAddress(address=str(each["local"]), link=int(str(link["ifindex"])))
