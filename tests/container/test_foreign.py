"""What is somebody else's and in the way: refused by name, all at once, and left as it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.scenario import PROBE, confine, wgconfine, write_service, write_tunnel
from wgconfine.model.settings import TunnelName
from wgconfine.render.record import host_link

pytestmark = pytest.mark.container

SYSTEM = "/etc/systemd/system"
LINK = host_link(TunnelName("vpn"))
DROPIN = f"{SYSTEM}/probe.service.d/zz-wgconfine.conf"
CLOSING = "/usr/local/lib/systemd/system/probe.service.d/zz-wgconfine-closed.conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """How somebody put it there, what `apply` calls it, and how it goes again."""

    make: str
    name: str
    undo: str


def at(path: str, make: str) -> Foreign:
    """Something at a path where a file of ours shall be."""
    folder = path.rpartition("/")[0]
    undo = f"rm -r {path}; case {folder} in *.service.d) rmdir {folder};; esac"
    return Foreign(make=f"mkdir -p {folder}; {make} {path}", name=path, undo=undo)


FILES = [
    f"{SYSTEM}/wgconfine@.service",
    f"{SYSTEM}/wgconfine-netns@.service",
    f"{SYSTEM}/wgconfine-want@.target",
    f"{SYSTEM}/wgconfine-vpn.slice",
    f"{SYSTEM}/multi-user.target.wants/wgconfine@vpn.service",
    "/etc/wgconfine/vpn.json",
    "/run/netns/vpn",
    "/run/wgconfine/netns/vpn",
]
EVERYTHING = [
    *(at(path, "echo mine >") for path in FILES),
    *(at(path, make) for path in FILES[::2] for make in ("mkdir", "mkfifo", "ln -s /dev/null")),
    *(at(path, make) for path in (DROPIN, CLOSING) for make in ("echo mine >", "ln -s /dev/null")),
    *(at(f"{SYSTEM}/probe.service.d", make) for make in ("ln -s /root", "touch")),
    Foreign(make="ip netns add vpn", name="/run/netns/vpn", undo="ip netns del vpn"),
    Foreign(
        make=f"ip link add {LINK} type veth peer name other",
        name=LINK,
        undo=f"ip link del {LINK}",
    ),
    *(
        Foreign(
            make=f"systemctl mask {runtime} wgconfine{kind}@vpn.service",
            name=f"wgconfine{kind}@vpn.service: is masked, so it can't start",
            undo=f"systemctl unmask {runtime} wgconfine{kind}@vpn.service",
        )
        for kind in ("", "-netns")
        for runtime in ("", "--runtime")
    ),
    Foreign(
        make=f"printf '[Service]\\nExecStart=/bin/true\\n' >{SYSTEM}/wgconfine@vpn.service; "
        "systemctl daemon-reload",
        name=f"{SYSTEM}/wgconfine@vpn.service stands for it, which is not wgconfine's",
        undo=f"rm {SYSTEM}/wgconfine@vpn.service; systemctl daemon-reload",
    ),
]

# Less what a command that only looks may touch.
SNAPSHOT = """
find /etc/systemd /usr/local/lib/systemd /etc/wgconfine /etc/NetworkManager /run/netns \
    /run/wgconfine -path /run/wgconfine/lock -prune -o -printf '%p %i %m %y %l %T@ %s\\n' | sort
find /etc/systemd /usr/local/lib/systemd /etc/wgconfine -type f -print0 | sort -z |
    xargs -0 sha256sum
cut -d: -f1 /proc/net/dev  # ip(8) would open what lies in /run/netns
systemctl show -p ActiveState,InvocationID probe.service
"""


@pytest.fixture(scope="module")
def world(wheelhouse: Path) -> Iterator[World]:
    """A machine with a service that runs in the open and shall be confined."""
    with boot_container("trixie", wheelhouse=wheelhouse) as world:
        write_service(world, "probe.service", PROBE)
        write_tunnel(world, ["probe.service"])
        folders = "/etc/systemd/network /etc/NetworkManager /usr/local/lib/systemd/system"
        world.machine.sh(f"mkdir -p /run/netns /run/wgconfine/netns /run/wgconfine/lock {folders}")
        world.machine.systemctl("start", "probe.service")
        yield world


def some(foreign: Foreign) -> bool:
    """What is tried in the ordinary test: files, directories and FIFOs are alike in any place."""
    return not foreign.make.partition("; ")[2].startswith(("mkdir", "mkfifo", "echo"))


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(
            each,
            id=each.make.rpartition("; ")[2],
            marks=[] if some(each) else [pytest.mark.long],
        )
        for each in EVERYTHING
    ],
)
def test_it_is_refused_by_name_before_anything_is_changed(world: World, foreign: Foreign) -> None:
    """The service is not even stopped."""
    machine = world.machine
    machine.sh(foreign.make)
    try:
        before = machine.sh(SNAPSHOT)
        done = wgconfine(world, "apply", check=False)
        after = machine.sh(SNAPSHOT)
    finally:
        machine.sh(foreign.undo)
    assert done.returncode in {1, 78}
    assert foreign.name in done.stderr
    assert "[#]" not in done.stderr
    assert before.splitlines() == after.splitlines()


def test_everything_is_said_at_once(world: World) -> None:
    """Files, units, namespace and link: nobody has to come back for the next."""
    machine = world.machine
    chosen = [each for each in EVERYTHING if each.make.startswith(("ip ", "systemctl mask  "))]
    chosen.append(at(f"{SYSTEM}/wgconfine-vpn.slice", "mkdir"))
    machine.sh("; ".join(each.make for each in chosen))
    said = wgconfine(world, "apply", check=False).stderr
    machine.sh("; ".join(each.undo for each in chosen))
    assert [] == [each.name for each in chosen if each.name not in said]


def test_a_link_that_took_the_name_inside_is_refused_and_left(world: World) -> None:
    """A link of another kind called wg0: the tunnel does not start, nor does its stop delete it."""
    machine = world.machine
    confine(world, "probe.service")
    machine.sh("""
        systemctl stop wgconfine@vpn
        ip link add wg0 netns vpn type veth peer name wgx netns vpn
    """)
    assert 0 != machine.systemctl("start", "wgconfine@vpn.service", check=False).returncode
    assert "a link of kind veth is in the way" in machine.journal("wgconfine@vpn.service")
    assert "wg0@wgx" in machine.sh("ip -n vpn -br link")
    assert not machine.is_active("probe.service")
