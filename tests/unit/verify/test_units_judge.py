"""Units: files of ours, what others put beside them, and how a service is called."""

import hashlib
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.model.settings import Backend, ConfFile, Refinement, Settings, TunnelName, UnitName
from wgconfine.model.state import UnitState
from wgconfine.model.tree import File, Tree
from wgconfine.model.units import UnitFacts, UnitText
from wgconfine.model.verify import Check, Verdict
from wgconfine.plan.desired import Machine, desired_tree
from wgconfine.plan.unitfile import build_facts
from wgconfine.render.places import closing_path, dropin_path, record_path
from wgconfine.system.systemctl import RealSystemctl
from wgconfine.verify.subject import Origin, Subject, units_of_tunnel
from wgconfine.verify.units import (
    judge_age,
    judge_closing,
    judge_dropin,
    judge_facts,
    judge_own_files,
    judge_own_units,
    judge_record,
    judge_state,
    rendered_lines,
    started_at,
)

A = UnitName("a.service")
VPN = TunnelName("vpn")
MACHINE = Machine(python=PurePosixPath("/opt/python3"), kernel_wireguard=True, systemd=252)
SETTINGS = Settings(
    name=VPN,
    path=PurePosixPath("/etc/wgconfine/vpn.toml"),
    digest=hashlib.sha256(b"x").hexdigest(),
    wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
    services=(A,),
)


def facts(more: str = "", *, dropins: tuple[UnitText, ...] = ()) -> UnitFacts:
    main = UnitText(
        path=PurePosixPath("/usr/lib/systemd/system/a.service"),
        text=f"[Service]\nExecStart=/bin/x\n{more}",
    )
    return build_facts(name=A, load_state="loaded", texts=[main, *dropins])


def tree(unit: UnitFacts, settings: Settings = SETTINGS) -> Tree:
    return desired_tree([settings], {A: unit}, MACHINE)


def subject(
    *, installed: Tree | None = None, unit: UnitFacts | None = None, settings: Settings = SETTINGS
) -> Subject:
    """Give a tunnel that is as it was applied, but for what is given."""
    unit = unit or facts()
    own = {name: build_facts(name=name, load_state="loaded") for name in units_of_tunnel(VPN)}
    return Subject(
        settings=settings,
        applied=settings,
        backend=Backend.KERNEL,
        facts={A: unit, **own},
        states={name: UnitState(name=name) for name in (A, *own)},
        desired=tree(unit, settings),
        installed=tree(facts()) if installed is None else installed,
        systemctl=RealSystemctl(),
    )


def edited(path: PurePosixPath, old: str, new: str) -> Tree:
    """Give the installed files with a text in one of them replaced."""
    files = tree(facts())
    file = files[path]
    assert isinstance(file, File)
    assert old in file.text
    return {**files, path: replace(file, text=file.text.replace(old, new))}


def without(path: PurePosixPath) -> Tree:
    return {key: file for key, file in tree(facts()).items() if key != path}


def dropin(found: Subject) -> Check:
    return judge_dropin(A, found.facts[A], found)


def test_a_drop_in_as_rendered() -> None:
    """Its path is what there is to say."""
    assert (Verdict.OK, str(dropin_path(A))) == (
        dropin(subject()).verdict,
        dropin(subject()).evidence,
    )


def test_a_missing_drop_in_is_not_confined() -> None:
    """Removed or reverted; `apply` writes it anew."""
    found = dropin(subject(installed=without(dropin_path(A))))
    assert (Verdict.NOT_CONFINED, "wgconfine apply") == (found.verdict, found.mend)


def test_an_edited_drop_in_is_not_confined() -> None:
    """Whatever it says now, nobody has tried it."""
    found = dropin(subject(installed=edited(dropin_path(A), "AF_VSOCK ", "")))
    words = f"{dropin_path(A)} was edited, or is of another version"
    assert (Verdict.NOT_CONFINED, words) == (found.verdict, found.evidence)


def test_a_unit_that_has_changed_needs_apply() -> None:
    """The drop-in was written for other lines: it still confines."""
    found = dropin(subject(unit=facts("ExecStop=/bin/y\n")))
    assert (Verdict.BROKEN, "wgconfine apply") == (found.verdict, found.mend)


def test_a_unit_that_has_changed_in_nothing_that_counts() -> None:
    """As by an override.conf whose settings the drop-in replaces: only the digest is another."""
    assert Verdict.OK is dropin(subject(unit=facts("PrivateNetwork=yes\n"))).verdict


