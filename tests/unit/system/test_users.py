"""Users of this very machine: their groups, and processes of theirs."""

import os
import subprocess  # noqa: TID253 — a test
from pathlib import Path

import pytest

from wgconfine.system.cgroup import unit_of
from wgconfine.system.users import groups_of, processes_outside, read_user


def test_root_is_known_by_name_and_number() -> None:
    """Its processes are not told: they are the machine's."""
    by_name, by_number = read_user("root"), read_user("0", namespace=Path("/proc/self/ns/net"))

    assert by_name == by_number
    assert by_name is not None
    assert (0, ()) == (by_name.uid, by_name.outside)
    assert "root" in by_name.groups


@pytest.mark.parametrize("name", ["no-such-user", "4294967290", "99999999999999999999"])
def test_an_unknown_user_is_none(name: str) -> None:
    """A package may make it later."""
    assert read_user(name) is None
    assert () == groups_of(name)


def test_a_process_of_another_namespace_is_outside() -> None:
    """By the inode of the namespace's file."""
    inside = os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116 — a namespace's file
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        try:
            assert process.pid not in processes_outside(os.getuid(), inside)
            assert process.pid in processes_outside(os.getuid(), inside + 1)
            assert process.pid not in processes_outside(os.getuid() + 4242, inside + 1)
        finally:
            process.kill()


SOMEBODY = 4242


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("unshare", "--user", "--map-users=0:0:9999", f"--setuid={SOMEBODY}"), False),
        (("setpriv", f"--reuid={SOMEBODY}", "--clear-groups", "unshare", "--user"), True),
        (("setpriv", f"--reuid={SOMEBODY}", "--clear-groups"), True),
    ],
    ids=["of root's", "of its own", "none"],
)
def test_a_process_in_a_user_namespace_is_not_told(
    command: tuple[str, ...],
    told: bool,  # noqa: FBT001 — an expected value
) -> None:
    """ptrace(2) into one takes a capability there, which who made it has."""
    inside = os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116 — a namespace's file
    waits = ("/bin/sh", "-c", "echo; exec sleep 60")
    with subprocess.Popen((*command, *waits), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            assert told == (process.pid in processes_outside(SOMEBODY, inside + 1))
        finally:
            process.kill()


def test_a_process_of_a_service_is_not_told() -> None:
    """It runs in the open until `apply` stops it."""
    unit = unit_of(os.getpid())

    assert os.getpid() in processes_outside(os.getuid(), None)
    assert os.getpid() not in processes_outside(os.getuid(), None, {unit})
