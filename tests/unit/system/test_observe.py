"""What `status` shows, from a systemctl of the test and files in the place of /run."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.config.settings import parse_settings
from wgconfine.model.settings import Settings, TunnelName, UnitName
from wgconfine.model.status import Holes, PeerStatus, ServiceStatus, Status, TunnelStatus
from wgconfine.runtime import clock, paths
from wgconfine.system import observe as module
from wgconfine.system import servicestatus, tunnelstate
from wgconfine.system.observe import observe

VPN, A = TunnelName("vpn"), UnitName("a.service")
RUNNING = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running"}
STOPPED = {"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead"}


class FakeSystemctl:
    """Answers with the properties of each unit; what is not named is stopped. Takes no orders."""

    def __init__(self, **units: dict[str, str]) -> None:
        self.units = {name.replace("__", "."): shown for name, shown in units.items()}

    def show(self, units: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, str]]:
        return {
            unit: {key: self.units.get(unit, STOPPED).get(key, "") for key in properties}
            for unit in units
        }

    def daemon_reload(self) -> None:
        raise NotImplementedError

    def start(self, units: Sequence[str]) -> None:
        raise NotImplementedError(units)

    kill_all = start_no_block = stop = restart = reload = reset_failed = start
    update_catalog = daemon_reload


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/run/wgconfine and /run/netns lie here, and so does what is installed: nothing, at first."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path / "wgconfine"))
    for each in (servicestatus, tunnelstate):
        monkeypatch.setattr(
            each, "named_namespace", lambda name: os.fspath(tmp_path / "netns" / name)
        )
    monkeypatch.setattr(
        servicestatus, "dropin_path", lambda unit: PurePosixPath(tmp_path / f"{unit}.conf")
    )
    monkeypatch.setattr(module, "installed_names", list)
    for directory in ("netns", "wgconfine/netns", "wgconfine/trouble", "wgconfine/tunnel/vpn"):
        (tmp_path / directory).mkdir(parents=True)
    return tmp_path


def complete(state: Path, namespace: str = "/proc/self/ns/net") -> None:
    """All that a confined service needs is there; `namespace` bears the tunnel's name."""
    for name in ("resolv.conf", "nsswitch.conf"):
        (state / "wgconfine/tunnel/vpn" / name).touch()
    (state / f"{A}.conf").touch()
    (state / "wgconfine/netns/vpn").symlink_to("/proc/self/ns/net")
    (state / "netns/vpn").symlink_to(namespace)


def settings(more: str = 'services = ["a.service"]') -> Settings:
    text = f'config = "/etc/wireguard/vpn.conf"\n{more}\n'
    return parse_settings("vpn", [(PurePosixPath("/etc/wgconfine/vpn.toml"), text)])


def service(**shown: str) -> ServiceStatus:
    status = observe(FakeSystemctl(a__service=shown), [settings()], [])
    return status.tunnels[0].services[0]


def test_nothing_is_nothing() -> None:
    """systemd is not even asked."""
    assert Status(tunnels=()) == observe(FakeSystemctl(), [], [])


def test_a_process_in_the_tunnels_namespace_is_confined(state: Path) -> None:
    """The process, not the setting (invariant 1)."""
    complete(state)

    assert ServiceStatus(unit=A, state="confined") == service(**RUNNING, MainPID=str(os.getpid()))


def test_a_process_elsewhere_is_not(state: Path) -> None:
    """Whatever systemd says of the unit."""
    complete(state)
    (state / "wgconfine/netns/vpn").unlink()
    (state / "wgconfine/netns/vpn").symlink_to("/proc/self/ns/mnt")

    assert service(**RUNNING, MainPID=str(os.getpid())).state == "NOT CONFINED"


def test_a_process_that_cannot_be_seen(state: Path) -> None:
    """Neither judged confined nor not."""
    complete(state)

    found = service(**RUNNING, MainPID="999999999")
    assert ("running", "its namespace can't be seen: run this as root") == (found.state, found.why)


@pytest.mark.parametrize(
    ("program", "name", "being"),
    [
        ("/usr/lib/systemd/systemd-executor", "(x)", True),
        ("/usr/lib/systemd/systemd-executor", "systemd-executo", True),
        ("/usr/lib/systemd/systemd", "(x)", True),
        ("/usr/lib/systemd/systemd", "systemd", False),  # a user manager
        ("/opt/systemd-executor", "(x)", False),
    ],
)
def test_a_process_that_systemd_is_setting_up(
    state: Path, monkeypatch: pytest.MonkeyPatch, program: str, name: str, *, being: bool
) -> None:
    """It has joined no namespace yet, and none of the service's own code runs in it."""
    monkeypatch.setattr(servicestatus, "PROC", state)
    make_process(state, "1", "/usr/lib/systemd/systemd", "systemd")
    make_process(state, "7", program, name)

    assert being == servicestatus.is_set_up(7)


