"""`wgconfine exec`: whose command it is, as whom it runs, with which words, and how it ended."""

import os
import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.cli.exec import (
    calling_user,
    environment_of,
    exit_code,
    find_program,
    is_one_line,
    literal,
    refuse_other_encodings,
)
from wgconfine.cli.main import without_said
from wgconfine.cli.shells import PLACE, interactive, may_log_in
from wgconfine.model.errors import CannotExecute, ExitCode, Refused
from wgconfine.model.names import TunnelName
from wgconfine.system.commands import End

VPN = TunnelName("vpn")


@pytest.mark.parametrize(
    ("line", "ours", "said"),
    [
        ("exec vpn", "exec vpn", ""),
        ("exec vpn ls -l", "exec vpn", "ls -l"),
        ("exec vpn -- ls -- -l", "exec vpn", "ls -- -l"),
        ("exec vpn --user a ls --user b", "exec vpn --user a", "ls --user b"),
        ("exec vpn --user=a -- -x", "exec vpn --user=a", "-x"),
        ("exec --user a vpn ls", "exec --user a vpn", "ls"),
        ("--debug exec vpn ls --debug", "--debug exec vpn", "ls --debug"),
        ("exec vpn -h", "exec vpn -h", ""),
        ("exec vpn ls -h", "exec vpn", "ls -h"),
        ("exec vpn --user", "exec vpn --user", ""),
        ("exec vpn --", "exec vpn", ""),
        ("exec", "exec", ""),
        ("status vpn ls", "status vpn ls", ""),
        ("", "", ""),
    ],
)
def test_what_is_for_the_command(line: str, ours: str, said: str) -> None:
    """All from the first word after the name that is no option, whatever it is."""
    assert (ours.split(), said.split()) == tuple(map(list, without_said(line.split())))


@pytest.mark.parametrize(
    ("environment", "user"),
    [
        ({}, "root"),
        ({"SUDO_USER": "alice"}, "alice"),
        ({"SUDO_USER": ""}, "root"),
        ({"DOAS_USER": "bob"}, "bob"),
        ({"PKEXEC_UID": "0"}, "root"),
        ({"PKEXEC_UID": "4294967294"}, "4294967294"),
        ({"USER": "eve", "LOGNAME": "eve"}, "root"),
    ],
)
def test_who_has_called(environment: dict[str, str], user: str) -> None:
    """Who has become root for this one command, or root itself."""
    assert user == calling_user(environment)


def test_several_who_have_called() -> None:
    """doas(1) may let its caller set SUDO_USER=root: who it is has to be said."""
    several = {"SUDO_USER": "root", "DOAS_USER": "alice"}
    with pytest.raises(Refused, match=r"^SUDO_USER and DOAS_USER name several users\. Say which"):
        calling_user(several)

    assert "alice" == calling_user({**several, "SUDO_USER": "alice"})


@pytest.mark.parametrize(
    ("place", "well"),
    [
        ("/srv/a b", True),
        ("/srv/größe", True),
        ("/srv/a\\b", True),
        ("/srv/x\nUser=root", False),
        ("/srv/x\r", False),
        ("/srv/x\\", False),
        ("/srv/x ", False),
        ("", False),
        ("srv", False),
    ],
)
def test_directories_that_a_unit_can_name(place: str, *, well: bool) -> None:
    """Each is one line of its file, and stays so when systemd reads that again."""
    assert well == is_one_line(place)


@pytest.mark.parametrize(
    "variable", [("LANGUAGE", "de"), ("LC_ALL", "/srv/x"), ("LANG", "%n"), ("TERM", "a/b")]
)
def test_names_of_languages_and_terminals_are_no_paths(variable: tuple[str, str]) -> None:
    """Messages are read from such a place, and printed by root's shell, too."""
    key, value = variable

    assert {"TZ": "Europe/Rome"} == environment_of({key: value, "TZ": "Europe/Rome"})


