"""The files that confined services see as resolv.conf, nsswitch.conf and /run."""

import errno
import os
import stat
from pathlib import Path

import pytest

from wgconfine.runtime import paths, resolver


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything of /run/wgconfine lies here instead."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    return tmp_path


def test_resolv_conf_names_the_resolvers_of_the_tunnel_alone() -> None:
    """In their order, and the search list where the .conf has one."""
    lines = resolver.resolv_conf(["10.64.0.1", "fd00::53"], ["example.net"]).splitlines()

    assert ["nameserver 10.64.0.1", "nameserver fd00::53", "search example.net"] == lines[1:]


def test_resolv_conf_without_a_resolver_still_has_no_default() -> None:
    """glibc would ask 127.0.0.1; the firewall rejects that. The file says why nothing works."""
    text = resolver.resolv_conf([], [])

    assert "nameserver" not in text
    assert "None are declared: look-ups fail." in text


def test_nsswitch_keeps_users_and_groups() -> None:
    """Only host names and networks are replaced."""
    host = "passwd: files systemd\nhosts: mymachines resolve [!UNAVAIL=return] files dns\n"

    assert (
        resolver.nsswitch_conf(host) == "passwd: files systemd\nhosts: files dns\nnetworks: files\n"
    )


def test_nsswitch_sees_a_line_however_it_is_spaced() -> None:
    """nsswitch.conf(5) allows white space around the name."""
    text = resolver.nsswitch_conf("  hosts : resolve\n\tnetworks:resolve\n# hosts: a comment\n")

    assert ["# hosts: a comment", "hosts: files dns", "networks: files"] == text.splitlines()


def test_a_host_without_nsswitch_conf_gets_the_two_lines() -> None:
    """musl has none; glibc's own default would ask `resolve`."""
    assert resolver.nsswitch_conf("") == "hosts: files dns\nnetworks: files\n"


def test_a_file_is_rewritten_in_its_place(tmp_path: Path) -> None:
    """The bind mounts of running services hold on to the inode."""
    path = tmp_path / "resolv.conf"
    path.write_text("a long text that was there\n", encoding="ascii")
    inode = path.stat().st_ino

    resolver.write_in_place(os.fspath(path), "short\n")

    assert (inode, "short\n") == (path.stat().st_ino, path.read_text(encoding="ascii"))


def test_a_file_can_be_read_by_all_whatever_the_umask(tmp_path: Path) -> None:
    """Units have 0077, and users of services read resolv.conf."""
    before = os.umask(0o077)
    try:
        resolver.write_in_place(os.fspath(tmp_path / "resolv.conf"), "text\n")
    finally:
        os.umask(before)

    assert 0o644 == stat.S_IMODE((tmp_path / "resolv.conf").stat().st_mode)


