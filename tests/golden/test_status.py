"""What `status` prints, from states that are written here."""

from collections.abc import Callable

from wgconfine.model.status import (
    Holes,
    PeerStatus,
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
            state="down",
            backend="userspace",
            services=(
                ServiceStatus(
                    unit=r"x@a\x2db.service", state="waiting", why="for wgconfine@my-lab"
                ),
            ),
            problems=("the settings have changed since: wgconfine apply",),
            verify=VerifyStatus(verdict="ok", age=720),
        ),
        TunnelStatus(name="off", state="disabled", backend=""),
        TunnelStatus(
            name="vpn",
            state="up",
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
                    why="its process is in another namespace: systemctl stop it",
                ),
            ),
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


def test_text(compare_text: Callable[[str, str], None]) -> None:
    """For a person: tunnels, peers, services, problems, and what is closed."""
    compare_text("status.txt", as_text(STATUS) + "\n")


def test_json(compare_text: Callable[[str, str], None]) -> None:
    """For a program: one object with its schema."""
    compare_text("status.json", as_json(STATUS) + "\n")
