"""What becomes of a result that nobody looks at."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from wgconfine.model.errors import ExitCode
from wgconfine.model.settings import OnLeak, TunnelName, UnitName
from wgconfine.model.verify import Area, Check, Verdict, Verification
from wgconfine.runtime import journal, paths
from wgconfine.verify.periodic import run_periodic, store, to_stop

VPN, A, B = TunnelName("vpn"), UnitName("a.service"), UnitName("b.service")


def check(verdict: Verdict, unit: str = "", evidence: str = "seen") -> Check:
    return Check(
        area=Area.PROCESSES, name="namespace", verdict=verdict, evidence=evidence, unit=unit
    )


def result(*checks: Check) -> Verification:
    return Verification(tunnel=VPN, checks=checks, seconds=1.5)


class FakeSystemctl:
    """Units without a control group, which stop when asked to."""

    def __init__(self) -> None:
        self.stopped: list[str] = []

    def show(self, units: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, str]]:
        return {unit: dict.fromkeys(properties, "") for unit in units}

    def stop(self, units: Sequence[str]) -> None:
        self.stopped += units

    def daemon_reload(self) -> None:
        raise NotImplementedError

    def start(self, units: Sequence[str]) -> None:
        raise NotImplementedError(units)

    kill_all = start_no_block = restart = reload = reset_failed = start
    update_catalog = daemon_reload


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/run/wgconfine lies here, and journald does not listen."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    monkeypatch.setattr(journal, "SOCKET", os.fspath(tmp_path / "nobody"))
    return tmp_path


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.OK, ExitCode.OK),
        (Verdict.OPEN, ExitCode.OK),
        (Verdict.BROKEN, ExitCode.OK),
        (Verdict.UNKNOWN, ExitCode.UNCHECKED),
        (Verdict.NOT_CONFINED, ExitCode.NOT_CONFINED),
        (Verdict.LEAK, ExitCode.LEAK),
    ],
)
def test_the_unit_fails_by_what_is_not_closed_or_not_known(
    verdict: Verdict, code: ExitCode, state: Path
) -> None:
    """A tunnel that does not carry is closed; each result is kept."""
    systemctl, said = FakeSystemctl(), list[str]()
    found = run_periodic(
        lambda: result(check(verdict)), VPN, [A], systemctl, said.append, on_leak=OnLeak.REPORT
    )

    assert (code, []) == (found, systemctl.stopped)
    kept = json.loads((state / "verify/vpn.json").read_text())
    word = "ok" if verdict is Verdict.OPEN else verdict.value
    assert [f"vpn: 1 things looked at in 1.5 s: {word}"] == said
    assert (word, "vpn", 1) == (kept["verdict"], kept["tunnel"], kept["schema"])


@pytest.mark.parametrize(
    ("checks", "stopped"),
    [
        ([check(Verdict.LEAK, A), check(Verdict.NOT_CONFINED, B)], [A]),
        ([check(Verdict.LEAK)], [A, B]),
        ([check(Verdict.LEAK, "foreign.service")], []),
        ([check(Verdict.NOT_CONFINED)], []),
    ],
)
def test_only_what_leaks_is_stopped(checks: list[Check], stopped: list[str]) -> None:
    """All of the tunnel's where nobody is named, and never what is somebody else's."""
    systemctl = FakeSystemctl()
    run_periodic(lambda: result(*checks), VPN, [A, B], systemctl, print, on_leak=OnLeak.STOP)

    assert stopped == systemctl.stopped == to_stop(result(*checks), [A, B])


def test_a_full_run_keeps_no_service_that_leaks_running(state: Path) -> None:
    """The result can't be kept, which fails the unit; first the service is stopped."""
    (state / "verify").write_text("in the way")
    systemctl = FakeSystemctl()
    with pytest.raises(OSError, match="verify"):
        run_periodic(
            lambda: result(check(Verdict.LEAK, A)), VPN, [A], systemctl, print, on_leak=OnLeak.STOP
        )

    assert [A] == systemctl.stopped


def test_what_is_wrong_is_loud(capsys: pytest.CaptureFixture[str]) -> None:
    """With its priority; foreign text is escaped, and what is well is not mentioned."""
    found = result(check(Verdict.LEAK, A, "\x1b[2J"), check(Verdict.UNKNOWN), check(Verdict.OPEN))
    run_periodic(lambda: found, VPN, [A], FakeSystemctl(), print, on_leak=OnLeak.REPORT)

    assert [
        "<3>LEAK: a.service in tunnel vpn: namespace: \\x1b[2J",
        "<4>unknown: tunnel vpn: namespace: seen",
    ] == capsys.readouterr().err.splitlines()


def test_everybody_may_read_the_result(state: Path) -> None:
    """Whatever the umask of the unit."""
    before = os.umask(0o077)
    try:
        store(result(), 7.0)
    finally:
        os.umask(before)

    assert 0o644 == (state / "verify/vpn.json").stat().st_mode & 0o777
    assert 7 == json.loads((state / "verify/vpn.json").read_text())["time"]


def test_a_result_that_cannot_be_kept_leaves_no_older_one(state: Path) -> None:
    """A full /run: nobody may read "ok" of before."""
    store(result(check(Verdict.OK)), 1000.0)
    (state / "verify/vpn.json.new").mkdir()  # no file can be written there
    with pytest.raises(OSError, match=r"vpn\.json\.new"):
        store(result(check(Verdict.LEAK)), 2000.0)

    assert not (state / "verify/vpn.json").exists()
