"""Counting packets: tcpdump between two beacons, nothing dropped, a written list of what may pass.

A capture that cannot be trusted raises; it never counts as "no packets".
"""

import os
import re
import secrets
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from scapy.layers.dns import DNS
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, UDPerror
from scapy.layers.inet6 import IPerror6, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.utils import RawPcapReader

from lab.internet import WIREGUARD_PORT, WORLD, Internet

ENDPOINTS = tuple((address, WIREGUARD_PORT) for address in WORLD)
MULTICAST_LISTENER = {130, 131, 132, 143}  # ICMPv6 types, RFC 2710 and 3810
NEIGHBOUR_DISCOVERY = {133, 134, 135, 136, 137}  # RFC 4861
DHCP_PORTS = {67, 68, 546, 547}
IGMP, ICMPV6 = 2, 58  # the protocols' numbers
IP_VERSION_6 = 6
LINK_ETHERNET = 1
BEACON = b"lab-beacon "
"""How each begins: another capture may run meanwhile, and sends its own."""
PATIENCE = 120
"""Seconds for tcpdump to begin, to write down a beacon, and to end."""
AGAIN = 2
"""Seconds after which a beacon that was not seen is sent again: a full queue may have lost it."""
PCAP_HEADER, RECORD_HEADER = 24, 16  # bytes: pcap-savefile(5)


