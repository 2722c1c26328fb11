"""The files that confined services see as resolv.conf, nsswitch.conf and /run."""

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


def test_clearing_keeps_the_directory_itself(state: Path) -> None:
    """A bind mount of it may be in use; what the last run left in it goes."""
    resolver.prepare_private_runs(["x.service"])
    (state / "run" / "x" / "user" / "socket").touch()

    resolver.clear_private_runs(["x.service", "never-prepared.service"])

    assert [] == list((state / "run" / "x").iterdir())


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
    assert [] == list(run.iterdir())


def test_removing_files_twice_is_once(state: Path) -> None:
    """`down` converges."""
    resolver.write_files("vpn", ["10.64.0.1"], [])
    for _ in range(2):
        resolver.remove_files("vpn")

    assert [] == list((state / "tunnel" / "vpn").iterdir())
