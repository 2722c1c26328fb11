"""What is said of the processes of a service, given what was seen."""

from dataclasses import replace

import pytest

from wgconfine.model.settings import TunnelName, UnitName
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.system.holdings import Connection, Held
from wgconfine.system.hostsockets import HostSockets
from wgconfine.system.networks import Link, Network
from wgconfine.system.process import TUN_DEVICE
from wgconfine.system.scan import Elsewhere, Standpoint
from wgconfine.system.sockdiag import InetSocket
from wgconfine.system.unitlook import UnitLook
from wgconfine.system.view import Found, View
from wgconfine.verify.processjudge import Expected, Observation, judge

UNIT = UnitName("a.service")
STATE = "/run/wgconfine/tunnel/vpn"
OURS = (Found(device=1, inode=1), Found(device=1, inode=2), Found(device=1, inode=3))
BUS = Found(device=1, inode=9)
EXPECTED = Expected(
    tunnel=TunnelName("vpn"),
    sources=(
        (f"{STATE}/resolv.conf", OURS[0]),
        (f"{STATE}/nsswitch.conf", OURS[1]),
        ("/run/wgconfine/run/a", OURS[2]),
    ),
    hidden=(("/run/dbus", BUS), ("/run/nscd", Found(missing=True))),
    networks={10: "the host's", 11: "tunnel work's", 12: "the namespace /run/netns/x"},
)
MAIN = Standpoint(pid=7, start=1, name="a", mounts=100, root="/", main=True)
ROOT = Found(device=1, inode=50)
NOTHING = Found(missing=True)
VIEW = View(standpoint=MAIN, root=ROOT, found=(*OURS, NOTHING, NOTHING))
LOOK = UnitLook(
    processes=1,
    settled=True,
    unseen=(),
    unread=(),
    elsewhere=(),
    held=(),
    connections=(),
    networks=(),
    standpoints=(MAIN,),
    cgroups=(77,),
)
NONE = HostSockets(able=True, found=())
WELL = Observation(look=LOOK, views=(VIEW,), sockets=NONE)
NAMES = [
    *("namespace", "sockets", "connections", "host-sockets"),
    *("resolv-conf", "nsswitch-conf", "run", "masks"),
]


def said(seen: Observation) -> dict[str, Check]:
    return {check.name: check for check in judge(UNIT, seen, EXPECTED)}


def not_well(seen: Observation) -> dict[str, Verdict]:
    return {n: c.verdict for n, c in said(seen).items() if c.verdict is not Verdict.OK}


def looking(**changes: object) -> Observation:
    return replace(WELL, look=replace(LOOK, **changes))  # type: ignore[arg-type]  # named below


def viewing(*views: View) -> Observation:
    return replace(WELL, views=views)


def other(pid: int = 8, *, root: Found = ROOT, found: tuple[Found, ...] = VIEW.found) -> View:
    standpoint = replace(MAIN, pid=pid, mounts=100 + pid, main=False)
    return View(standpoint=standpoint, root=root, found=found)


def elsewhere(network: int, *, tid: int = 8) -> Elsewhere:
    return Elsewhere(pid=8, tid=tid, name="b", network=network)


def held(family: int, network: int) -> Held:
    return Held(pid=8, name="b", number=3, family=family, network=network)


def test_all_is_well() -> None:
    """Every check says so, with nothing to mend."""
    checks = judge(UNIT, WELL, EXPECTED)

    assert NAMES == [check.name for check in checks]
    assert {(Verdict.OK, "", UNIT, Area.PROCESSES)} == {
        (check.verdict, check.mend, check.unit, check.area) for check in checks
    }


def test_no_process_is_nothing_to_judge() -> None:
    """As of a service that is stopped."""
    seen = Observation(look=None, views=(), sockets=NONE)

    assert [("namespace", Verdict.OK)] == [(n, c.verdict) for n, c in said(seen).items()]


def test_no_answer_is_unknown_for_every_check() -> None:
    """A look that came to no end proves nothing."""
    seen = Observation(look="it took too long", views="it took too long", sockets=NONE)

    assert dict.fromkeys(NAMES, Verdict.UNKNOWN) == not_well(seen)


@pytest.mark.parametrize(
    ("network", "where"),
    [
        (10, "the host's network namespace"),
        (11, "tunnel work's network namespace"),
        (12, "the namespace /run/netns/x"),
    ],
)
def test_a_process_in_a_namespace_with_a_name(network: int, where: str) -> None:
    """The evidence has it, and a restart puts the service back."""
    check = said(looking(elsewhere=(elsewhere(network),)))["namespace"]

    assert Verdict.NOT_CONFINED is check.verdict
    assert f"process 8 (b) is in {where}" == check.evidence
    assert "systemctl restart a.service" == check.mend


def test_a_thread_is_named() -> None:
    """Where it is not the first one, which bears the number of the process."""
    check = said(looking(elsewhere=(elsewhere(10, tid=9),)))["namespace"]

    assert "process 8 (b), thread 9 is in the host's network namespace" == check.evidence


