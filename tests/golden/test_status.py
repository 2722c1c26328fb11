"""What `status` prints, from states that are written here."""

from collections.abc import Callable

from wgconfine.model.status import (
    CarrierStatus,
    CommandStatus,
    Counter,
    Holes,
    InboundStatus,
    PeerStatus,
    PinStatus,
    PublishStatus,
    RateStatus,
    ReachStatus,
    ServiceStatus,
    Status,
    TunnelStatus,
    VerifyStatus,
)
from wgconfine.report.status import as_json, as_text

STATUS = Status(
    tunnels=(
        TunnelStatus(
            name="my-lab",
            state="waiting",
            why="/etc/wireguard/my-lab.conf: No such file or directory.",
            since=47,
            next="it is tried again every 5 s. To look: wgconfine logs my-lab",
            backend="userspace",
            services=(
                ServiceStatus(
                    unit=r"x@a\x2db.service", state="waiting", why="for wgconfine@my-lab"
                ),
            ),
            problems=("the settings have changed since: wgconfine apply",),
            verify=VerifyStatus(verdict="ok", age=720),
        ),
        TunnelStatus(
            name="off",
            state="down",
            why="enable = false in its settings",
            next="with enable = true: wgconfine apply",
            backend="",
        ),
        TunnelStatus(
            name="out",
            state="LEAK",
            why="3 packets of its services were dropped in the host's namespace since "
            "2026-01-31T12:00:00Z",
            next="wgconfine verify out",
            configured=True,
            leaked=3,
            backend="kernel",
            problems=("degraded: link wg0: missing. 2 steps taken: wgconfine logs out",),
        ),
        TunnelStatus(
            name="slow",
            state="degraded",
            why="no answer from peer xTIBA5rb… for 180 s or longer",
            since=400,
            next="2 steps taken: wgconfine logs slow",
            configured=True,
            leaked=0,
            backend="kernel",
            via="vpn",
            endpoints=("vpn.example.net:51820", "[2001:db8::2]:443"),
            carriers=(
                CarrierStatus(endpoint="192.0.2.7:51820", link="home", kind="wireguard", mtu=1420),
            ),
            pin=PinStatus(endpoints=("192.0.2.7:51820",), held=True, dropped=12),
        ),
        TunnelStatus(
            name="taken",
            state="refused",
            why="/run/netns/taken: a file that wgconfine did not make. Remove or rename it.",
            since=7300,
            next="once that is mended: systemctl start wgconfine@taken.service",
            backend="kernel",
        ),
        TunnelStatus(
            name="vpn",
            state="up",
            since=90000,
            namespace="/run/netns/vpn",
            resolvers=("10.64.0.1", "fd00::1"),
            rate=RateStatus(received=2516582, sent=31027, seconds=2.0),
            configured=True,
            leaked=0,
            backend="kernel",
            peers=(
                PeerStatus(
                    public_key="xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
                    endpoint="[2001:db8::1]:51820",
                    handshake_age=47,
                    received=1536,
                    sent=10 * 1024**3,
                ),
                PeerStatus(
                    public_key="yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
                    endpoint=None,
                    handshake_age=None,
                    received=0,
                    sent=148,
                ),
            ),
            services=(
                ServiceStatus(
                    unit="transmission-daemon.service",
                    state="confined",
                    holes=Holes(
                        paths=("/run/postgresql", "/run/x.sock"), bus=("org.example.Name",)
                    ),
                ),
                ServiceStatus(
                    unit="mail-fetch.service",
                    state="NOT CONFINED",
                    why="its process is in another namespace: systemctl stop mail-fetch.service",
                ),
            ),
            commands=(
                CommandStatus(
                    unit="wgconfine-exec-vpn-4711_0a1b2c.service",
                    state="confined",
                    program="bash",
                    user="alice",
                ),
                CommandStatus(
                    unit="wgconfine-exec-vpn-4712_0a1b2d.service",
                    state="NOT CONFINED",
                    why="its process is in another namespace: "
                    "systemctl stop wgconfine-exec-vpn-4712_0a1b2d.service",
                    program="curl",
                    user="1000",
                ),
                CommandStatus(unit="wgconfine-exec-vpn-4713_0a1b2e.service", state="starting"),
            ),
            publish=(
                PublishStatus(
                    listen=("127.0.0.1:9091", "[::1]:9091"),
                    to="127.0.0.1:9091",
                    socket="wgconfine-publish@vpn.9091.socket",
                    state="listening",
                ),
                PublishStatus(
                    listen=("192.168.1.10:8080",),
                    to="127.0.0.1:9091",
                    socket="wgconfine-publish@vpn.192.168.1.10:8080.socket",
                    state="failed",
                    why="resources: journalctl -u wgconfine-publish@vpn.192.168.1.10:8080.socket",
                    clients=("192.168.1.0/24", "192.168.7.7/32"),
                ),
                PublishStatus(
                    listen=("unix:/run/transmission.sock",),
                    to="[::1]:9091",
                    socket="wgconfine-publish@vpn.unix:-run-transmission.sock.socket",
                    state="listening",
                    owner="root:www-data",
                ),
            ),
            reach=(
                ReachStatus(
                    listen="127.0.0.1:5432",
                    to="192.168.1.20:5432",
                    socket="wgconfine-reach@vpn.127.0.0.1:5432.socket",
                    state="listening",
                ),
                ReachStatus(
                    listen="[::1]:25",
                    to="192.168.1.20:25",
                    socket="wgconfine-reach@vpn.::1:25.socket",
                    state="stopped",
                    why="systemctl start wgconfine-reach@vpn.::1:25.socket",
                ),
            ),
            inbound=InboundStatus(tcp=("51413",), udp=("6881-6889", "51413")),
            outbound_deny=("10.0.0.0/8", "fc00::/7"),
            firewall={
                "dns": Counter(packets=0, bytes=0),
                "inbound-tcp": Counter(packets=812, bytes=48720),
                "dropped": Counter(packets=4711, bytes=282660),
                "outbound-deny": Counter(packets=3, bytes=180),
            },
        ),
    ),
    closed=(
        ServiceStatus(
            unit="ghost.service",
            state="closed",
            why="not confined and not released: wgconfine release ghost.service",
        ),
    ),
)


def test_text_in_a_pipe(compare_text: Callable[[str, str], None]) -> None:
    """One line for each thing; what a terminal has is in test_screens.py."""
    compare_text("status.txt", as_text(STATUS) + "\n")


def test_json(compare_text: Callable[[str, str], None]) -> None:
    """For a program: one object with its schema."""
    compare_text("status.json", as_json(STATUS) + "\n")
