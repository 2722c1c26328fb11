"""Published and reached ports judged, by what was seen of them."""

from dataclasses import replace

import pytest

from wgconfine.config.ports import (
    PublishTable,
    build_publish,
    read_listen,
    read_publish_text,
    read_reach,
)
from wgconfine.config.values import read_network
from wgconfine.model.settings import TunnelName
from wgconfine.model.state import UnitState
from wgconfine.model.verify import Check, Verdict
from wgconfine.system.listeners import Holder, Stranger
from wgconfine.verify.portjudge import (
    Filter,
    Process,
    Proxy,
    Seen,
    Socket,
    SocketFile,
    judge_clients,
    judge_file,
    judge_proxy,
    judge_publish,
    judge_reach,
    judge_strangers,
    judge_undeclared,
)

VPN = TunnelName("vpn")
PLAIN = read_publish_text("8080:80")
LAN = build_publish(
    PublishTable(listen=read_listen("192.0.2.1:81"), clients=(read_network("192.0.2.0/24"),))
)
UNIX = read_publish_text("unix:/run/x.sock:80")
REACH = read_reach("127.0.0.1:5432:192.0.2.7:5433")
STEM = "wgconfine-publish@vpn.8080"
REACH_STEM = "wgconfine-reach@vpn.127.0.0.1:5432"
LISTENING = Socket(
    state=UnitState(name=f"{STEM}.socket", active="active", sub="listening"),
    listen=("127.0.0.1:8080", "[::1]:8080"),
    starts=(f"{STEM}.service",),
)
REACHING = Socket(
    state=UnitState(name=f"{REACH_STEM}.socket", active="active", sub="listening"),
    listen=("127.0.0.1:5432",),
    starts=(f"{REACH_STEM}.service",),
)
SEEN = Seen(
    host=frozenset({"127.0.0.1:8080", "[::1]:8080", "127.0.0.1:22"}),
    inside=frozenset({"127.0.0.1:5432"}),
)
PROXY = Proxy(state=UnitState(name=f"{STEM}.service", active="active", sub="running"))


def said(check: Check) -> tuple[Verdict, str, str]:
    return check.verdict, check.evidence, check.mend


def test_a_published_port_that_listens() -> None:
    """At every address of its own; where it leads is told."""
    assert (Verdict.OK, "127.0.0.1:8080, [::1]:8080 leads to 127.0.0.1:80 inside", "") == said(
        judge_publish(VPN, PLAIN, LISTENING, SEEN)
    )


@pytest.mark.parametrize(
    ("state", "evidence", "mend"),
    [
        ({"active": "inactive"}, "somebody has stopped it", f"systemctl start {STEM}.socket"),
        (
            {"active": "failed", "result": "resources"},
            "it has failed: resources",
            f"systemctl start {STEM}.socket",
        ),
        ({"load": "not-found"}, "there is no such unit", "wgconfine apply"),
        ({"active": "activating"}, "it is starting", f"systemctl start {STEM}.socket"),
    ],
)
def test_a_published_port_that_does_not_listen(
    state: dict[str, str], evidence: str, mend: str
) -> None:
    """Closed, and of no use: the command is told that mends it. Nothing else is asked of it."""
    socket = replace(LISTENING, state=UnitState(name=f"{STEM}.socket", **state))  # type: ignore[arg-type]
    assert (Verdict.BROKEN, evidence, mend) == said(judge_publish(VPN, PLAIN, socket, SEEN))
    assert [] == judge_clients(VPN, PLAIN, socket, Filter(strangers=None))


def test_what_systemd_believes_is_not_enough() -> None:
    """The kernel lists no such socket, or somebody else's."""
    seen = replace(SEEN, host=frozenset({"127.0.0.1:8080"}))
    assert (
        Verdict.BROKEN,
        "systemd does not listen at [::1]:8080",
        f"systemctl restart {STEM}.socket",
    ) == said(judge_publish(VPN, PLAIN, LISTENING, seen))
    assert Verdict.OK is judge_publish(VPN, PLAIN, LISTENING, replace(seen, ipv6=False)).verdict
    unseen = replace(SEEN, unseen="what systemd holds can't be seen")
    assert Verdict.UNKNOWN is judge_publish(VPN, PLAIN, LISTENING, unseen).verdict


@pytest.mark.parametrize(
    ("more", "evidence"),
    [
        ({"listen": ("127.0.0.1:8080", "198.51.100.1:99")}, "it listens at 198.51.100.1:99 too"),
        ({"starts": ("x.service",)}, "a connection starts x.service, not its proxy"),
        (
            {"control_group": "/wgconfine.slice/wgconfine-vpn.slice/x.socket"},
            "it is in wgconfine-vpn.slice, among the services",
        ),
    ],
)
def test_a_socket_that_somebody_pointed_elsewhere(more: dict[str, object], evidence: str) -> None:
    """By a drop-in: it is open to others, or to others' programs."""
    found = judge_publish(VPN, PLAIN, replace(LISTENING, **more), SEEN)  # type: ignore[arg-type]
    assert (Verdict.NOT_CONFINED, evidence, f"systemctl cat {STEM}.socket") == said(found)


