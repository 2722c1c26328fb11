"""What is wgconfine's own: settings, what is installed by them, how it runs."""

from pathlib import PurePosixPath

from wgconfine.config.settings import parse_settings
from wgconfine.doctor.ours import Loose, OwnFacts, judge_own
from wgconfine.model.doctor import Finding, Grade
from wgconfine.model.problem import Problem
from wgconfine.model.settings import UnitName
from wgconfine.model.status import ServiceStatus, Status, TunnelStatus
from wgconfine.model.tree import File
from wgconfine.plan.difference import Change, ChangeKind
from wgconfine.plan.steps import Action, FileStep, UnitStep

VPN = parse_settings(
    "vpn", [(PurePosixPath("/etc/wgconfine/vpn.toml"), 'config = "/etc/wgconfine/vpn.conf"\n')]
)
UP = Status(tunnels=(TunnelStatus(name="vpn", state="up", backend="kernel"),))
WELL = {"tunnels": (VPN,), "steps": (), "status": UP}
CONF = PurePosixPath("/etc/wgconfine/vpn.conf")


def step(kind: ChangeKind, path: str) -> FileStep:
    file = File(path=PurePosixPath(path), text="")
    before = None if kind is ChangeKind.CREATE else file
    after = None if kind is ChangeKind.REMOVE else file
    return FileStep(change=Change(kind=kind, path=file.path, before=before, after=after))


def judged(**facts: object) -> list[Finding]:
    return [*judge_own(OwnFacts(**{**WELL, **facts}))]  # type: ignore[arg-type]  # by their names


def bad(**facts: object) -> list[Finding]:
    return [each for each in judged(**facts) if each.grade is not Grade.OK]


def test_all_is_well() -> None:
    """Settings, files and tunnels have a line each."""
    assert ["settings", "files", "tunnel"] == [each.name for each in judged()]
    assert [] == bad()


def test_before_there_is_any_tunnel() -> None:
    """The next command is said."""
    (found,) = judged(tunnels=(), status=Status(tunnels=()))
    assert (Grade.NOTE, "wgconfine init CONF --name NAME") == (found.grade, found.mend)


def test_wrong_settings() -> None:
    """Each problem is one thing that will not work, and the plan is not missed then."""
    problems = (
        Problem(where="vpn.toml: mtu", what="100 is not a whole number"),
        Problem(where="vpn.toml: mut", what="unknown key", hint="Did you mean mtu?"),
    )
    found = bad(problems=problems, steps=None)
    assert ["vpn.toml: mtu: 100 is not a whole number", str(problems[1])] == [
        each.words for each in found
    ]


def test_what_only_root_may_read() -> None:
    """Is unknown: settings, secrets, the plan."""
    (found,) = [each for each in judged(unread="x: denied", tunnels=()) if "denied" in each.words]
    assert Grade.UNKNOWN == found.grade
    assert ["secrets", "plan"] == [each.name for each in bad(unseen=(CONF,), steps=None)]
    assert [] == [
        each for each in judged(tunnels=(), steps=None, booted=False) if each.name == "plan"
    ]


def test_files_that_are_not_as_they_should_be() -> None:
    """Missing, altered and left over ones, some of them by name."""
    steps = [step(ChangeKind.CREATE, f"/etc/systemd/system/wgconfine{each}") for each in range(6)]
    steps += [step(ChangeKind.UPDATE, "/a"), step(ChangeKind.REMOVE, "/b")]
    (found,) = bad(steps=tuple(steps))
    assert (Grade.BROKEN, "wgconfine apply", True) == (found.grade, found.mend, found.fix)
    assert "wgconfine3 and 2 more: missing; /a: not as the settings say" in found.words
    assert found.words.endswith("; /b: left over")


def test_a_tunnel_that_is_not_applied_yet() -> None:
    """Its files are not called missing, nor is it down on top of that."""
    steps = (step(ChangeKind.CREATE, "/etc/wgconfine/vpn.json"), step(ChangeKind.CREATE, "/a"))
    down = Status(tunnels=(TunnelStatus(name="vpn", state="down", backend="kernel"),))
    (found,) = bad(steps=steps, status=down)
    assert "vpn: not applied yet" == found.words


