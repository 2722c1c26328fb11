"""The interpreter that units may run, and what the kernel has."""

import os
import sys
from pathlib import Path, PurePosixPath

import pytest

import wgconfine
from wgconfine.model.errors import OperationFailed
from wgconfine.runtime import process
from wgconfine.system import host


@pytest.fixture
def installed(rooted: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that root alone can change; gives its interpreter."""
    for name in ("python3", "__init__.py"):
        (rooted / name).touch(0o755)
    monkeypatch.setattr(sys, "executable", os.fspath(rooted / "python3"))
    monkeypatch.setattr(wgconfine, "__file__", os.fspath(rooted / "__init__.py"))
    return rooted / "python3"


def refusal() -> str:
    with pytest.raises(OperationFailed) as caught:
        host.trusted_interpreter()
    return str(caught.value)


def test_roots_own_interpreter_is_taken(installed: Path) -> None:
    """As it was called: its virtual environment is found by that path."""
    assert PurePosixPath(installed) == host.trusted_interpreter()


@pytest.mark.parametrize("name", ["python3", "__init__.py"])
def test_what_others_can_change_is_refused(installed: Path, name: str) -> None:
    """The interpreter or the package: PID 1 would run it as root."""
    path = installed.parent / name
    os.chown(path, 65534, 65534)

    assert f"{path}: belongs to user 65534" in refusal()
    assert "Install wgconfine where only root can write" in refusal()


@pytest.mark.parametrize("name", ["runtime/tunnel.py", "runtime/__pycache__/tunnel.pyc", "runtime"])
def test_every_file_of_the_package_is_judged(installed: Path, name: str) -> None:
    """What is compiled too, and the directories, where others could put a module."""
    path = installed.parent / name
    (installed.parent / "runtime/__pycache__").mkdir(parents=True)
    if not path.exists():
        path.touch()
    assert PurePosixPath(installed) == host.trusted_interpreter()
    path.chmod(0o666)

    assert "others than root may write there" in refusal()
    assert name.rpartition("/")[2] in refusal()


@pytest.mark.parametrize("place", ["/home/me", "/root", "/tmp", "/run/user/0"])  # noqa: S108 — refused
def test_where_units_cannot_look_is_refused(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """ProtectHome= and PrivateTmp= hide it from them."""
    monkeypatch.setattr(sys, "executable", f"{place}/python3")

    assert refusal().startswith(f"{place}/python3: units can't run what lies there")


def test_a_path_that_no_unit_can_name_is_refused(installed: Path) -> None:
    """Quoting differs between settings of systemd."""
    directory = installed.parent / "my venv"
    directory.mkdir()
    (directory / "python3").touch()
    sys.executable = os.fspath(directory / "python3")

    assert "my venv/python3' has characters that can't stand in a systemd unit" in refusal()


@pytest.mark.parametrize(("status", "expected"), [(0, True), (2, False)])
def test_the_kernel_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, *, expected: bool
) -> None:
    """By making a link in a namespace that is thrown away."""
    (tmp_path / "unshare").write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/log\nexit {status}\n')
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setitem(process.ENVIRONMENT, "PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert expected is host.kernel_has_wireguard()
    assert (tmp_path / "log").read_text() == "--net ip link add wg0 type wireguard\n"


def test_without_unshare_it_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a kernel without WireGuard."""
    monkeypatch.setitem(process.ENVIRONMENT, "PATH", os.fspath(tmp_path))
    monkeypatch.setenv("PATH", os.fspath(tmp_path))

    with pytest.raises(OperationFailed, match="unshare --net ip link add"):
        host.kernel_has_wireguard()


def test_without_root_the_module_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setitem(process.ENVIRONMENT, "PATH", "/nowhere")

    assert Path("/sys/module/wireguard").exists() is host.kernel_has_wireguard()