def test_a_socket_that_hears_nobody() -> None:
    """systemd leaves its connections to a proxy that is not there."""
    for check in (
        judge_publish(VPN, PLAIN, replace(LISTENING, deaf=True), SEEN),
        judge_reach(VPN, REACH, replace(REACHING, deaf=True), SEEN),
    ):
        assert Verdict.BROKEN is check.verdict
        assert f"systemctl restart {check.unit}" == check.mend


def test_who_may_connect_is_proven_by_the_kernel() -> None:
    """Nobody but the networks of `from`; of loopback, this machine."""
    lan, plain = (judge_clients(VPN, each, LISTENING, Filter()) for each in (LAN, PLAIN))
    assert ["the kernel lets 192.0.2.0/24 connect, nobody else"] == [each.evidence for each in lan]
    assert ["the kernel lets this machine connect, nobody else"] == [
        each.evidence for each in plain
    ]


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (Filter(strangers=("0.0.0.1", "::")), Verdict.NOT_CONFINED, "0.0.0.1 and :: may connect"),
        (
            Filter(strangers=("0.0.0.1",), slices=("system.slice",)),
            Verdict.NOT_CONFINED,
            "system.slice has an IPAddressAllow=",
        ),
        (Filter(strangers=None), Verdict.NOT_CONFINED, "lacks BPF"),
        (
            Filter(around=("192.0.2.1:81",)),
            Verdict.NOT_CONFINED,
            "192.0.2.1:81 is outside of its control group",
        ),
        (Filter(trouble="bpf: Operation not permitted"), Verdict.UNKNOWN, "not permitted"),
    ],
)
def test_a_filter_that_is_not_in_force(found: Filter, verdict: Verdict, words: str) -> None:
    """Whoever it lets in, the application takes for its own machine."""
    (check,) = judge_clients(VPN, LAN, LISTENING, found)
    assert verdict is check.verdict
    assert words in check.evidence


@pytest.mark.parametrize("found", [Filter(strangers=None), Filter(trouble="not permitted")])
def test_loopback_needs_no_filter(found: Filter) -> None:
    """Where this machine can have none: the kernel itself lets nobody else connect there."""
    (check,) = judge_clients(VPN, PLAIN, LISTENING, found)
    assert Verdict.UNAVAILABLE is check.verdict


@pytest.mark.parametrize(
    ("file", "verdict", "evidence"),
    [
        ((0o660, "root", "root"), Verdict.OK, "/run/x.sock is 0660 root:root"),
        (
            (0o666, "root", "games"),
            Verdict.NOT_CONFINED,
            "/run/x.sock is 0666 root:games, not 0660 root:root",
        ),
    ],
)
def test_mode_and_owners_of_a_unix_socket(
    file: tuple[int, str, str], verdict: Verdict, evidence: str
) -> None:
    """They are who may connect; it has no filter of addresses."""
    mode, user, group = file
    there = SocketFile(mode=mode, user=user, group=group, listened=True)
    (check,) = judge_file(VPN, UNIX, LISTENING, there)
    assert (verdict, evidence) == (check.verdict, check.evidence)
    assert [] == judge_clients(VPN, UNIX, LISTENING, Filter(strangers=None))
    assert [] == judge_file(VPN, PLAIN, LISTENING, None)


@pytest.mark.parametrize(("listened", "verdict"), [(True, Verdict.OK), (False, Verdict.BROKEN)])
def test_the_file_of_a_unix_socket_is_the_one_that_systemd_made(
    verdict: Verdict, *, listened: bool
) -> None:
    """Not one that somebody put in its place."""
    file = SocketFile(mode=0o660, user="root", group="root", listened=listened)
    socket = replace(
        LISTENING,
        listen=("/run/x.sock",),
        starts=("wgconfine-publish@vpn.unix:-run-x.sock.service",),
    )
    seen = replace(SEEN, files={"/run/x.sock": file})
    assert verdict is judge_publish(VPN, UNIX, socket, seen).verdict


def test_a_reached_port_is_a_hole_and_named_with_its_line() -> None:
    """No failure, since its owner asked for it."""
    assert (
        Verdict.OPEN,
        (
            "by 127.0.0.1:5432 every process inside talks to 192.0.2.7:5433 outside: "
            'reach = ["127.0.0.1:5432:192.0.2.7:5433"]'
        ),
        "",
    ) == said(judge_reach(VPN, REACH, REACHING, SEEN))


