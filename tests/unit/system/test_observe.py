"""What `status` shows, from a systemctl of the test and files in the place of /run."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.config.settings import parse_settings
from wgconfine.model.settings import Settings, TunnelName, UnitName
from wgconfine.model.state import UnitState
from wgconfine.model.status import Holes, PeerStatus, ServiceStatus, Status, TunnelStatus
from wgconfine.runtime import paths
from wgconfine.system import observe as module
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

    def is_active(self, unit: str) -> bool:
        raise NotImplementedError(unit)

    def daemon_reload(self) -> None:
        raise NotImplementedError

    def start(self, units: Sequence[str]) -> None:
        raise NotImplementedError(units)

    kill_all = start_no_block = stop = restart = reload = reset_failed = start


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/run/wgconfine and /run/netns lie here, and so does what is installed: nothing, at first."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path / "wgconfine"))
    monkeypatch.setattr(
        module, "named_namespace", lambda name: os.fspath(tmp_path / "netns" / name)
    )
    monkeypatch.setattr(
        module, "dropin_path", lambda unit: PurePosixPath(tmp_path / f"{unit}.conf")
    )
    monkeypatch.setattr(module, "installed_names", list)
    for directory in ("netns", "wgconfine/netns", "wgconfine/tunnel/vpn"):
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
    monkeypatch.setattr(module, "PROC", state)
    make_process(state, "1", "/usr/lib/systemd/systemd", "systemd")
    make_process(state, "7", program, name)

    assert being == module.is_set_up(7)


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
    monkeypatch.setattr(module, "PROC", state)
    make_process(state, "1", "/usr/lib/systemd/systemd", "systemd")
    make_process(state, "7", "/usr/lib/systemd/systemd-executor", "(x)", **unlike)

    assert not module.is_set_up(7)


def make_process(proc: Path, pid: str, program: str, name: str, **unlike: str) -> None:
    """Its directory in /proc, as that of a child of PID 1 with all rights but for `unlike`."""
    status = {"Name": name, "PPid": "1", "Uid": "0\t0\t0\t0", "CapEff": "000001ffffffffff"}
    user = unlike.pop("user", "user:[4026531837]")
    (proc / pid / "ns").mkdir(parents=True)
    (proc / pid / "ns/user").symlink_to(user)
    (proc / pid / "exe").symlink_to(program)
    (proc / pid / "comm").write_text(f"{name}\n")
    lines = (f"{key}:\t{value}\n" for key, value in {**status, **unlike}.items())
    (proc / pid / "status").write_text("".join(lines))


def test_a_unit_that_is_not_what_its_drop_in_was_written_for() -> None:
    """The command that mends it; a unit of another tunnel is none of this one's."""
    (tunnel,) = observe(FakeSystemctl(), [settings()], [], changed={A, UnitName("b")}).tunnels

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
        ("", "net", ASSERT, "an Assert…= of the unit does not hold: systemctl status it"),
        ("", "net", CONDITION, "a Condition…= of the unit does not hold: systemctl status it"),
        ("", "net", EXEC, "it could not be set up inside: journalctl -u it"),
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
    ("state", "more", "word"),
    [
        (UnitState(name="x", active="active", sub="exited"), "", "up"),
        (UnitState(name="x"), "", "down"),
        (UnitState(name="x"), "enable = false", "disabled"),
        (UnitState(name="x", load="not-found"), "", "not applied"),
        (UnitState(name="x", active="failed"), "", "failed"),
    ],
)
def test_words_for_a_tunnel(state: UnitState, more: str, word: str) -> None:
    """For a person, from systemd's."""
    assert word == module.tunnel_word(settings(more), state)


def test_units_of_a_tunnel_that_failed() -> None:
    """Each is named with the command that shows its journal."""
    failed = {"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed"}
    systemctl = FakeSystemctl(**{"wgconfine-netns@vpn__service": failed})

    assert "wgconfine-netns@vpn.service failed: journalctl -u wgconfine-netns@vpn.service" in (
        observe(systemctl, [settings()], []).tunnels[0].problems
    )


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
    ) == module.peer_status(line.split("\t"))
    unseen = module.peer_status(["PUBLIC", "P", "(none)", "", "0", "0", "0", "off"])
    assert (None, None) == (unseen.endpoint, unseen.handshake_age)


def test_no_peers_without_a_namespace_or_root(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run then."""
    assert module.read_peers(VPN, "wg0") == ()
    complete(state)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert module.read_peers(VPN, "wg0") == ()


@pytest.mark.parametrize("text", ["", "[", "[]", '"x"'])
def test_a_damaged_record_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """`status` still shows the rest."""
    (tmp_path / "vpn.json").write_text(text)
    monkeypatch.setattr(module, "record_path", lambda name: PurePosixPath(tmp_path, f"{name}.json"))

    assert module.read_record(VPN) is None


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
        ("LEAK", ("the last verify says: LEAK: wgconfine verify vpn",)),
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
    assert 60 <= found.verify.age < 90


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