class CaptureError(AssertionError):
    """The capture proves nothing: it did not start, missed a beacon, or lost packets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One frame. `name` is what a DNS query asks for."""

    time: float
    protocol: str
    source: str
    target: str
    source_port: int | None = None
    target_port: int | None = None
    name: str | None = None
    icmp_type: int | None = None
    length: int = 0
    payload: bytes = field(default=b"", repr=False)
    quoted: "Packet | None" = field(default=None, repr=False)

    def __str__(self) -> str:
        def end(address: str, port: int | None) -> str:
            return address if port is None else f"{address}.{port}"

        asks = f" {self.name}?" if self.name else ""
        kind = f" type {self.icmp_type}" if self.icmp_type is not None else ""
        ends = f"{end(self.source, self.source_port)} > {end(self.target, self.target_port)}"
        return f"{self.time:.6f} {self.protocol} {ends}:{kind}{asks} length {self.length}"

    def is_wireguard(self, endpoints: Sequence[tuple[str, int]]) -> bool:
        """To or from an endpoint, and a WireGuard message by its first four bytes."""
        ends = {(self.source, self.source_port), (self.target, self.target_port)}
        message = (
            self.payload[:1] in {b"\1", b"\2", b"\3", b"\4"} and self.payload[1:4] == b"\0\0\0"
        )
        return self.protocol == "UDP" and not ends.isdisjoint(endpoints) and message


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """TCP between one client and one port of one server, on purpose: a published port.

    Where it is not `answered`, only the client may send: somebody knocks, and nobody opens.
    """

    client: str
    server: str
    port: int
    answered: bool = True

    def has(self, packet: Packet) -> bool:
        """Tell whether a packet belongs to it, by all four of addresses, port and protocol."""
        if packet.protocol != "TCP":
            return False
        ends = (packet.source, packet.target)
        if ends == (self.client, self.server):
            return packet.target_port == self.port
        return (
            self.answered and ends == (self.server, self.client) and packet.source_port == self.port
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was seen between the beacons, without them."""

    packets: tuple[Packet, ...]
    endpoints: tuple[tuple[str, int], ...] = ENDPOINTS

    def wireguard(self) -> tuple[Packet, ...]:
        """The tunnel's own packets."""
        return tuple(packet for packet in self.packets if packet.is_wireguard(self.endpoints))

    def foreign(
        self, *, lookups: Sequence[str] = (), flows: Sequence[Flow] = ()
    ) -> tuple[Packet, ...]:
        """All but the allow-list. `lookups`: names of endpoints that the host may look up."""
        return tuple(
            packet
            for packet in self.packets
            if not self._allowed(packet, lookups) and not any(flow.has(packet) for flow in flows)
        )

    def _allowed(self, packet: Packet, lookups: Sequence[str]) -> bool:
        ports = {packet.source_port, packet.target_port}
        # An ICMP error is as what it quotes: of a server that is stopped a handshake, of a machine
        # that is losing its addresses a neighbour's question for them.
        about = packet.quoted or packet
        match packet.protocol:
            case "ARP" | "IGMP":
                return True
            case "ICMPv6" if about.icmp_type in NEIGHBOUR_DISCOVERY | MULTICAST_LISTENER:
                return True
            case "UDP" if None not in ports and ports <= DHCP_PORTS:
                return True
            case "UDP" if 53 in ports and packet.name in lookups:
                return True
        return about.is_wireguard(self.endpoints)


def assert_confined(
    uplink: Traffic,
    tunnel: Traffic,
    *,
    lookups: Sequence[str] = (),
    flows: Sequence[Flow] = (),
    at_least: int = 50,
) -> None:
    """No foreign packet on the uplink, while the service really sent through the tunnel.

    A service that did nothing proves nothing: `at_least` of its packets must have been seen inside.
    """
    foreign = uplink.foreign(lookups=lookups, flows=flows)
    if foreign:
        shown = "\n".join(f"  {packet}" for packet in foreign[:50])
        raise AssertionError(f"{len(foreign)} foreign packets on the uplink:\n{shown}")
    seen = len(tunnel.packets)
    if seen < at_least:
        raise AssertionError(f"{seen} packets in the tunnel, want {at_least}: proves nothing")


class Capture:
    """A context manager around tcpdump on an interface of the world; `traffic` is there after it.

    `beacon` sends a datagram with the given text so that it passes the interface.
    """

    def __init__(
        self,
        internet: Internet,
        interface: str,
        beacon: Callable[[str], None],
        *,
        endpoints: Sequence[tuple[str, int]] = ENDPOINTS,
    ) -> None:
        self._internet = internet
        self._interface = interface
        self._beacon = beacon
        self._endpoints = tuple(endpoints)
        self._token = secrets.token_hex(8)
        self._file = internet.folder / f"{interface}-{self._token}.pcap"
        self._words = self._file.with_suffix(".log")
        self._traffic: Traffic | None = None

    @property
    def traffic(self) -> Traffic:
        if self._traffic is None:
            raise CaptureError("the capture has not ended")
        return self._traffic

    def __enter__(self) -> Self:
        # Big buffer (KiB), no batching, a write per packet, no look-ups, no change of user. Without
        # batching each packet has a slot of the whole length to be captured: with 256 KiB, which 0
        # stands for, there were 128 of them.
        command = self._internet.command(
            *("tcpdump", "-i", self._interface, "-w", os.fspath(self._file), "-s", "8192"),
            *("-B", "65536", "--immediate-mode", "-U", "-n", "-Z", "root"),
        )
        with self._words.open("wb") as words:
            self._tcpdump = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=words)
        try:
            self._wait_for(lambda: "listening on" in self._words.read_text(), lambda: None)
            self._send_beacon("first")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        try:
            if kind is None:
                self._send_beacon("last")
        finally:
            self._stop()
        if kind is None:
            self._traffic = self._read()

    def wait_for_packets(self, number: int = 50) -> None:
        """Wait until so many were seen, beacons aside: a busy machine may be slow to send them."""
        self._wait_for(lambda: self._seen() >= number, lambda: None)

    def _seen(self) -> int:
        """Count what is in the file so far, from the first beacon on."""
        written = self._file.read_bytes()
        at, begun, seen = PCAP_HEADER, False, 0
        while at + RECORD_HEADER <= len(written):
            (length,) = struct.unpack_from("=I", written, at + 8)
            frame = written[at + RECORD_HEADER : at + RECORD_HEADER + length]
            begun = begun or BEACON + self._token.encode() in frame
            seen += begun and BEACON not in frame
            at += RECORD_HEADER + length
        return seen

    def _send_beacon(self, which: str) -> None:
        text = f"{BEACON.decode()}{self._token} {which}"
        self._wait_for(
            lambda: text.encode() in self._file.read_bytes(),
            lambda: self._beacon(text),
        )

    def _wait_for(self, predicate: Callable[[], bool], act: Callable[[], None]) -> None:
        deadline = time.monotonic() + PATIENCE
        act()
        acted = time.monotonic()
        while not predicate():
            now = time.monotonic()
            if now > deadline or self._tcpdump.poll() is not None:
                raise CaptureError(f"tcpdump on {self._interface}: {self._words.read_text()}")
            if now > acted + AGAIN:
                act()
                acted = time.monotonic()
            time.sleep(0.02)

    def _stop(self) -> None:
        self._tcpdump.send_signal(signal.SIGINT)  # it then says what it dropped
        self._tcpdump.wait(PATIENCE)

    def _read(self) -> Traffic:
        dropped = re.findall(r"(\d+) packets? dropped", self._words.read_text())
        if not dropped or any(count != "0" for count in dropped):
            raise CaptureError(f"packets were lost on {self._interface}: {self._words.read_text()}")
        mark = BEACON + self._token.encode()
        packets = read_pcap(self._file)
        beacons = [index for index, packet in enumerate(packets) if mark in packet.payload]
        if len(beacons) < 2:
            raise CaptureError(f"the beacons are missing on {self._interface}")
        between = packets[beacons[0] + 1 : beacons[-1]]
        return Traffic(
            packets=tuple(packet for packet in between if BEACON not in packet.payload),
            endpoints=self._endpoints,
        )


