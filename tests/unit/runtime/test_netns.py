"""What a namespace unit refuses before it names its namespace; the rest is in tests/netns."""

import os
from pathlib import Path

import pytest

from wgconfine.runtime import netns, paths
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.namespace import Visit, identity, is_namespace, propagation


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything of /run/wgconfine lies here instead."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    return tmp_path


def test_refuses_the_namespace_of_pid_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 2: systemd runs a unit in the host's with success where it got no other."""
    monkeypatch.setattr(netns, "FIRST_PROCESS", netns.OWN)

    with pytest.raises(Failure, match=r"it is in the host's\. Refused"):
        netns.prove_own_namespace()


def test_refuses_what_it_cannot_compare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without CAP_SYS_PTRACE the namespace of PID 1 can't be seen, and may be this one."""
    monkeypatch.setattr(netns, "FIRST_PROCESS", os.fspath(tmp_path / "missing"))

    with pytest.raises(Failure, match=r"this namespace may be the host's\. Refused"):
        netns.prove_own_namespace()


def test_accepts_a_namespace_that_is_not_pid_1s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Device and inode tell them apart; any two files do here."""
    monkeypatch.setattr(netns, "FIRST_PROCESS", os.fspath(tmp_path))

    netns.prove_own_namespace()


def test_a_plain_file_is_no_namespace(tmp_path: Path) -> None:
    """After a lazy unmount the empty file is still there."""
    (tmp_path / "vpn").touch()

    assert not is_namespace(os.fspath(tmp_path / "vpn"))
    assert not is_namespace(os.fspath(tmp_path / "missing"))
    assert is_namespace("/proc/self/ns/mnt")


def test_identity_of_what_is_missing_is_none(tmp_path: Path) -> None:
    """Which is equal to nothing that is there."""
    assert identity(os.fspath(tmp_path / "missing")) is None


def test_only_a_mount_point_has_a_propagation(tmp_path: Path) -> None:
    """/proc has one; a directory has none."""
    assert propagation("/proc") is not None
    assert propagation(os.fspath(tmp_path)) is None


@pytest.mark.usefixtures("state")
def test_a_visit_needs_a_namespace() -> None:
    """And says which unit makes it."""
    with pytest.raises(Failure, match=r"Start wgconfine-netns@vpn\.service\."):
        Visit("vpn")


def test_a_visit_never_enters_the_hosts_namespace(state: Path) -> None:
    """Should our record ever lead there, the link must not be configured in it."""
    (state / "netns").mkdir()
    (state / "netns" / "vpn").symlink_to("/proc/self/ns/net")

    with pytest.raises(Failure, match=r"this is the host's namespace\. Refused"):
        Visit("vpn")


@pytest.mark.usefixtures("state")
def test_down_without_anything_there_is_fine() -> None:
    """It converges: gone already is gone."""
    netns.down("wgconfine-no-such-tunnel")
