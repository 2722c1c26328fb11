"""One writer at a time, and only root."""

import fcntl
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from wgconfine.model.errors import NeedsRoot, NotChecked
from wgconfine.system import lock
from wgconfine.system.lock import apply_lock, verify_lock

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

    with pytest.raises(NeedsRoot, match="This changes the machine"), apply_lock(HERE, print):
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


def hold(path: Path, kind: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, kind)
    return descriptor


def test_verify_keeps_out_who_changes_the_machine_and_who_verifies_it(state: Path) -> None:
    """And whoever holds one of the two keeps it out."""
    with verify_lock(print):
        assert [False, False] == [is_free(state / "lock" / each) for each in ("=apply", "=verify")]
    assert [True, True] == [is_free(state / "lock" / each) for each in ("=apply", "=verify")]


@pytest.mark.parametrize(
    ("name", "what"), [("=apply", "changes this machine"), ("=verify", "verifies this machine")]
)
def test_a_verify_with_a_limit_does_not_wait_for_ever(state: Path, name: str, what: str) -> None:
    """Nothing is known then, and its exit code says that."""
    said: list[str] = []
    with verify_lock(print):
        pass
    descriptor = hold(state / "lock" / name, fcntl.LOCK_EX)
    try:
        with (
            pytest.raises(NotChecked, match=f"^Another wgconfine {what} for 0.2 s already"),
            verify_lock(said.append, patience=0.2),
        ):
            pytest.fail("it was given")
    finally:
        os.close(descriptor)
    assert [f"Waiting for another wgconfine that {what}; Ctrl-C ends the wait."] == said
    with verify_lock(print, patience=0.2):
        assert not is_free(state / "lock" / name)


def test_a_verify_goes_on_when_the_other_has_ended(state: Path) -> None:
    """It looks again and again."""
    with verify_lock(print):
        pass
    descriptor = hold(state / "lock" / "=apply", fcntl.LOCK_EX)
    threading.Timer(0.3, os.close, [descriptor]).start()
    with verify_lock(print, patience=20):
        assert not is_free(state / "lock" / "=verify")


def test_only_root_verifies(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is left behind."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(NeedsRoot, match="This looks into every process"), verify_lock(print):
        pytest.fail("it was given")
    assert not state.exists()


@pytest.fixture
def lock_of_tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tunnel's lock, in a directory of this test's."""
    path = tmp_path / "vpn"
    path.touch()
    monkeypatch.setattr(lock, "lock_of_tunnel", lambda name: str(tmp_path / name))
    return path


def test_who_looks_waits_for_who_writes_but_not_for_ever(lock_of_tunnel: Path) -> None:
    """A writer that hangs must not keep anybody from being told."""
    with lock_of_tunnel.open() as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        begin = time.monotonic()
        with lock.between_writers("vpn", 0.2):
            assert 0.2 <= time.monotonic() - begin


def test_those_who_look_share(lock_of_tunnel: Path) -> None:
    """Two at once do not wait for one another; a writer waits for both."""
    begin = time.monotonic()
    with lock.between_writers("vpn", 9), lock.between_writers("vpn", 9):
        assert 5 > time.monotonic() - begin
        with lock_of_tunnel.open() as writer, pytest.raises(BlockingIOError):
            fcntl.flock(writer, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.usefixtures("lock_of_tunnel")
def test_without_a_lock_there_is_nobody_to_wait_for() -> None:
    """A tunnel that was never started has none."""
    begin = time.monotonic()
    with lock.between_writers("other", 9):
        assert 5 > time.monotonic() - begin