@pytest.mark.parametrize(
    ("socket", "seen", "verdict"),
    [
        (replace(REACHING, state=UnitState(name="x.socket")), SEEN, Verdict.BROKEN),
        (REACHING, replace(SEEN, inside=frozenset()), Verdict.BROKEN),
        (REACHING, replace(SEEN, unseen="it took too long"), Verdict.UNKNOWN),
        (replace(REACHING, listen=("127.0.0.1:5432", "[::]:9")), SEEN, Verdict.NOT_CONFINED),
    ],
)
def test_a_reached_port_that_is_not_as_declared(
    socket: Socket, seen: Seen, verdict: Verdict
) -> None:
    """Stopped, not in the tunnel's namespace, or open to more."""
    assert verdict is judge_reach(VPN, REACH, socket, seen).verdict


def test_a_proxy_may_be_idle() -> None:
    """It ends when nobody uses it."""
    assert (Verdict.OK, "idle: a connection starts it", "") == said(judge_proxy(VPN, PLAIN, PROXY))


@pytest.mark.parametrize(
    ("entry", "inside", "host", "verdict"),
    [
        (PLAIN, True, False, Verdict.OK),
        (PLAIN, False, True, Verdict.NOT_CONFINED),
        (PLAIN, None, None, Verdict.UNKNOWN),
        (REACH, False, True, Verdict.OK),
        (REACH, True, False, Verdict.NOT_CONFINED),
    ],
)
def test_a_proxy_is_in_its_namespace(
    entry: object, *, inside: bool | None, host: bool | None, verdict: Verdict
) -> None:
    """That of `publish` in the tunnel's, that of `reach` in the host's."""
    proxy = replace(PROXY, processes=(Process(pid=7, inside=inside, host=host),))
    assert verdict is judge_proxy(VPN, entry, proxy).verdict  # type: ignore[arg-type]


def test_a_proxy_is_not_among_the_services() -> None:
    """There the second switch drops what it sends, and counts it."""
    running = replace(PROXY, processes=(Process(pid=7, inside=True, host=False),))
    group = "/wgconfine.slice/wgconfine-vpn.slice/x.service"
    found = judge_proxy(VPN, PLAIN, replace(running, control_group=group))
    assert Verdict.NOT_CONFINED is found.verdict
    other = group.replace("-vpn.", "-vpn2.")
    assert Verdict.OK is judge_proxy(VPN, PLAIN, replace(running, control_group=other)).verdict


@pytest.mark.parametrize(
    "state",
    [
        {"active": "failed", "result": "exit-code"},
        {"active": "activating", "sub": "auto-restart", "result": "exit-code"},
    ],
)
def test_a_proxy_that_fails_is_of_no_use(state: dict[str, str]) -> None:
    """Such as one that its guard refuses."""
    proxy = Proxy(state=UnitState(name=f"{STEM}.service", **state))  # type: ignore[arg-type]
    assert (
        Verdict.BROKEN,
        "it has failed: exit-code: nobody gets through",
        f"journalctl -u {STEM}.service",
    ) == said(judge_proxy(VPN, PLAIN, proxy))


def test_what_nobody_declared_is_named() -> None:
    """Each unit by its own name, with the command that stops it."""
    assert [("a.socket", "systemctl stop a.socket"), ("b.service", "systemctl stop b.service")] == [
        (each.unit, each.mend) for each in judge_undeclared({"b.service", "a.socket"})
    ]


def stranger(pid: int, local: str = "127.0.0.1:99") -> Stranger:
    return Stranger(protocol="tcp", local=local, holder=Holder(pid=pid, name="x" if pid else ""))


@pytest.mark.parametrize(
    ("found", "verdict", "words", "mend"),
    [
        ([], Verdict.OK, "whoever answers inside is inside", ""),
        ([stranger(7)], Verdict.NOT_CONFINED, "tcp 127.0.0.1:99: process 7 (x)", ""),
        (
            [stranger(1)],
            Verdict.NOT_CONFINED,
            "tcp 127.0.0.1:99: hand.socket",
            "systemctl stop hand.socket",
        ),
        ([stranger(1, "[::1]:9")], Verdict.NOT_CONFINED, "tcp [::1]:9: process 1 (x)", ""),
        ([stranger(0)], Verdict.UNKNOWN, "nobody who can be found", ""),
        ([stranger(0), stranger(7)], Verdict.NOT_CONFINED, "process 7", ""),
    ],
)
def test_who_answers_inside_and_is_outside(
    found: list[Stranger], verdict: Verdict, words: str, mend: str
) -> None:
    """A hole that no settings name."""
    check = judge_strangers(found, {"127.0.0.1:99": "hand.socket"})
    assert (verdict, mend) == (check.verdict, check.mend)
    assert words in check.evidence


@pytest.mark.parametrize(
    ("innermost", "command"),
    [
        (r"a-b\x2dc.slice", r"systemctl cat -- 'a-b\x2dc.slice'"),
        ("-.slice", "systemctl cat -- -.slice"),
    ],
)
def test_a_slice_is_named_as_a_shell_takes_it(innermost: str, command: str) -> None:
    """A backslash would be eaten, and what begins with a dash taken for an option."""
    found = Filter(strangers=("0.0.0.1",), slices=(innermost,))
    checks = judge_clients(VPN, LAN, LISTENING, found)

    assert [command] == [each.mend for each in checks]