def test_settings_that_have_changed_need_apply() -> None:
    """The drop-in is of the earlier ones, and nobody has edited it."""
    settings = replace(SETTINGS, digest="", path=PurePosixPath("/etc/wgconfine/vpn.toml"))
    found = subject(settings=settings, unit=facts("ExecStop=/bin/y\n"))
    assert f"{dropin_path(A)} is of earlier settings" == dropin(found).evidence
    assert Verdict.BROKEN is judge_record(found).verdict


def test_without_settings_what_is_installed_counts() -> None:
    """Nothing is known that it could be compared with."""
    found = replace(
        subject(installed=edited(dropin_path(A), "AF_VSOCK ", "")), origin=Origin.INSTALLED
    )
    assert Verdict.OK is dropin(found).verdict
    assert Verdict.UNKNOWN is judge_record(found).verdict
    assert Verdict.BROKEN is judge_record(replace(found, origin=Origin.ORPHANED)).verdict
    assert [] == list(judge_own_files(found))


def test_nothing_applied_yet() -> None:
    """Its services run in the open: that is not confined, and not merely down."""
    assert Verdict.NOT_CONFINED is judge_record(subject(installed={})).verdict


def test_disabled_and_still_installed() -> None:
    """`apply` would take it away."""
    found = judge_record(subject(settings=replace(SETTINGS, enable=False)))
    assert (Verdict.BROKEN, "wgconfine apply") == (found.verdict, found.mend)


def test_of_a_unit_that_has_changed_its_own_lines_are_the_installed_ones() -> None:
    """The guard and the rest are those of now in any case."""
    found = subject(
        unit=facts("ExecStop=/bin/y\n"), installed=edited(dropin_path(A), "AF_VSOCK ", "")
    )
    lines = rendered_lines(A, found, stale=True)
    assert [] == [line.value for line in lines if line.key == "ExecStop" and line.value]
    (families,) = [line.value for line in lines if line.key == "RestrictAddressFamilies"]
    assert "AF_VSOCK" in families


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [("ExecCondition=+", "ExecCondition=-", Verdict.NOT_CONFINED), ("", "", Verdict.OK)],
)
def test_an_edited_closing_file(old: str, new: str, verdict: Verdict) -> None:
    """It would not refuse."""
    installed = edited(closing_path(A), old, new)
    assert verdict is judge_closing(A, tree(facts()), installed).verdict


def test_a_missing_closing_file() -> None:
    """Without it the service would run in the open once the drop-in goes."""
    found = judge_closing(A, tree(facts()), without(closing_path(A)))
    assert (Verdict.NOT_CONFINED, "wgconfine apply") == (found.verdict, found.mend)


def names(checks: list[Check]) -> list[tuple[str, Verdict]]:
    return [(each.name, each.verdict) for each in checks if each.verdict is not Verdict.OK]


def test_a_unit_that_could_be_confined_now() -> None:
    """Each rule that has a name of its own is a check, also where all is well."""
    found = judge_facts(A, facts(), Refinement(unit=A))
    assert [] == names(found)
    assert ["unit", "host-socket", "joins-namespace", "later-drop-in"] == [
        each.name for each in found
    ]


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        (replace(facts(), triggered_by=("a.socket",)), "host-socket"),
        (replace(facts(), joined=("b.service",)), "joins-namespace"),
        (facts("SuccessExitStatus=USR1\n"), "unit"),
        (
            facts(
                dropins=(
                    UnitText(
                        path=PurePosixPath("/etc/systemd/system/service.d/zzz.conf"),
                        text="[Service]\nSlice=x.slice\n",
                    ),
                )
            ),
            "later-drop-in",
        ),
    ],
)
def test_what_would_be_refused_now_is_named(unit: UnitFacts, name: str) -> None:
    """With the place and what its owner can do."""
    assert [(name, Verdict.NOT_CONFINED)] == names(judge_facts(A, unit, Refinement(unit=A)))


def test_own_files_as_rendered() -> None:
    """Those of the tunnel and the templates; services have their own checks."""
    (found,) = judge_own_files(subject())
    assert (Verdict.OK, "30 files as rendered") == (found.verdict, found.evidence)