def read_pcap(path: Path) -> tuple[Packet, ...]:
    """Every frame of a capture of Ethernet or of bare IP."""
    reader = RawPcapReader(os.fspath(path))
    try:
        first = Ether if reader.linktype == LINK_ETHERNET else _bare_ip
        return tuple(
            _packet(first(data), meta.sec + meta.usec / 1e6, meta.wirelen) for data, meta in reader
        )
    finally:
        reader.close()


def _bare_ip(data: bytes) -> Any:
    return (IPv6 if data[0] >> 4 == 6 else IP)(data)


def _packet(frame: Any, when: float, length: int) -> Packet:
    if ARP in frame:
        arp = frame[ARP]
        return Packet(time=when, protocol="ARP", source=arp.psrc, target=arp.pdst, length=length)
    ip = frame.getlayer(IP) or frame.getlayer(IPv6)
    if ip is None:
        kind = f"ethertype 0x{frame.type:04x}"
        return Packet(time=when, protocol=kind, source=frame.src, target=frame.dst, length=length)
    return _of_ip(ip, when, length)


def _of_ip(ip: Any, when: float, length: int) -> Packet:
    about: dict[str, Any] = {"time": when, "source": ip.src, "target": ip.dst, "length": length}
    for layer in ip.iterpayloads():
        # What an ICMP error quotes has other classes: IPerror, UDPerror …
        if type(layer) in {UDP, TCP}:
            return Packet(
                protocol=type(layer).__name__,
                source_port=layer.sport,
                target_port=layer.dport,
                payload=bytes(layer.payload.original),
                name=_queried(layer),
                **about,
            )
        if type(layer) is ICMP or type(layer).__name__.startswith("ICMPv6"):
            error = layer.getlayer(IPerror) or layer.getlayer(IPerror6)
            quoted = _of_quoted(error, when) if error else None
            family = "ICMP" if type(layer) is ICMP else "ICMPv6"
            return Packet(protocol=family, icmp_type=layer.type, quoted=quoted, **about)
    number = ip.proto if type(ip) is IP else ip.nh
    return Packet(protocol="IGMP" if number == IGMP else f"protocol {number}", **about)


def _of_quoted(error: Any, when: float) -> Packet | None:
    ends = {"source": error.src, "target": error.dst}
    if error.version == IP_VERSION_6 and error.nh == ICMPV6:
        begins = bytes(error.payload)[:1]
        return Packet(time=when, protocol="ICMPv6", icmp_type=begins[0], **ends) if begins else None
    udp = error.getlayer(UDPerror)
    if udp is None:
        return None
    return Packet(
        time=when,
        protocol="UDP",
        **ends,
        source_port=udp.sport,
        target_port=udp.dport,
        payload=bytes(udp.payload.original),
    )


def _queried(layer: Any) -> str | None:
    if DNS not in layer or not layer[DNS].qd:
        return None
    name: bytes = layer[DNS].qd[0].qname
    return name.decode(errors="backslashreplace").removesuffix(".")
