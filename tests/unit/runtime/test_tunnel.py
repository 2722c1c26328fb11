"""What `up` and `reload` wait for."""

import socket
from pathlib import Path

import pytest

from tests.unit.runtime.test_record import VALUES
from wgconfine.runtime import tunnel
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import Record


def test_a_userspace_link_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """wireguard-go is missing, or can't make its link."""
    monkeypatch.setattr(tunnel, "PATIENCE", 0.0)
    record = Record("vpn", VALUES | {"link": "wgc-none"})

    with pytest.raises(
        Failure,
        match=r"^wgc-none: wireguard-go made no link in 0 s\. See why: journalctl -u wgconfine-w",
    ):
        tunnel.wait_for_userspace_link(record)


def test_a_socket_is_listened_at_or_left_alone(tmp_path: Path) -> None:
    """None there, one that is only bound, which stays there, and one that is ready."""
    path = tmp_path / "wgc-none.sock"
    with socket.socket(socket.AF_UNIX) as server:
        found = [tunnel.listens(str(path))]
        server.bind(str(path))
        found.append(tunnel.listens(str(path)))
        server.listen()
        found.append(tunnel.listens(str(path)))

    assert [False, False, True] == found
    assert path.exists()
