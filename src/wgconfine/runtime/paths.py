"""Where things are on a running machine. The drop-ins and `status` name the same places."""

from __future__ import annotations

SETTINGS = "/etc/wgconfine"
STATE = "/run/wgconfine"
HOST_NAMESPACE = "/proc/self/ns/net"
LINK = "wg0"
"""The tunnel's link inside its namespace, whatever the tunnel is called."""


IN_FORCE = "in-force"
"""The digest of the NAME.json that the running tunnel was configured by."""


def named_namespace(name: str) -> str:
    """The name that systemd and iproute2 join the namespace by (ip-netns(8))."""
    return f"/run/netns/{name}"


def record_of_namespace(name: str) -> str:
    """Our own bind of the namespace: the guard believes this one, as others may remake the name."""
    return f"{STATE}/netns/{name}"


def tunnel_state(name: str) -> str:
    """Resolver files and the list of endpoints to look up."""
    return f"{STATE}/tunnel/{name}"


def private_run(unit: str) -> str:
    """The directory that a confined service sees as /run; systemd writes it `%N`."""
    return f"{STATE}/run/{unit.removesuffix('.service')}"


def empty_root() -> str:
    """The root directory of wireguard-go's unit, which gets what it needs by binds."""
    return f"{STATE}/root"


def lock(name: str) -> str:
    return f"{STATE}/lock/{name}"
