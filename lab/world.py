"""A machine and the internet around it, made and thrown away together."""

import atexit
import shlex
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

from lab.capture import ENDPOINTS, Capture
from lab.container import Container
from lab.internet import UPLINK, Internet
from lab.layers import installed_root
from lab.machine import Machine
from lab.vm import VirtualMachine

# Where beacons go: a group (no ARP, no answer), and a tunnel address that is no peer's.
NOBODY = "224.0.0.51"
NO_PEER = "10.66.0.254"
NO_INNER_PEER = "10.77.0.254"

_open: "weakref.WeakSet[World]" = weakref.WeakSet()


class World:
    """One machine and its internet. Leave the context, or close(), and nothing of them is left."""

    def __init__(self, boot: Callable[[Internet], Machine]) -> None:
        self.internet = Internet()
        try:
            self.machine = boot(self.internet)
        except BaseException:
            self.internet.close()
            raise
        _open.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        _open.discard(self)
        try:
            self.machine.close()
        finally:
            self.internet.close()

    def capture_uplink(
        self,
        *,
        endpoints: Sequence[tuple[str, int]] = ENDPOINTS,
        beacons: Literal["machine", "world"] = "machine",
    ) -> Capture:
        """Everything on the machine's uplink. With beacons of the world it can span a reboot."""

        def send(text: str) -> None:
            run = self.machine.run if beacons == "machine" else self.internet.run
            run(*_datagram(text, NOBODY))

        return Capture(self.internet, UPLINK, send, endpoints=endpoints)

    def capture_tunnel(self) -> Capture:
        """Everything inside the tunnels, seen at the server, which sends the beacons."""
        return self._capture_at("wg0", NO_PEER)

    def capture_inner(self) -> Capture:
        """The same of the second server, which has begun with its first client."""
        return self._capture_at("wg1", NO_INNER_PEER)

    def _capture_at(self, link: str, nobody: str) -> Capture:
        def send(text: str) -> None:
            self.internet.run(*_datagram(text, nobody))

        return Capture(self.internet, link, send)


def _datagram(text: str, address: str) -> tuple[str, ...]:
    return ("bash", "-c", f"echo {shlex.quote(text)} >/dev/udp/{address}/9")


def boot_container(
    release: str,
    *,
    wheelhouse: Path | None = None,
    init_prefix: Sequence[str] = (),
    extra_packages: Sequence[str] = (),
) -> World:
    """A container of `release` in a world of its own."""
    root = installed_root(release, wheelhouse, extra_packages)
    return World(lambda internet: Container(root, internet, init_prefix=init_prefix))


def boot_vm(
    release: str,
    *,
    wheelhouse: Path | None = None,
    extra_packages: Sequence[str] = (),
    kernel_arguments: Sequence[str] = (),
) -> World:
    """A virtual machine of `release`, with its own kernel, in a world of its own."""
    root = installed_root(release, wheelhouse, extra_packages)
    return World(lambda internet: VirtualMachine(root, internet, kernel_arguments=kernel_arguments))


@atexit.register
def _close_all() -> None:
    for world in list(_open):
        world.close()