def test_what_systemd_is_to_be_told() -> None:
    """Where files are right: the timer that is stopped, units that were not read."""
    steps = (
        UnitStep(action=Action.DAEMON_RELOAD),
        UnitStep(action=Action.START, units=("wgconfine-tick.timer",)),
    )
    (found,) = bad(steps=steps)
    assert found.words.endswith(": daemon-reload; start wgconfine-tick.timer")
    assert found.fix


def test_owners_and_modes() -> None:
    """Each has its command; the problem that says the same is left out."""
    unit = PurePosixPath("/etc/systemd/system/wgconfine@.service")
    loose = (Loose(path=CONF, secret=True), Loose(path=unit, secret=False))
    problem = Problem(where=str(CONF), what="others than root may read it")
    found = bad(loose=loose, problems=(problem,), steps=())
    assert [f"chmod 600 {CONF}", "wgconfine doctor --fix"] == [each.mend for each in found]
    assert all(each.fix for each in found)


def test_what_is_to_be_in_a_file_is_not_known() -> None:
    """Without a plan none is written anew: what others may have written is not taken over."""
    loose = (Loose(path=PurePosixPath("/etc/wgconfine/vpn.json"), secret=False),)
    (found,) = bad(loose=loose, failure="x", steps=None)[:1]
    assert ("", False) == (found.mend, found.fix)


def test_what_is_in_the_way() -> None:
    """Of somebody else's, and why there is no plan."""
    problem = Problem(where="/run/netns/vpn", what="is a namespace that wgconfine did not make")
    found = bad(in_the_way=(problem,), failure="the interpreter: x", steps=None)
    assert ["in-the-way", "plan"] == [each.name for each in found]
    assert {Grade.BROKEN} == {each.grade for each in found}


def test_how_tunnels_and_services_are() -> None:
    """As `status` has it, with why."""
    services = (
        ServiceStatus(unit="a.service", state="confined"),
        ServiceStatus(unit="b.service", state="refused", why="the guard"),
        ServiceStatus(unit="c.service", state="stopped"),
    )
    tunnel = TunnelStatus(
        name="vpn",
        state="degraded",
        backend="kernel",
        why="no peer answers",
        services=services,
        problems=("changed: wgconfine apply", "verify is overdue: look"),
    )
    closed = (
        ServiceStatus(unit="old.service", state="closed"),
        ServiceStatus(unit="bad.service", state="NOT CONFINED"),
    )
    found = bad(status=Status(tunnels=(tunnel,), closed=closed))
    assert [
        "vpn: degraded: no peer answers",
        "vpn: changed: wgconfine apply",
        "vpn: verify is overdue: look",
        "b.service of vpn: refused (the guard)",
        "old.service: closed; it does not start until it is released",
        "bad.service: NOT CONFINED; it does not start until it is released",
    ] == [each.words for each in found]
    assert [Grade.NOTE, Grade.BROKEN] == [each.grade for each in found[-2:]]
    applying = bad(status=Status(tunnels=(tunnel,)), steps=(step(ChangeKind.UPDATE, "/a"),))
    assert "vpn: changed: wgconfine apply" not in [each.words for each in applying]


def test_units_that_have_failed() -> None:
    """But not twice what a tunnel says of itself."""
    tunnel = TunnelStatus(
        name="vpn",
        state="up",
        backend="kernel",
        problems=("wgconfine-endpoint@vpn.service failed: journalctl -u x",),
    )
    failed = {
        UnitName("wgconfine-endpoint@vpn.service"): "exit-code",
        UnitName("wgconfine-verify@vpn.service"): "exit-code",
        UnitName("wgconfine-publish@my\\x2dlab.1.service"): "signal",
    }
    found = [
        each
        for each in bad(failed=failed, status=Status(tunnels=(tunnel,)))
        if each.name == "failed"
    ]
    assert [
        "wgconfine verify vpn",
        "journalctl -b -u 'wgconfine-publish@my\\x2dlab.1.service'",
    ] == [each.mend for each in found]
    assert ["failed"] == [each.name for each in bad(failed={"wgconfine-x": "x"}, status=None)]