@pytest.mark.parametrize(
    ("links", "verdict", "way"),
    [
        ((), Verdict.OPEN, "leads nowhere"),
        ((Link(name="sit0", kind="sit", leads_to=""),), Verdict.OPEN, "leads nowhere"),
        ((Link(name="e", kind="veth", leads_to="vpn"),), Verdict.OPEN, "leads to tunnel vpn"),
        ((Link(name="t", kind="tun", leads_to=""),), Verdict.OPEN, "that holds its tun device"),
        ((Link(name="e", kind="veth", leads_to="?"),), Verdict.NOT_CONFINED, "e (veth)"),
        ((Link(name="e", kind="veth", leads_to="work"),), Verdict.NOT_CONFINED, "e (veth)"),
        ((Link(name="eth0", kind="", leads_to=""),), Verdict.NOT_CONFINED, "eth0 (a device)"),
        ((Link(name="w", kind="wireguard", leads_to=""),), Verdict.NOT_CONFINED, "w (wireguard)"),
        (None, Verdict.UNKNOWN, "can't be looked into"),
    ],
)
def test_a_namespace_of_its_own_by_its_links(
    links: tuple[Link, ...] | None, verdict: Verdict, way: str
) -> None:
    """For processes in it and sockets of it alike."""
    networks = (Network(inode=20, links=links),)
    checks = said(
        looking(elsewhere=(elsewhere(20),), held=(held(2, 20),), networks=networks),
    )

    for name in ("namespace", "sockets"):
        assert (verdict, True) == (checks[name].verdict, way in checks[name].evidence)


@pytest.mark.parametrize(
    ("family", "what"),
    [
        (2, "a socket (AF_INET) of the host's network namespace"),
        (TUN_DEVICE, "a tun device of the host's network namespace"),
        (999, "a socket (family 999) of the host's network namespace"),
        (40, "vsock, which knows no network namespaces"),
    ],
)
def test_a_socket_of_the_host(family: int, what: str) -> None:
    """Its kind is told as far as it has a name."""
    check = said(looking(held=(held(family, 10),)))["sockets"]

    assert Verdict.NOT_CONFINED is check.verdict
    assert f"process 8 (b) holds descriptor 3, {what}" == check.evidence


def connection(**changes: object) -> Connection:
    usual = Connection(
        pid=8, name="b", number=4, peer=99, unit="docker.service", path="", inside=False
    )
    return replace(usual, **changes)  # type: ignore[arg-type]  # named by the tests


@pytest.mark.parametrize(
    ("changes", "peer"),
    [
        ({}, "docker.service (process 99)"),
        ({"path": "/run/x"}, "docker.service (process 99) at /run/x"),
        ({"unit": ""}, "process 99, which has ended"),
        ({"unit": "", "peer": 0}, "an unknown process"),
        ({"path": "/run/systemd/journal/stdout"}, "docker.service (process 99) at /run/systemd"),
    ],
)
def test_a_connection_to_a_daemon_of_the_host(changes: dict[str, object], peer: str) -> None:
    """Shown and no failure; a path alone makes no journal."""
    check = said(looking(connections=(connection(**changes),)))["connections"]

    assert Verdict.OPEN is check.verdict
    assert check.evidence.startswith(f"process 8 (b) talks to {peer}")


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "/run/systemd/journal/stdout", "peer": 1, "unit": "init.scope"},
        {"path": "/run/systemd/journal/stdout", "unit": "systemd-journald.service"},
        {"inside": True},
    ],
)
def test_the_journal_and_who_is_inside_are_usual(changes: dict[str, object]) -> None:
    """Every service has the one; the other is confined itself."""
    assert {} == not_well(looking(connections=(connection(**changes),)))


def test_what_was_not_seen_is_unknown() -> None:
    """For each check that needs it."""
    unknown = dict.fromkeys(("namespace", "sockets", "connections"), Verdict.UNKNOWN)

    assert unknown == not_well(looking(unseen=("process 9: not permitted",)))
    assert unknown == not_well(looking(settled=False))
    del unknown["namespace"]
    assert unknown == not_well(looking(unread=("process 9: descriptors that move",)))


def test_what_was_seen_counts_before_what_was_not() -> None:
    """A process outside is outside, however many others came and went."""
    checks = not_well(looking(settled=False, elsewhere=(elsewhere(10),)))

    assert Verdict.NOT_CONFINED is checks["namespace"]


def inet(cgroup: int) -> InetSocket:
    return InetSocket(protocol="udp", local="1.2.3.4:5", remote="0.0.0.0:0", inode=3, cgroup=cgroup)


def test_a_socket_that_was_made_in_its_control_group() -> None:
    """Those of other services are none of this one's."""
    own = replace(WELL, sockets=HostSockets(able=True, found=(inet(77), inet(78))))
    others = replace(WELL, sockets=HostSockets(able=True, found=(inet(78),)))

    assert {"host-sockets": Verdict.NOT_CONFINED} == not_well(own)
    assert said(own)["host-sockets"].evidence.endswith("1.2.3.4:5 → 0.0.0.0:0")
    assert {} == not_well(others)


