"""What `exec` refuses before anything runs, and what it says of an end that is odd."""

import os
import signal

import pytest

from wgconfine.cli import exec as module
from wgconfine.model.errors import ExitCode, NeedsRoot, OperationFailed, Refused
from wgconfine.model.names import TunnelName, UnitName
from wgconfine.system.commands import End

VPN = TunnelName("vpn")


def test_it_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may start transient units is root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NeedsRoot, match=r"^exec starts a unit of systemd's\. Run it as root"):
        module.run_exec("vpn", ["true"], user=None)


def test_a_tunnel_that_was_never_applied() -> None:
    """It is said where they are named."""
    with pytest.raises(OperationFailed, match="no-such: there is no such tunnel on this machine"):
        module.applied(TunnelName("no-such"))


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

    assert 128 + signal.SIGTERM == module.told(end, VPN, UnitName("x.service"))
    said = "vpn: the tunnel is stopped or restarted, and what ran inside has ended.\n"
    assert said == capsys.readouterr().err


def test_how_it_ended_is_not_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it may stand is said."""
    monkeypatch.setattr(module, "leaves", lambda _: False)
    end = End()

    assert ExitCode.FAILED == module.told(end, VPN, UnitName("x.service"))
    assert "It was not started: journalctl -u 'x.service'\n" == capsys.readouterr().err
