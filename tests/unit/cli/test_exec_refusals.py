"""What `exec` refuses before anything runs, and what it says of an end that is odd."""

import os
import signal
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.cli import exec as module
from wgconfine.model.errors import CannotExecute, ExitCode, NeedsRoot, OperationFailed, Refused
from wgconfine.model.names import TunnelName, UnitName
from wgconfine.system.commands import End
from wgconfine.system.users import Account

VPN = TunnelName("vpn")
ALICE = Account(name="alice", uid=1000, gid=1000, home="/home/alice", shell="")


def test_it_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may start transient units is root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NeedsRoot, match=r"^exec starts a unit of systemd's\. Run it as root"):
        module.run_exec("vpn", ["true"], user=None)


def test_a_tunnel_that_was_never_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said which there are; of one that is declared who knows more of it."""
    with pytest.raises(OperationFailed, match="no-such: there is no such tunnel\nTo make one"):
        module.applied(TunnelName("no-such"))

    monkeypatch.setattr(module, "listed", lambda *_: [PurePosixPath("/etc/wgconfine/vpn.toml")])
    with pytest.raises(OperationFailed, match="it is not applied, or disabled\nTo see which: wgc"):
        module.applied(VPN)


def test_a_user_that_is_not_there() -> None:
    """With the option that names another."""
    with pytest.raises(Refused, match=r"^There is no user 'no-such'\. Name one of this machine"):
        module.account_for("no-such")


def test_words_that_systemd_can_not_be_told() -> None:
    """Any byte may be in an argument; D-Bus has UTF-8 alone."""
    with pytest.raises(Refused, match="is not UTF-8, which is all that systemd takes"):
        module.refuse_other_encodings(["fine", "\udcff"])


def test_the_tunnel_has_gone_meanwhile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command can't say why it was ended."""
    monkeypatch.setattr(module, "leaves", lambda _: True)
    end = End(begun=True, signal=signal.SIGTERM)

    assert 128 + signal.SIGTERM == module.told(end, VPN, UnitName("x.service"), "/bin/x", ALICE)
    said = "vpn: the tunnel is stopped or restarted, and what ran inside has ended.\n"
    assert said == capsys.readouterr().err


def test_how_it_ended_is_not_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it may stand is said."""
    monkeypatch.setattr(module, "leaves", lambda _: False)
    end = End()

    assert ExitCode.FAILED == module.told(end, VPN, UnitName("x.service"), "/bin/x", ALICE)
    assert "It was not started: journalctl -u 'x.service'\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"#!/bin/sh\n", "/bin/sh"),
        (b"#! /usr/bin/env -S python3 -I\nx\n", "/usr/bin/env"),
        (b"#!/bin/sh", "/bin/sh"),
        (b"#!\n", ""),
        (b"echo\n#!/bin/sh\n", ""),
        (b"\x7fELF", ""),
        (b"", ""),
    ],
)
def test_what_a_script_is_run_by(tmp_path: Path, content: bytes, found: str) -> None:
    """As the kernel reads its first line."""
    script = tmp_path / "script"
    script.write_bytes(content)

    assert found == module.interpreter(str(script))
    assert "" == module.interpreter(str(tmp_path / "none"))


def test_a_fifo_is_no_script(tmp_path: Path) -> None:
    """Nobody waits for who would write to it."""
    os.mkfifo(tmp_path / "fifo")

    assert "" == module.interpreter(str(tmp_path / "fifo"))


def test_a_script_whose_interpreter_is_missing(tmp_path: Path) -> None:
    """Both names are said: a shell's own words, of the one alone, are riddles."""
    script = tmp_path / "script"
    script.write_text("#!/no/such\n")
    with pytest.raises(CannotExecute, match="script' is run by '/no/such': there is no such") as it:
        module.refuse_program(str(script))

    assert 126 == it.value.exit_code


@pytest.mark.parametrize(
    ("program", "hidden"),
    [
        ("/run/x", True),
        ("/var/run/x", True),
        ("/run/current-system/sw/bin/x", False),
        ("/usr/bin/env", False),
        ("/running/x", False),
    ],
)
def test_what_the_hosts_run_has(program: str, *, hidden: bool) -> None:
    """By its name, or through a link; what NixOS has there is inside, too."""
    assert hidden == module.is_hidden(program)


def test_the_longest_argument() -> None:
    """In bytes, as it is handed on."""
    module.refuse_long(["x" * 131_071])
    for each in ("x" * 131_072, "é" * 65_536):
        with pytest.raises(Refused, match="each may have 128 KiB, in which every"):
            module.refuse_long([each])
