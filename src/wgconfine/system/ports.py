"""What this machine has to do with ports: listeners and who they are, addresses, users, paths."""

import grp
import json
import os
import pwd
import stat
import subprocess
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path, PurePosixPath

from wgconfine.model.errors import OperationFailed
from wgconfine.model.ports import SocketAddress, UnixSocket
from wgconfine.model.settings import Settings
from wgconfine.model.state import ALIVE
from wgconfine.model.tree import File, Tree
from wgconfine.plan.ports import Listener, PortFacts
from wgconfine.plan.portsteps import is_port
from wgconfine.render.places import UNITS
from wgconfine.render.templates import PROXYD
from wgconfine.runtime.netns import kind_of
from wgconfine.runtime.process import ENVIRONMENT
from wgconfine.system.cgroup import socket_units, unit_of
from wgconfine.system.listeners import sockets_of
from wgconfine.system.sockdiag import listening
from wgconfine.system.systemctl import Systemctl
from wgconfine.system.unitstates import unit_states

__all__ = ["find_proxy", "own_listens", "port_facts"]

_PROC = Path("/proc")
_ANY_ADDRESS = Path("/proc/sys/net/ipv4/ip_nonlocal_bind")
_PROXIES = (
    PROXYD,
    PurePosixPath("/lib/systemd/systemd-socket-proxyd"),
    PurePosixPath("/run/current-system/systemd/lib/systemd/systemd-socket-proxyd"),
)


def find_proxy() -> PurePosixPath | None:
    """Give where systemd-socket-proxyd lies."""
    return next((path for path in _PROXIES if os.access(path, os.X_OK)), None)


def port_facts(tunnels: Iterable[Settings], ours: frozenset[str]) -> PortFacts | None:
    """Look at what matters to the ports of these tunnels, and at nothing where they have none.

    `ours` is where sockets of ours listen. Raises OperationFailed.
    """
    enabled = [settings for settings in tunnels if settings.enable]
    if not any(settings.publish or settings.reach for settings in enabled):
        return None
    entries = [entry.listen for settings in enabled for entry in settings.publish]
    unix = [listen for listen in entries if isinstance(listen, UnixSocket)]
    return PortFacts(
        listeners=tuple(listeners(ours)) if len(entries) > len(unix) else (),
        addresses=tuple(own_addresses()) if len(entries) > len(unix) else (),
        any_address=any_address(),
        paths=tuple(taken_paths(unix, ours)),
        users=frozenset(each.user for each in unix if is_user(each.user)),
        groups=frozenset(each.group for each in unix if is_group(each.group)),
        proxy=find_proxy() is not None,
    )


def own_listens(systemctl: Systemctl, installed: Tree) -> frozenset[str]:
    """Give where the installed sockets of ours listen that run, as their files say it.

    Raises OperationFailed.
    """
    files = {
        path.name: file.text
        for path, file in installed.items()
        if path.parent == UNITS and is_port(path.name) and isinstance(file, File)
    }
    states = unit_states(systemctl, sorted(files))
    return frozenset(
        line.removeprefix("ListenStream=")
        for unit, text in files.items()
        if states[unit].active in ALIVE and "\nNetworkNamespacePath=" not in text
        for line in text.splitlines()
        if line.startswith("ListenStream=")
    )


def listeners(ours: frozenset[str]) -> Iterable[Listener]:
    """Give every listening TCP socket of this network namespace that is not one of ours."""
    found = [each for each in listening() if each.local not in ours]
    holders = holders_of({each.inode for each in found})
    sockets = socket_units() if 1 in holders.values() else {}
    for each in found:
        host, _, port = each.local.rpartition(":")
        address = SocketAddress(address=ip_address(host.strip("[]")), port=int(port))
        pid = holders.get(each.inode, 0)
        yield Listener(
            address=address,
            both=address.address == IPv6Address(0) and not each.only_v6,
            unit=sockets.get(each.cgroup, "") if pid == 1 else unit_of(pid) if pid else "",
            process=process_name(pid) if pid else "",
        )


def holders_of(inodes: set[int]) -> Mapping[int, int]:
    """Give the process that holds each socket, as far as we see; PID 1 if no other does."""
    found: dict[int, int] = {}
    processes = (int(each.name) for each in _PROC.iterdir() if each.name.isdigit())
    for pid in sorted(processes, reverse=True):
        for inode in sockets_of(pid) & inodes:
            found.setdefault(inode, pid)
    return found


def process_name(pid: int) -> str:
    try:
        return f"{(_PROC / str(pid) / 'comm').read_text(errors='replace').strip()}, process {pid}"
    except OSError:
        return f"process {pid}"


def own_addresses() -> Iterable[IPv4Address | IPv6Address]:
    """Give the addresses of the host that a port can be published to, loopback left out.

    Raises OperationFailed.
    """
    command = ["ip", "-j", "address", "show"]
    try:
        done = subprocess.run(
            command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
        links = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        hint = "See that the package iproute2 is installed and whole"
        raise OperationFailed(" ".join(command), str(error), hint) from error
    found = [
        ip_address(each["local"])
        for link in links
        for each in link.get("addr_info", [])
        if "local" in each
    ]
    return [each for each in found if not each.is_loopback and not needs_its_link(each)]


def needs_its_link(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address means nothing without its link; 169.254.0.0/16 has a route."""
    return isinstance(address, IPv6Address) and address.is_link_local


def any_address() -> bool:
    try:
        return _ANY_ADDRESS.read_text().strip() == "1"
    except OSError:
        return False


def taken_paths(
    unix: Iterable[UnixSocket], ours: frozenset[str]
) -> Iterable[tuple[PurePosixPath, str]]:
    for listen in unix:
        if str(listen.path) not in ours:
            try:
                mode = os.lstat(listen.path).st_mode
            except OSError:
                continue
            yield listen.path, "a socket" if stat.S_ISSOCK(mode) else kind_of(mode)


def is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