@pytest.mark.parametrize(
    ("installed", "evidence"),
    [
        (without(record_path(VPN)), "missing: /etc/wgconfine/vpn.json"),
        (
            edited(PurePosixPath("/etc/systemd/system/wgconfine@.service"), "Type=oneshot", ""),
            "edited, or of another version: /etc/systemd/system/wgconfine@.service",
        ),
    ],
)
def test_own_files_that_are_others(installed: Tree, evidence: str) -> None:
    """A file that is gone, and one that is not what `apply` writes."""
    found = list(judge_own_files(subject(installed=installed)))
    assert evidence in [each.evidence for each in found]
    if "edited" in evidence:
        assert [Verdict.NOT_CONFINED] == [each.verdict for each in found]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("[Service]\nExecStart=\n", Verdict.NOT_CONFINED),
        ("[Service]\nTimeoutStopSec=10\n", Verdict.OK),
        ("[Unit]\nAfter=x.service\nWants=x.service\n", Verdict.OK),
        ("[Service]\nEnvironment=LANG=C 'A=b c'\n", Verdict.OK),
        ("[Service]\nEnvironment=A=1 LINK=x\n", Verdict.NOT_CONFINED),
        ("[Service]\nEnvironment=\n", Verdict.NOT_CONFINED),
    ],
)
def test_a_drop_in_of_others_for_a_unit_of_ours(text: str, verdict: Verdict) -> None:
    """One that sets what ours sets is named; distributions have some for every service."""
    found = subject()
    path = PurePosixPath("/etc/systemd/system/wgconfine@.service")
    file = found.installed[path]
    assert isinstance(file, File)
    unit = UnitName("wgconfine@vpn.service")
    other = UnitText(path=PurePosixPath("/etc/systemd/system/service.d/x.conf"), text=text)
    texts = [UnitText(path=path, text=f"{file.text}[Service]\nEnvironment=LINK=wgc-0\n"), other]
    known = {**found.facts, unit: build_facts(name=unit, load_state="loaded", texts=texts)}
    (check,) = judge_own_units(replace(found, facts=known))
    assert verdict is check.verdict


def test_a_unit_of_ours_that_systemd_has_not_read() -> None:
    """What is on the disk is not what runs."""
    found = subject()
    unit = "wgconfine@vpn.service"
    states = {**found.states, unit: UnitState(name=unit, need_daemon_reload=True)}
    (check,) = judge_own_units(replace(found, states=states))
    assert (Verdict.BROKEN, "systemctl daemon-reload") == (check.verdict, check.mend)


@pytest.mark.parametrize(
    ("state", "verdict", "evidence"),
    [
        (UnitState(name=A), Verdict.OK, "stopped"),
        (UnitState(name=A, active="active"), Verdict.OK, "running"),
        (UnitState(name=A, active="failed"), Verdict.OK, "failed"),
        (UnitState(name=A, load="masked"), Verdict.BROKEN, "it is masked"),
        (UnitState(name=A, load="not-found"), Verdict.BROKEN, "there is no such unit"),
        (UnitState(name=A, assertion=False), Verdict.BROKEN, "refused: "),
        (UnitState(name=A, condition=False), Verdict.BROKEN, "refused: "),
        (
            UnitState(name=A, active="failed", condition_code="killed", condition_status=10),
            Verdict.BROKEN,
            "refused: ",
        ),
    ],
)
def test_how_a_service_is_called(state: UnitState, verdict: Verdict, evidence: str) -> None:
    """What was kept from running is refused, and never stopped."""
    found = judge_state(VPN, A, state)
    assert verdict is found.verdict
    assert found.evidence.startswith(evidence)


def test_a_process_that_is_older_than_its_drop_in() -> None:
    """It may run with other settings: `systemctl restart` mends that."""
    assert [Verdict.OK] == [each.verdict for each in judge_age(A, 1000.0, 1000.5)]
    (found,) = judge_age(A, 1000.0, 1002.0)
    assert (Verdict.NOT_CONFINED, f"systemctl restart {A}") == (found.verdict, found.mend)


@pytest.mark.parametrize(("started", "changed"), [(None, 1.0), (1.0, None), (1.0, 1e12)])
def test_what_can_not_be_told_of_a_process(started: float | None, changed: float | None) -> None:
    """It is gone, or the file, or the file is of a time that has not come."""
    assert [] == judge_age(A, started, changed)


def test_when_a_process_was_started() -> None:
    """By the time since boot, whatever the clock says: ours began before this test's file."""
    own = started_at(int(Path("/proc/self/stat").read_text().split()[0]))
    assert own is not None
    assert own <= Path("/proc/self").stat().st_mtime + 1
    assert started_at(0) is None
