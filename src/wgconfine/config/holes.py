"""What may not be opened to a confined service, whatever its owner writes: it would lead out.

Shared by config/, which refuses the line, and the runtime, which may be led there by a link.
Imports nothing.
"""

from __future__ import annotations

__all__ = ["is_plain", "shut_name", "shut_path"]

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+@:,=~")

LOOKS_UP = "names can be looked up outside of the tunnel through it"
STARTS = "whoever talks to it can have work done, or processes started, outside of the tunnel"
NETWORK = "whoever talks to it can change the host's network, or use it"
OURS = "it is part of what confines services"
BUS = "it is the whole bus. Name in allow-bus what the service talks to"

# A `*` stands for one step of a path.
_PATHS = {
    "/run/NetworkManager": NETWORK,
    "/run/avahi-daemon": LOOKS_UP,
    "/run/buildkit": STARTS,
    "/run/containerd": STARTS,
    "/run/cri-dockerd.sock": STARTS,
    "/run/crio": STARTS,
    "/run/cups": NETWORK,  # a print queue of anybody's leads to any address
    "/run/dbus": BUS,
    "/run/docker": STARTS,
    "/run/docker.sock": STARTS,
    "/run/firewalld": NETWORK,
    "/run/incus": STARTS,
    "/run/k3s": STARTS,
    "/run/libvirt": STARTS,
    "/run/lxc": STARTS,
    "/run/lxd": STARTS,
    "/run/lxd.socket": STARTS,
    "/run/netns": OURS,
    "/run/nscd": LOOKS_UP,
    "/run/podman": STARTS,
    "/run/rpcbind.sock": NETWORK,
    "/run/snapd-snap.socket": STARTS,
    "/run/snapd.socket": STARTS,
    "/run/systemd": "its sockets start processes and look names up outside of the tunnel",
    "/run/tailscale": NETWORK,
    "/run/unbound.ctl": LOOKS_UP,
    "/run/user/*/bus": BUS,
    "/run/user/*/containerd": STARTS,
    "/run/user/*/docker.sock": STARTS,
    "/run/user/*/gnupg": LOOKS_UP,  # dirmngr
    "/run/user/*/podman": STARTS,
    "/run/user/*/systemd": STARTS,
    "/run/wgconfine": OURS,
    "/run/wireguard": OURS,
    "/run/wpa_supplicant": NETWORK,
}

# Only told by logind, and written by it alone.
_HARMLESS = ("/run/systemd/seats", "/run/systemd/sessions", "/run/systemd/users")

_NAMES = {
    "com.canonical.lxd": STARTS,
    "fi.w1.wpa_supplicant1": NETWORK,
    "io.netplan.Netplan": NETWORK,
    "io.snapcraft": STARTS,
    "net.connman": NETWORK,
    "org.bluez": NETWORK,
    "org.fedoraproject.FirewallD1": NETWORK,
    "org.freedesktop.Avahi": LOOKS_UP,
    "org.freedesktop.DBus": "it is the bus itself, which answers anyway",
    "org.freedesktop.ModemManager1": NETWORK,
    "org.freedesktop.NetworkManager": NETWORK,
    "org.freedesktop.PackageKit": STARTS,
    "org.freedesktop.UDisks2": STARTS,
    "org.freedesktop.fwupd": NETWORK,
    "org.freedesktop.home1": STARTS,
    "org.freedesktop.import1": NETWORK,
    "org.freedesktop.login1": STARTS,  # a user manager, by SetUserLinger
    "org.freedesktop.machine1": STARTS,
    "org.freedesktop.network1": NETWORK,
    "org.freedesktop.nm_dispatcher": STARTS,
    "org.freedesktop.portable1": STARTS,
    "org.freedesktop.resolve1": LOOKS_UP,
    "org.freedesktop.sssd": LOOKS_UP,
    "org.freedesktop.systemd1": STARTS,
    "org.freedesktop.sysupdate1": NETWORK,
    "org.libvirt": STARTS,
    "org.opensuse.Snapper": STARTS,
    "uk.org.thekelleys.dnsmasq": LOOKS_UP,
}


def is_plain(path: str) -> bool:
    """Tell whether a path can stand in a unit as it is, and in a message."""
    return set(path) <= _PLAIN


def shut_path(path: str) -> str:
    """Say why a path below /run stays shut; empty if it may be opened.

    Neither may what has such a path in it: with /run/user comes every user's bus.
    """
    steps = path.split("/")
    if any(_same(steps, each.split("/")) >= len(each.split("/")) for each in _HARMLESS):
        return ""
    for shut, why in _PATHS.items():
        parts = shut.split("/")
        if _same(steps, parts) == min(len(steps), len(parts)):
            return why if len(steps) >= len(parts) else f"it has {shut} in it, and {why}"
    return ""


def _same(steps: list[str], parts: list[str]) -> int:
    """Count the steps that two paths have in common, from the beginning."""
    count = 0
    for step, part in zip(steps, parts, strict=False):
        if part not in {step, "*"}:
            break
        count += 1
    return count


def shut_name(name: str) -> str:
    """Say why a name on the system bus stays shut, with all below it; empty if it may be opened."""
    return next(
        (why for shut, why in _NAMES.items() if name == shut or name.startswith(f"{shut}.")), ""
    )
