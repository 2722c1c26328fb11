"""What the processes of a unit hold open that leads out of the tunnel's network namespace."""

import os
import socket
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from wgconfine.runtime.namespace import enter
from wgconfine.system.cgroup import unit_of
from wgconfine.system.networks import Networks
from wgconfine.system.process import (
    DEVICE,
    MOVED,
    Descriptor,
    OpenProcess,
    namespace_number,
    peer_of,
    socket_of,
)
from wgconfine.system.sockdiag import unix_peers

__all__ = ["BEYOND", "Connection", "Held", "Holdings"]

BEYOND = {31: "bluetooth", 39: "nfc", 40: "vsock", 42: "qipcrtr"}
"""Families that take no notice of network namespaces, whatever namespace a socket is of."""

_AGAIN = 20
_ENDED = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A socket (or tun device) of another network namespace, or of a family that knows none."""

    pid: int
    name: str
    number: int
    family: int
    network: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A unix socket whose other end no process of the unit holds.

    `peer` is the process that made or accepted that, 0 where it is not known; `unit` is that one's,
    empty where it has ended; `inside` says that it is in the tunnel's namespace itself.
    """

    pid: int
    name: str
    number: int
    peer: int
    unit: str
    path: str
    inside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnixSocket:
    pid: int
    name: str
    number: int
    peer: int
    path: str


class Holdings:
    """Collects them, process by process; `tunnel` is the inode of its network namespace.

    A socket that several hold is looked at once: within a look of seconds the kernel gives no inode
    number a second time.
    """

    def __init__(self, tunnel: int, networks: Networks, until: float) -> None:
        self._tunnel, self._networks, self._until = tunnel, networks, until
        self._known: set[int] = set()
        self._unix: dict[int, _UnixSocket] = {}
        self._peers: dict[int, int] = {}
        self.held: list[Held] = []
        self.unseen: set[str] = set()

    def add(self, process: OpenProcess, threads: list[int]) -> None:
        """Look at all of a process, until nothing changes its number in between."""
        for _ in range(_AGAIN):
            if self._add_listed(process, threads):
                return
        self.unseen.add(f"process {process.pid}: descriptors that come, go or move all the time")

    def _add_listed(self, process: OpenProcess, threads: list[int]) -> bool:
        """Look at what is listed, and tell whether all of it was still there a moment later."""
        whole = True
        for descriptor in process.descriptors(threads):
            if time.monotonic() > self._until:
                self.unseen.add(f"process {process.pid}: more descriptors than time allows")
                return True
            if descriptor.inode in self._known:
                continue
            try:
                whole &= descriptor.inode != MOVED and self._add_descriptor(process, descriptor)
            except _ENDED:
                raise
            except OSError as error:
                where = f"process {process.pid}, descriptor {descriptor.number}"
                self.unseen.add(f"{where}: {error.strerror}")
        return whole

    def _add_descriptor(self, process: OpenProcess, descriptor: Descriptor) -> bool:
        fetched = process.fetch(descriptor)
        if fetched is None:
            return False
        with socket_of(fetched) as (family, namespace, opened):
            if family == socket.AF_UNIX and opened is not None:
                self._add_unix(process, descriptor, opened)
            else:
                self._add_other(process, descriptor, family, namespace)
        if descriptor.inode != DEVICE:
            self._known.add(descriptor.inode)
        return True

    def _add_other(
        self, process: OpenProcess, descriptor: Descriptor, family: int, namespace: int
    ) -> None:
        network = os.fstat(namespace).st_ino
        if network != self._tunnel:
            self._networks.keep(network, lambda: os.dup(namespace))
        elif family not in BEYOND:
            return
        found = Held(
            pid=process.pid,
            name=process.name,
            number=descriptor.number,
            family=family,
            network=network,
        )
        self.held.append(found)

    def _add_unix(
        self, process: OpenProcess, descriptor: Descriptor, opened: socket.socket
    ) -> None:
        peer = peer_of(opened)
        if peer is not None:
            self._unix[descriptor.inode] = _UnixSocket(
                pid=process.pid,
                name=process.name,
                number=descriptor.number,
                peer=peer[0],
                path=peer[1],
            )

    def ask_peers(self, tunnel: str) -> None:
        """Ask the kernel who has the other end of each, in every namespace that is concerned."""
        if not self._unix:
            return
        self._peers = unix_peers()
        with open("/proc/self/ns/net", "rb") as here, open(tunnel, "rb") as inside:  # noqa: PTH123 — namespaces
            for descriptor in (inside.fileno(), *self._networks.descriptors()):
                enter(descriptor, "look at the sockets of a namespace")
                self._peers |= unix_peers()
            enter(here.fileno(), "go back to the host's namespace")

    def connections(self, pids: Collection[int]) -> Iterator[Connection]:
        """Give the unix sockets that lead to others than the unit's processes, `pids`."""
        for inode, each in self._unix.items():
            if self._leads_out(inode, each, pids):
                yield Connection(
                    pid=each.pid,
                    name=each.name,
                    number=each.number,
                    peer=each.peer,
                    unit=unit_of(each.peer) if each.peer else "",
                    path=each.path,
                    inside=self._is_inside(each.peer),
                )

    def _leads_out(self, inode: int, each: _UnixSocket, pids: Collection[int]) -> bool:
        other = self._peers.get(inode)
        if other:
            return other not in self._known
        # Closed, or not accepted yet; then the listener's process is told, if it still lives.
        return each.peer not in pids and bool(each.peer and unit_of(each.peer))

    def _is_inside(self, pid: int) -> bool:
        try:
            with OpenProcess(pid) as process:
                return namespace_number(process.link("ns/net")) == self._tunnel
        except OSError:
            return False