def test_an_unchanged_file_is_not_announced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journal has only what changed."""
    path = os.fspath(tmp_path / "resolv.conf")
    resolver.write_in_place(path, "text\n")
    resolver.write_in_place(path, "text\n")

    assert f"[#] write {path}\n" == capsys.readouterr().err


def test_a_link_in_the_place_of_a_file_is_not_written_through(tmp_path: Path) -> None:
    """Whatever it leads to stays as it is."""
    (tmp_path / "victim").write_text("theirs", encoding="ascii")
    (tmp_path / "resolv.conf").symlink_to("victim")

    with pytest.raises(OSError, match="symbolic link"):
        resolver.write_in_place(os.fspath(tmp_path / "resolv.conf"), "ours")

    assert (tmp_path / "victim").read_text(encoding="ascii") == "theirs"


def test_a_private_run_has_what_programs_expect(state: Path) -> None:
    """user, a lock directory for all (sticky), and shm; twice is once."""
    for _ in range(2):
        resolver.prepare_private_runs([r"x@a\x2db.service"])

    run = state / "run" / r"x@a\x2db"
    assert ["lock", "shm", "user"] == sorted(each.name for each in run.iterdir())
    assert stat.S_IMODE((run / "lock").stat().st_mode) == 0o1777
    assert Path("/dev/shm") == (run / "shm").readlink()  # noqa: S108 — what /run/shm is


@pytest.mark.usefixtures("state")
def test_private_runs_are_for_root_alone() -> None:
    """Other users of the host must not come to the lock directories, which all may write."""
    before = os.umask(0)
    try:
        resolver.prepare_private_runs(["x.service"])
        parent = Path(paths.private_run("x.service")).parent
        assert stat.S_IMODE(parent.stat().st_mode) == 0o700
        parent.chmod(0o755)
        resolver.prepare_private_runs(["x.service"])
        assert stat.S_IMODE(parent.stat().st_mode) == 0o700
        assert stat.S_IMODE((parent / "x").stat().st_mode) == 0o755
    finally:
        os.umask(before)


@pytest.mark.parametrize("planted", ["link", "file", "directory", "nothing"])
def test_what_a_service_planted_is_left_alone(state: Path, planted: str) -> None:
    """A reload changes no mode in there, follows nothing, and does not fail."""
    victim = state / "victim"
    victim.mkdir(mode=0o700)
    run = state / "run" / "x"
    resolver.prepare_private_runs(["x.service"])
    for name in ("lock", "user"):
        (run / name).rmdir()
        if planted == "link":
            (run / name).symlink_to(victim)
        elif planted == "file":
            (run / name).touch(mode=0o600)
        elif planted == "directory":
            (run / name).mkdir(mode=0o700)
    (run / "shm").unlink()
    (run / "shm").mkdir()
    before = {each.name: each.lstat() for each in run.iterdir()}

    resolver.prepare_private_runs(["x.service"])

    assert before == {each.name: each.lstat() for each in run.iterdir()}
    assert stat.S_IMODE(victim.stat().st_mode) == 0o700
    assert [] == list(victim.iterdir())


def test_one_half_made_is_made_anew(state: Path) -> None:
    """Where we were killed; what is left of it goes when the tunnel starts."""
    (state / "run" / "==x").mkdir(parents=True)

    resolver.prepare_private_runs(["x.service"])
    assert ["=0=x", "x"] == sorted(each.name for each in (state / "run").iterdir())

    resolver.clear_private_runs(["x.service"])
    assert [] == list((state / "run").iterdir())


def test_clearing_takes_all_of_it(state: Path) -> None:
    """With leftovers from before, of this unit alone."""
    unit = r"x@a\x2db"
    resolver.prepare_private_runs([f"{unit}.service", "x.service"])
    (state / "run" / unit / "user" / "socket").touch()
    for name in (f"=0={unit}", "=0=x", f"=7={unit}"):
        (state / "run" / name / "deep").mkdir(parents=True)

    resolver.clear_private_runs([f"{unit}.service", "never-prepared.service"])

    assert ["=0=x", "x"] == sorted(each.name for each in (state / "run").iterdir())


def test_clearing_never_follows_a_link(state: Path) -> None:
    """A service writes there, and could point anywhere."""
    victim = state / "victim"
    victim.mkdir()
    (victim / "file").touch()
    run = state / "run" / "x"
    (run / "deep").mkdir(parents=True)
    (run / "to-directory").symlink_to(victim)
    (run / "deep" / "to-file").symlink_to(victim / "file")

    resolver.clear_private_runs(["x.service"])

    assert [victim / "file"] == list(victim.iterdir())
    assert [] == list((state / "run").iterdir())


def test_clearing_goes_as_deep_as_a_service_can(state: Path) -> None:
    """Deeper than Python's recursion, a path's length and the number of open files."""
    run = state / "run" / "x"
    run.mkdir(parents=True)
    directory = os.open(run, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=directory)
        below = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)

    resolver.clear_private_runs(["x.service"])

    assert [] == list((state / "run").iterdir())


def test_what_cannot_be_deleted_is_a_warning(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next run starts with an empty /run all the same, and the next clearing tries again."""
    resolver.prepare_private_runs(["x.service"])
    (state / "run" / "x" / "user" / "socket").touch()

    def denied(path: str, **_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", denied)
        resolver.clear_private_runs(["x.service"])
    resolver.prepare_private_runs(["x.service"])

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("[!] what the last run of x.service left in its /run stays: ")
    assert [] == list((state / "run" / "x" / "user").iterdir())

    resolver.clear_private_runs(["x.service"])
    assert [] == list((state / "run").iterdir())


def test_removing_files_twice_is_once(state: Path) -> None:
    """`down` converges."""
    resolver.write_files("vpn", ["10.64.0.1"], [])
    for _ in range(2):
        resolver.remove_files("vpn")

    assert [] == list((state / "tunnel" / "vpn").iterdir())