@pytest.mark.parametrize(
    ("sockets", "verdict"),
    [
        (HostSockets(able=False, found=()), Verdict.UNAVAILABLE),
        ("it took too long", Verdict.UNKNOWN),
    ],
)
def test_a_kernel_that_does_not_tell(sockets: HostSockets | str, verdict: Verdict) -> None:
    """What this machine can't have is no failure; what it did not answer is unknown."""
    assert {"host-sockets": verdict} == not_well(replace(WELL, sockets=sockets))


@pytest.mark.parametrize(
    ("number", "name", "mend"),
    [
        (
            0,
            "resolv-conf",
            f"systemctl bind --read-only a.service {STATE}/resolv.conf /etc/resolv.conf",
        ),
        (
            1,
            "nsswitch-conf",
            f"systemctl bind --read-only a.service {STATE}/nsswitch.conf /etc/nsswitch.conf",
        ),
        (2, "run", "systemctl restart a.service"),
    ],
)
@pytest.mark.parametrize("seen", [Found(device=1, inode=99), NOTHING])
def test_another_file_than_ours(number: int, name: str, mend: str, seen: Found) -> None:
    """Each is a check of its own, with the command that mends it."""
    found = tuple(seen if place == number else each for place, each in enumerate(VIEW.found))
    checks = viewing(replace(VIEW, found=found))

    assert {name: Verdict.NOT_CONFINED} == not_well(checks)
    assert mend == said(checks)[name].mend


def test_a_stranger_with_another_file_is_mended_by_a_restart() -> None:
    """`systemctl bind` reaches the main process' mount namespace alone."""
    stranger = other(found=(NOTHING, *VIEW.found[1:]))

    assert "systemctl restart a.service" == said(viewing(VIEW, stranger))["resolv-conf"].mend


def test_the_hosts_bus_is_seen() -> None:
    """By whatever process, in whatever root directory."""
    open_bus = (*OURS, BUS, NOTHING)
    own_root = other(root=Found(device=2, inode=2), found=open_bus)

    assert {"masks": Verdict.NOT_CONFINED} == not_well(viewing(replace(VIEW, found=open_bus)))
    assert Verdict.NOT_CONFINED is not_well(viewing(VIEW, own_root))["masks"]


def test_a_bus_of_its_own_is_not_the_hosts() -> None:
    """A container or an allowed bus may have one at that place."""
    assert {} == not_well(viewing(replace(VIEW, found=(*OURS, Found(device=3, inode=3), NOTHING))))


def test_a_container_within_has_files_of_its_own() -> None:
    """Another root directory: shown, and not compared with ours."""
    theirs = other(root=Found(device=2, inode=2), found=(NOTHING,) * 5)

    assert {"other-roots": Verdict.OPEN} == not_well(viewing(VIEW, theirs))


def test_without_a_main_process_every_view_is_compared() -> None:
    """A unit of Type=forking may have none."""
    theirs = other(root=Found(device=2, inode=2), found=(NOTHING, *VIEW.found[1:]))

    assert {"resolv-conf": Verdict.NOT_CONFINED} == not_well(viewing(theirs))


def test_a_path_that_was_not_looked_at_is_unknown() -> None:
    """FUSE is not asked; a mask where the host has nothing to hide needs no look."""
    hung = Found(problem="a file system of the kind fuse is mounted there")
    names = ("resolv-conf", "nsswitch-conf", "run", "masks")

    assert dict.fromkeys(names, Verdict.UNKNOWN) == not_well(
        viewing(replace(VIEW, found=(hung,) * 5))
    )
    assert {} == not_well(viewing(replace(VIEW, found=(*OURS, NOTHING, hung))))


@pytest.mark.parametrize("views", [(), "it took too long"])
def test_no_view_is_unknown(views: tuple[View, ...] | str) -> None:
    """Unless the unit has no process of its own yet, as while systemd sets it up."""
    names = ("resolv-conf", "nsswitch-conf", "run", "masks")

    assert dict.fromkeys(names, Verdict.UNKNOWN) == not_well(replace(WELL, views=views))
    starting = replace(WELL, look=replace(LOOK, processes=0), views=())
    assert {} == not_well(starting)


def test_ours_is_missing() -> None:
    """A tunnel that is down: nothing can be compared."""
    expected = replace(EXPECTED, sources=tuple((path, NOTHING) for path, _ in EXPECTED.sources))
    checks = {check.name: check.verdict for check in judge(UNIT, WELL, expected)}

    assert {Verdict.UNKNOWN} == {checks[name] for name in ("resolv-conf", "nsswitch-conf", "run")}


def test_few_of_many_are_told() -> None:
    """A tired person reads three, and how many more there are."""
    many = tuple(replace(elsewhere(10), pid=pid, tid=pid) for pid in range(20, 30))

    assert said(looking(elsewhere=many))["namespace"].evidence.endswith("namespace and 7 more")
