"""What `up` and `reload` wait for."""

import socket
from pathlib import Path

import pytest

from tests.unit.runtime.test_record import VALUES
from wgconfine.config import wgquick
from wgconfine.runtime import paths, tunnel
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


BEFORE = "[Interface]\nAddress = 10.66.0.2/32\n[Peer]\nPublicKey = {}\nEndpoint = {}\n"
KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


@pytest.mark.parametrize(
    ("before", "moved"),
    [("192.0.2.1:51820", False), ("192.0.2.1:51821", True), ("vpn.example.net:51820", True)],
)
def test_a_peer_has_moved_where_another_endpoint_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, *, moved: bool
) -> None:
    """Wherever the live one is; and where nothing is known to have been declared it has not."""
    monkeypatch.setattr(paths, "tunnel_state", lambda _: str(tmp_path))
    text = BEFORE.format(KEY, "192.0.2.1:51820")
    conf = wgquick.parse(text, "vpn.conf", need_private_key=False)
    assert not tunnel.has_moved("vpn", conf)

    (tmp_path / paths.DECLARED).write_text(BEFORE.format(KEY, before), encoding="ascii")

    assert moved == tunnel.has_moved("vpn", conf)