def test_what_of_the_environment_goes_along() -> None:
    """Terminal, language and search path, whose relative places are none."""
    kept = {"TERM": "xterm", "LANG": "C.UTF-8", "LC_TIME": "C", "TZ": "UTC", "PATH": "/bin"}
    leading_out = {
        *("SSH_AUTH_SOCK", "DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "LD_PRELOAD", "BASH_ENV"),
        *("http_proxy", "WAYLAND_DISPLAY", "HOME", "SUDO_USER"),
    }

    assert kept == environment_of({**kept, **dict.fromkeys(leading_out, "x")})
    assert {"PATH": "/a:/b"} == environment_of({"PATH": "/a:.:bin::/b"})


def test_a_path_without_a_whole_place_is_systemds() -> None:
    """Nothing is searched for where the caller happens to be."""
    assert {} == environment_of({"PATH": ".:bin"})


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (End(begun=True, status=0), 0),
        (End(begun=True, status=255), 255),
        (End(begun=True, signal=9), 137),
    ],
)
def test_exit_codes_are_those_of_a_shell(end: End, code: int) -> None:
    """128 and the number of a signal."""
    assert code == exit_code(end)


@given(st.text(alphabet="${}A$ x", max_size=12))
def test_systemd_puts_nothing_into_a_word(word: str) -> None:
    """Each dollar is doubled, which is how it stands for itself (systemd.service(5))."""
    assert word == literal(word).replace("$$", "$")
    assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", literal(word))


def test_programs_are_found_as_a_shell_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By PATH, or by a path, which may be relative; a link stays one."""
    (tmp_path / "tool").write_text("")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "other").symlink_to("tool")
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert f"{tmp_path}/tool" == find_program("tool")
    assert f"{tmp_path}/other" == find_program("./other")


@pytest.mark.parametrize("word", ["", "nosuch", "./nosuch", "/nosuch/x"])
def test_a_program_that_there_is_none_of(word: str) -> None:
    """127, as in a shell."""
    with pytest.raises(CannotExecute) as raised:
        find_program(word)

    assert 127 == raised.value.exit_code


def test_words_that_no_message_to_systemd_can_hold() -> None:
    """Bytes that are not UTF-8 are refused, and shown escaped."""
    with pytest.raises(Refused, match=r"udcff") as raised:
        refuse_other_encodings(["ok", "caf\udcff"])

    assert ExitCode.USAGE == raised.value.exit_code


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "dash", "sh"])
def test_every_shell_has_a_prompt_with_the_name(name: str) -> None:
    """In a file that it reads, on its command line, or in its environment."""
    shell = interactive(f"/usr/bin/{name}", VPN, root=False)
    texts = [*shell.files.values(), *shell.argv[1:], *shell.environment.values()]

    assert f"/usr/bin/{name}" == shell.argv[0]
    assert any("($WGCONFINE_TUNNEL) " in each or "(vpn) $ " in each for each in texts)
    assert all(set(each) <= {*string.printable} for each in texts)


def test_a_shell_reads_its_own_files_first() -> None:
    """Whatever the user has set there stays, the prompt among it."""
    bash = interactive("/bin/bash", VPN, root=False)
    zsh = interactive("/bin/zsh", VPN, root=False)

    assert ("/bin/bash", "--rcfile", f"/run/{PLACE}/bashrc", "-i") == bash.argv
    assert bash.files["bashrc"].index("~/.bashrc") < bash.files["bashrc"].index("\nPS1=")
    assert f"/run/{PLACE}" == zsh.environment["ZDOTDIR"]
    assert zsh.files[".zshrc"].index("/.zshrc") < zsh.files[".zshrc"].index("\nPS1=")


def test_roots_prompt_ends_as_roots_do() -> None:
    """Where a shell has no prompt of its own."""
    assert "(vpn) # " == interactive("/bin/sh", VPN, root=True).environment["PS1"]


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/bin/false"])
def test_what_is_no_shell(shell: str) -> None:
    """It would say so and end."""
    assert not may_log_in(shell)
    assert may_log_in("/bin/bash")
