"""Where things are on a running machine. The drop-ins and `status` name the same places."""

from __future__ import annotations

SETTINGS = "/etc/wgconfine"
STATE = "/run/wgconfine"
HOST_NAMESPACE = "/proc/self/ns/net"
LINK = "wg0"
"""The tunnel's link inside its namespace, whatever the tunnel is called."""


IN_FORCE = "in-force"
"""The digest of the NAME.json that the running tunnel was configured by."""
DECLARED = "declared"
"""What the running tunnel was configured with, without its secrets: a .conf may be away again."""
TURNS = "turns"
"""The settings' endpoints, the one whose turn it is first."""
ANSWERS = "answers"
"""The addresses of endpoints' names, likewise."""
PINS = "pins"
"""The mark of encrypted packets, and where they may go: with `pin-endpoint` alone."""
PORTS = "ports"
"""What of NAME.json the running tunnel's firewall was made from."""
OUTER = "outer"
"""The namespace that the link of a tunnel with `via` was asked for in: its socket stays there. Not
there where that is the host's."""
OUTER_RESOLVERS = "outer-resolv.conf"
"""The resolvers of the tunnel that this one goes through, as the look-up of its endpoints sees
them."""


SOURCES = "sources"
"""Which files the running tunnel was configured from: where `reload-on-change` watches them."""


COLLECTOR = "/var/lib/prometheus/node-exporter"
"""Where node_exporter of Debian's, and of many others', looks for files of metrics."""


OFFERED = "offered"
"""The services whose private /run has paths of the host in it, one a line."""


HANDSHAKES = "/var/lib/wgconfine/handshakes"
"""When each tunnel had its last handshake, for a clock that is behind after a boot."""


def named_namespace(name: str) -> str:
    """The name that systemd and iproute2 join the namespace by (ip-netns(8))."""
    return f"/run/netns/{name}"


def record_of_namespace(name: str) -> str:
    """Our own bind of the namespace: the guard believes this one, as others may remake the name."""
    return f"{STATE}/netns/{name}"


def namespace_cookie(name: str) -> str:
    """The number of the namespace that was named; there as long as it is to have its names."""
    return f"{STATE}/namespace/{name}"


def tunnel_state(name: str) -> str:
    """Resolver files and the list of endpoints to look up."""
    return f"{STATE}/tunnel/{name}"


def trouble(name: str) -> str:
    """Why the tunnel could not be configured, and since when; nothing where it is."""
    return f"{STATE}/trouble/{name}"


def private_run(unit: str) -> str:
    """The directory that a confined service sees as /run; systemd writes it `%N`."""
    return f"{STATE}/run/{unit.removesuffix('.service')}"


def command_state() -> str:
    """Which commands of `wgconfine exec` have begun, and how they ended; root's alone."""
    return f"{STATE}/exec"


def private_bus(unit: str) -> str:
    """The directory with a service's own socket of the bus, which it sees as /run/dbus."""
    return f"{STATE}/bus/{unit.removesuffix('.service')}"


def empty_root() -> str:
    """The root directory of wireguard-go's unit, which gets what it needs by binds."""
    return f"{STATE}/root"


def switch_state(name: str) -> str:
    """Whether the second switch is on, in `state`, and in `counted` what it has counted, if any."""
    return f"{STATE}/switch/{name}"


def verified(name: str) -> str:
    """What the last `verify` of a tunnel found, as JSON that everybody may read."""
    return f"{STATE}/verify/{name}.json"


def health(name: str) -> str:
    """How the tunnel was at the last tick, and what it had sent and received."""
    return f"{STATE}/health/{name}"


def verify_stamp(name: str) -> str:
    """When a periodic `verify` of a tunnel was last asked for, in seconds since boot."""
    return f"{STATE}/verify/{name}.stamp"


def refused_services() -> str:
    """Services kept from running that the journal was told of; `=` is in no tunnel's name."""
    return f"{STATE}/verify/=refused"


def failed_sockets() -> str:
    """Likewise the sockets of published and reached ports that have failed."""
    return f"{STATE}/verify/=sockets"


def lock(name: str) -> str:
    return f"{STATE}/lock/{name}"


def slice_group(name: str) -> str:
    """The control group of the tunnel's services, below the root of the hierarchy.

    Of a slice whose name has a dash: those after `wgconfine-` are escaped, as systemd.slice(5) has
    it.
    """
    escaped = name.replace("-", "\\x2d")
    return f"wgconfine.slice/wgconfine-{escaped}.slice"
