"""One writer at a time, and only root."""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from wgconfine.model.errors import NeedsRoot
from wgconfine.system import lock
from wgconfine.system.lock import apply_lock

HERE = Path("/")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/run/wgconfine lies here instead."""
    monkeypatch.setattr(lock, "STATE", os.fspath(tmp_path / "wgconfine"))
    return tmp_path / "wgconfine"


def is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_it_is_held_for_the_block_and_free_after_it(state: Path) -> None:
    """Under a name that no tunnel can have, for root alone."""
    with apply_lock(HERE, print):
        (path,) = (state / "lock").iterdir()
        assert path.name == "=apply"
        assert not is_free(path)
    assert is_free(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_its_directories_are_open_to_all(state: Path) -> None:
    """Whatever the umask, and also where an earlier one shut them."""
    before = os.umask(0o077)
    try:
        for _ in range(2):
            with apply_lock(HERE, print):
                pass
            modes = [stat.S_IMODE(each.stat().st_mode) for each in (state, state / "lock")]
            assert [0o755, 0o755] == modes
            state.chmod(0o700)
    finally:
        os.umask(before)


def test_an_error_frees_it(state: Path) -> None:
    """The next `apply` must not wait for ever."""
    with pytest.raises(KeyError), apply_lock(HERE, print):
        raise KeyError
    assert is_free(state / "lock" / "=apply")


def test_only_root_gets_it(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is left behind."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(NeedsRoot), apply_lock(HERE, print):
        pytest.fail("it was given")
    assert not state.exists()


def test_a_link_in_its_place_is_not_followed(state: Path) -> None:
    """It would be created wherever it points."""
    (state / "lock").mkdir(parents=True)
    (state / "lock" / "=apply").symlink_to(state / "victim")

    with pytest.raises(OSError, match="symbolic links"), apply_lock(HERE, print):
        pytest.fail("it was given")
    assert not (state / "victim").exists()


def test_who_finds_it_held_says_so_once(state: Path) -> None:
    """And gets it as soon as it is free."""
    said: list[str] = []
    descriptors: list[int] = []

    def free(line: str) -> None:
        said.append(line)
        os.close(descriptors.pop())

    with apply_lock(HERE, said.append):
        pass
    assert said == []
    descriptors.append(os.open(state / "lock" / "=apply", os.O_RDWR))
    fcntl.flock(descriptors[0], fcntl.LOCK_EX)
    with apply_lock(HERE, free):
        assert [
            "Waiting for another wgconfine that changes this machine; Ctrl-C ends the wait."
        ] == said


def test_a_tree_has_none(state: Path, tmp_path: Path) -> None:
    """Nothing is left in it but what was asked for, and no root is needed."""
    with apply_lock(tmp_path, print):
        assert not state.exists()
    assert [] == list(tmp_path.iterdir())