def test_a_process_that_was_forked_this_moment(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is PID 1 over again, in name and command line, until it gets its own name."""
    monkeypatch.setattr(servicestatus, "PROC", state)
    make_process(state, "1", "/usr/lib/systemd/systemd", "systemd")
    make_process(state, "7", "/usr/lib/systemd/systemd", "systemd", cmdline="/sbin/init")

    assert servicestatus.is_set_up(7)


@pytest.mark.parametrize(
    "unlike",
    [
        {"PPid": "8"},
        {"Uid": "0\t33\t33\t33"},
        {"CapEff": "00000000a80425fb"},
        {"user": "user:[4026532000]"},
    ],
    ids="".join,
)
def test_a_process_in_the_guise_of_systemd(
    state: Path, monkeypatch: pytest.MonkeyPatch, unlike: dict[str, str]
) -> None:
    """Anybody may run systemd's program under such a name; nobody gets its rights by that."""
    monkeypatch.setattr(servicestatus, "PROC", state)
    make_process(state, "1", "/usr/lib/systemd/systemd", "systemd")
    make_process(state, "7", "/usr/lib/systemd/systemd-executor", "(x)", **unlike)

    assert not servicestatus.is_set_up(7)


def make_process(proc: Path, pid: str, program: str, name: str, **unlike: str) -> None:
    """Its directory in /proc, as that of a child of PID 1 with all rights but for `unlike`."""
    status = {"Name": name, "PPid": "1", "Uid": "0\t0\t0\t0", "CapEff": "000001ffffffffff"}
    user = unlike.pop("user", "user:[4026531837]")
    usual = "/sbin/init" if pid == "1" else f"{program} --user"
    cmdline = unlike.pop("cmdline", usual).replace(" ", "\0")
    (proc / pid / "ns").mkdir(parents=True)
    (proc / pid / "ns/user").symlink_to(user)
    (proc / pid / "exe").symlink_to(program)
    (proc / pid / "comm").write_text(f"{name}\n")
    (proc / pid / "cmdline").write_text(f"{cmdline}\0")
    lines = (f"{key}:\t{value}\n" for key, value in {**status, **unlike}.items())
    (proc / pid / "status").write_text("".join(lines))


def test_a_unit_that_is_not_what_its_drop_in_was_written_for() -> None:
    """The command that mends it; a unit of another tunnel is none of this one's."""
    (tunnel,) = observe(
        FakeSystemctl(), [settings()], [], changed=lambda _: {A, UnitName("b")}
    ).tunnels

    assert "a.service has changed since it was confined: wgconfine apply" in tunnel.problems
    assert not any("b" in each.split()[0] for each in tunnel.problems)


def test_a_stopped_service_that_somebody_wants_waits() -> None:
    """Its want@ target is active."""
    systemctl = FakeSystemctl(**{"wgconfine-want@a__target": RUNNING})
    (found,) = observe(systemctl, [settings()], []).tunnels[0].services

    assert ("waiting", "for wgconfine@vpn.service; it starts when that does") == (
        found.state,
        found.why,
    )


def test_a_unit_that_changed_on_disk() -> None:
    """The command that mends it."""
    assert (
        "its unit changed on disk: systemctl daemon-reload"
        == service(**STOPPED, NeedDaemonReload="yes").why
    )


GUARD = {"ExecCondition": "{ path=/bin/sh ; code=killed ; status=10/USR1 }"}
ASSERT = {"AssertResult": "no", "AssertTimestampMonotonic": "1"}
CONDITION = {"ConditionResult": "no", "ConditionTimestampMonotonic": "1"}
EXEC = {"Result": "exec-condition"}


@pytest.mark.parametrize(
    ("missing", "namespace", "shown", "why"),
    [
        ("netns/vpn", "net", ASSERT, "{state}/netns/vpn is missing: systemctl restart wgconfine-"),
        ("wgconfine/netns/vpn", "net", GUARD, "{state}/wgconfine/netns/vpn is missing: "),
        ("wgconfine/tunnel/vpn/resolv.conf", "net", ASSERT, "{state}/wgconfine/tunnel/vpn/resolv"),
        ("wgconfine/tunnel/vpn/nsswitch.conf", "net", ASSERT, "{state}/wgconfine/tunnel/vpn/nss"),
        ("", "mnt", GUARD, "another namespace has taken the name {state}/netns/vpn"),
        ("a.service.conf", "net", GUARD, "its drop-in is gone, so that it is closed: wgconfine ap"),
        ("", "net", GUARD, "its guard found it outside of the tunnel's namespace"),
        ("", "net", ASSERT, "an Assert…= of the unit does not hold: systemctl status a."),
        ("", "net", CONDITION, "a Condition…= of the unit does not hold: systemctl status a."),
        ("", "net", EXEC, "it could not be set up inside: journalctl -u a.service"),
    ],
)
def test_why_a_service_is_refused(
    state: Path, missing: str, namespace: str, shown: dict[str, str], why: str
) -> None:
    """The first cause that holds: what is missing comes before what that led to."""
    complete(state, f"/proc/self/ns/{namespace}")
    if missing:
        (state / missing).unlink()

    found = service(**(STOPPED | shown))

    assert found.state == "refused"
    assert found.why.startswith(why.format(state=state))


@pytest.mark.parametrize(
    ("record", "more", "problem"),
    [
        (None, "", "not applied yet: wgconfine apply"),
        (None, "enable = false", ""),
        ({}, "enable = false", "disabled, but still installed: wgconfine apply"),
        ({"settings-digest": "x"}, "", "the settings have changed since: wgconfine apply"),
    ],
)
def test_settings_that_differ_from_what_is_installed(
    record: dict[str, object] | None, more: str, problem: str
) -> None:
    """With the command that mends it."""
    assert problem == module.difference(settings(more), record, settings_wrong=False)


def test_installed_without_settings() -> None:
    """Gone from the settings, or in a file that can't be read."""
    assert "no longer in the settings: wgconfine apply" == module.difference(
        None, {}, settings_wrong=False
    )
    assert "wgconfine check" in module.difference(None, {}, settings_wrong=True)
    same = {"settings-digest": settings().digest}
    assert module.difference(settings(), same, settings_wrong=False) == ""


@pytest.mark.parametrize(
    ("record", "more", "word", "why"),
    [
        (None, "", "down", "it is not applied yet"),
        (None, "enable = false", "down", "enable = false in its settings"),
        ({"backend": "kernel"}, "", "down", "it is stopped"),
    ],
)
def test_a_tunnel_that_is_down(
    monkeypatch: pytest.MonkeyPatch,
    record: dict[str, object] | None,
    more: str,
    word: str,
    why: str,
) -> None:
    """By the settings, and by what is installed."""
    monkeypatch.setattr(module, "installed_names", lambda: [VPN] if record is not None else [])
    monkeypatch.setattr(module, "read_record", lambda _: record)
    (tunnel,) = observe(FakeSystemctl(), [settings(more)], []).tunnels

    assert (word, why) == (tunnel.state, tunnel.why)
    assert not tunnel.configured


def up(**units: dict[str, str]) -> TunnelStatus:
    own = {f"wgconfine{kind}@vpn__service": RUNNING for kind in ("", "-netns")}
    (tunnel,) = observe(FakeSystemctl(**own | units), [settings()], []).tunnels
    return tunnel


def test_since_when_a_tunnel_is_up() -> None:
    """By systemd's own clock."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    shown = {**RUNNING, "ActiveEnterTimestampMonotonic": str(now - 7_000_000)}
    tunnel = up(**{"wgconfine@vpn__service": shown})

    assert ("up", True) == (tunnel.state, tunnel.configured)
    assert tunnel.since in range(7, 30)  # the machine may be a busy one


def test_a_name_without_an_answer(state: Path) -> None:
    """Without root all of them are said, as long as somebody asks."""
    (state / "wgconfine/tunnel/vpn/endpoints").write_text("KEY a.example.net 51820\nbroken\n")
    asking = {"wgconfine-endpoint@vpn__service": RUNNING}

    assert ("waiting", "no address yet for a.example.net") == (up(**asking).state, up(**asking).why)
    assert up().state == "up"


def test_a_peer_that_has_an_address_is_waited_for_no_longer(state: Path) -> None:
    """An address of before is as good, though its name has no answer now."""
    (state / "wgconfine/tunnel/vpn/endpoints").write_text("A a.example.net 1\nB b. 1\n")
    peers = [peer("A", endpoint="192.0.2.1:1"), peer("B")]

    assert ("b.",) == module.unanswered(VPN, peers, asking=True)


def peer(key: str, *, endpoint: str | None = None, sent: int = 0) -> PeerStatus:
    return PeerStatus(public_key=key, endpoint=endpoint, handshake_age=None, received=0, sent=sent)


def test_peers_that_have_never_answered() -> None:
    """Of those to whom something was sent; not where another has."""
    silent = peer("KEYKEYKEY", endpoint="192.0.2.1:1", sent=148)

    assert ("KEYKEYKE… at 192.0.2.1:1",) == module.unheard([silent, peer("B")])
    assert () == module.unheard([silent, replace(silent, handshake_age=3)])


def test_what_keeps_a_tunnel_from_being_configured(state: Path) -> None:
    """As the runtime left it, and since when."""
    now = clock.since_boot()
    text = f"{now - 9} {now}\n/etc/vpn.conf: No such file or directory.\x1b[2J\n"
    (state / "wgconfine/trouble/vpn").write_text(text)
    failing = {**STOPPED, "ActiveState": "activating", "SubState": "auto-restart"}
    tunnel = up(**{"wgconfine@vpn__service": failing})

    assert "waiting" == tunnel.state
    assert "/etc/vpn.conf: No such file or directory.\\x1b[2J" == tunnel.why
    assert tunnel.since in {9, 10}
    assert "it is tried again every 5 s. To look: wgconfine logs vpn" == tunnel.next


def test_a_tunnel_that_the_tick_found_sick(state: Path) -> None:
    """As health keeps it."""
    (state / "wgconfine/health").mkdir()
    now = clock.since_boot()
    (state / "wgconfine/health/vpn").write_text(f"sick {now - 60} {now} 2\nwhy link wg0: missing\n")
    tunnel = up()

    assert ("degraded", "link wg0: missing") == (tunnel.state, tunnel.why)
    assert "2 steps taken: wgconfine logs vpn" == tunnel.next


def test_a_namespace_that_failed() -> None:
    """Nothing of the tunnel is tried again by itself then."""
    failed = {"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed"}
    tunnel = up(**{"wgconfine-netns@vpn__service": failed, "wgconfine@vpn__service": STOPPED})

    assert ("refused", "wgconfine-netns@vpn.service failed") == (tunnel.state, tunnel.why)


def test_units_beside_a_tunnel_that_fail(state: Path) -> None:
    """It is up all the same, and each is named with the command that shows its journal."""
    failed = {"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed"}
    reload = {"wgconfine-reload@vpn__service": failed}
    unit = "wgconfine-reload@vpn.service"

    assert f"{unit} failed: journalctl -u {unit}" in up(**reload).problems
    now = clock.since_boot()
    (state / "wgconfine/trouble/vpn").write_text(f"{now} {now}\nno key.\n")
    assert f"{unit} failed: no key: wgconfine logs vpn" in up(**reload).problems


def test_a_service_outside_is_a_leak_of_its_tunnel(state: Path) -> None:
    """And what else there is of the tunnel is said below."""
    complete(state)
    (state / "wgconfine/netns/vpn").unlink()
    (state / "wgconfine/netns/vpn").symlink_to("/proc/self/ns/mnt")
    outside = {"a__service": {**RUNNING, "MainPID": str(os.getpid())}}
    tunnel = up(**outside, **{"wgconfine@vpn__service": STOPPED})

    assert ("LEAK", "in another namespace: a.service") == (tunnel.state, tunnel.why)
    assert "systemctl stop a.service" == tunnel.next
    assert any(each.startswith("down: it is not applied yet") for each in tunnel.problems)


def test_closed_services() -> None:
    """Confined once, in no tunnel now; running all the same, they are the alarm."""
    systemctl = FakeSystemctl(b__service=RUNNING)
    closed = [UnitName("b.service"), UnitName("c.service"), A]

    status = observe(systemctl, [settings()], closed)

    assert [("b.service", "NOT CONFINED"), ("c.service", "closed")] == [
        (each.unit, each.state) for each in status.closed
    ]
    assert status.closed[1].why.endswith("wgconfine release c.service")


def test_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of `wg show LINK dump`, without its keys but the public one."""
    monkeypatch.setattr(time, "time", lambda: 1000.5)
    line = "PUBLIC\tPRESHARED\t192.0.2.2:51820\t0.0.0.0/0\t940\t1\t2\toff"

    assert PeerStatus(
        public_key="PUBLIC", endpoint="192.0.2.2:51820", handshake_age=60, received=1, sent=2
    ) == tunnelstate.peer_status(line.split("\t"))
    unseen = tunnelstate.peer_status(["PUBLIC", "P", "(none)", "", "0", "0", "0", "off"])
    assert (None, None) == (unseen.endpoint, unseen.handshake_age)


def test_no_peers_without_a_namespace_or_root(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run then."""
    assert tunnelstate.read_peers(VPN, "wg0") == ()
    complete(state)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert tunnelstate.read_peers(VPN, "wg0") == ()


def verified(state: Path, text: str) -> None:
    place = state / "wgconfine/verify/vpn.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)


def tunnel_of(every: int | None = 900) -> TunnelStatus:
    declared = settings()
    record = {"settings-digest": declared.digest, "verify-every": every}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "installed_names", lambda: [VPN])
        patch.setattr(module, "read_record", lambda _: record)
        return observe(FakeSystemctl(), [declared], []).tunnels[0]


@pytest.mark.parametrize(
    ("verdict", "problems"),
    [
        ("ok", ()),
        ("does not work", ()),  # what it is about is shown anyway
        ("LEAK", ("down: it is stopped. systemctl start wgconfine@vpn.service",)),
        ("unknown", ("the last verify says: unknown: wgconfine verify vpn",)),
    ],
)
def test_the_last_verify_is_shown(state: Path, verdict: str, problems: tuple[str, ...]) -> None:
    """With its age, and as a problem where it found one."""
    verified(state, json.dumps({"time": int(time.time()) - 60, "verdict": verdict}))

    found = tunnel_of()
    assert problems == found.problems
    assert found.verify is not None
    assert verdict == found.verify.verdict
    assert (found.state == "LEAK") == (verdict == "LEAK")
    assert 60 <= found.verify.age < 90


def test_what_leaked_is_named(state: Path) -> None:
    """By the check, and the service where it is about one."""
    checks = [
        {"name": "udp4", "unit": "a.service", "verdict": "LEAK"},
        {"name": "switch-counter", "unit": "", "verdict": "LEAK"},
        {"name": "dns", "unit": "", "verdict": "ok"},
    ]
    values = {"time": int(time.time()), "verdict": "LEAK", "checks": checks}
    verified(state, json.dumps(values))

    assert "the last verify has found one: udp4 of a.service, switch-counter" == tunnel_of().why


@pytest.mark.parametrize(("every", "late"), [(900, True), (86400, False), (None, False)])
def test_a_verify_that_is_overdue_is_a_problem(
    state: Path, every: int | None, *, late: bool
) -> None:
    """By what is installed: the timer, or the unit, does not run."""
    verified(state, json.dumps({"time": int(time.time()) - 7200, "verdict": "ok"}))

    words = "verify is overdue: systemctl status wgconfine-tick.timer wgconfine-verify@vpn.service"
    assert ((words,) if late else ()) == tunnel_of(every).problems


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"time": null, "verdict": "ok"}'])
def test_what_is_no_result_is_none(state: Path, text: str) -> None:
    """Or nothing has been kept yet."""
    assert None is tunnel_of().verify
    verified(state, text)

    assert None is tunnel_of().verify


def test_what_is_open_to_a_service_is_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what the settings say by now; a record that is damaged tells of nothing."""
    holes = {"allow-paths": {A: ["/run/x"]}, "allow-bus": {A: ["org.example.X"], "b.service": []}}
    monkeypatch.setattr(module, "installed_names", lambda: [VPN])
    found = []
    for record in (holes, {}, {"allow-paths": [], "allow-bus": {A: "x"}}):
        monkeypatch.setattr(module, "read_record", lambda _, record=record: {"x": 1, **record})
        status = observe(FakeSystemctl(), [settings()], [])
        found.append(status.tunnels[0].services[0].holes)

    assert [Holes(paths=("/run/x",), bus=("org.example.X",)), Holes(), Holes()] == found


def test_ports_are_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how their sockets are; settings that were not applied add nothing."""
    port = {"socket": "p.socket", "listen": ["127.0.0.1:80"], "to": "127.0.0.1:81", "from": []}
    monkeypatch.setattr(module, "installed_names", lambda: [VPN])
    monkeypatch.setattr(module, "read_record", lambda _: {"publish": [port]})
    declared = settings('publish = ["9999"]')
    (tunnel,) = observe(FakeSystemctl(p__socket=RUNNING), [declared], []).tunnels

    assert [("p.socket", "listening")] == [(each.socket, each.state) for each in tunnel.publish]
