"""What `apply` says where the proof after it fails: what is applied is applied."""

import os
from pathlib import Path

import pytest

from wgconfine.cli import verify as module
from wgconfine.model.errors import ExitCode, NeedsRoot, OperationFailed, Refused
from wgconfine.model.verify import Area, Check, Verdict, Verification
from wgconfine.runtime import paths
from wgconfine.system import lock
from wgconfine.verify.run import Report


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/run/wgconfine lies here instead."""
    monkeypatch.setattr(lock, "STATE", os.fspath(tmp_path / "wgconfine"))


def test_a_verify_that_fails_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do; its code says that nothing is known."""

    def fail(*_: object) -> Report:
        raise OperationFailed("wg show", "exit status 1")

    monkeypatch.setattr(module, "verify_all", fail)

    assert ExitCode.UNCHECKED == module.verify_after_apply(["vpn"])
    said = "[!] verify: OperationFailed: wg show: exit status 1\n    Look again: wgconfine verify\n"
    assert said == capsys.readouterr().err


def test_what_is_found_is_no_failure_of_what_was_applied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said that all is applied, and the code is that of `verify`."""
    found = Check(area=Area.ESCAPES, name="dns", verdict=Verdict.LEAK, evidence="asked outside")
    report = Report(tunnels=(Verification(tunnel="vpn", checks=(found,)),), closed=None)
    monkeypatch.setattr(module, "verify_all", lambda *_: report)

    assert ExitCode.LEAK == module.verify_after_apply(["vpn"])
    assert capsys.readouterr().err == (
        "[!] All of it is applied; that not all is well with it is what verify says.\n"
        "    Look again: wgconfine verify\n"
    )


def test_cut_off_it_is_said_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends the proof, and takes nothing back."""

    def interrupt(*_: object) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "verify_all", interrupt)

    with pytest.raises(KeyboardInterrupt):
        module.verify_after_apply(["vpn"])
    said = "[!] All of it is applied, and not verified yet: wgconfine verify\n"
    assert said == capsys.readouterr().err


def test_what_was_found_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a tunnel that is installed: `status` and metrics have it from now on."""
    installed = tmp_path / "vpn.json"
    installed.touch()
    monkeypatch.setattr(module, "record_path", lambda name: tmp_path / f"{name}.json")
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path / "wgconfine"))
    found = Check(area=Area.WORKS, name="handshake", verdict=Verdict.OK, evidence="3 s ago")
    tunnels = tuple(Verification(tunnel=name, checks=(found,)) for name in ("vpn", "off"))
    report = Report(tunnels=tunnels, closed=None)
    monkeypatch.setattr(module, "verify_all", lambda *_: report)

    assert ExitCode.OK == module.verify_after_apply(["vpn"])
    assert '"verdict": "ok"' in Path(paths.verified("vpn")).read_text()
    assert not Path(paths.verified("off")).exists()


def test_what_can_not_be_kept_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shown all the same."""
    monkeypatch.setattr(module, "record_path", lambda _: tmp_path)
    monkeypatch.setattr(paths, "STATE", "/dev/null/none")
    report = Report(tunnels=(Verification(tunnel="vpn", checks=()),), closed=None)
    monkeypatch.setattr(module, "verify_all", lambda *_: report)

    assert ExitCode.OK == module.verify_after_apply(["vpn"])
    said = capsys.readouterr()
    assert "what was found is not kept: Not a directory\n" in said.err
    assert said.out.startswith("vpn: ")


def test_verify_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what for."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NeedsRoot, match="verify looks into namespaces and processes"):
        module.run_verify([], as_json=False, verbose=False, compare=None)


@pytest.mark.parametrize("names", [[], ["a", "b"]])
def test_the_periodic_one_is_of_one_tunnel(names: list[str]) -> None:
    """As its unit has it."""
    with pytest.raises(Refused, match="verify --periodic: name one tunnel"):
        module.verify_periodically(names)
