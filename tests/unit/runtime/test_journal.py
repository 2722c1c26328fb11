"""Entries as journald gets them."""

import os
import socket
from pathlib import Path

import pytest

from wgconfine.runtime import journal


def test_an_entry_has_its_fields_and_no_line_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newline in foreign text must not begin a field; what is empty is left out."""
    place = os.fspath(tmp_path / "socket")
    monkeypatch.setattr(journal, "SOCKET", place)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(place)
        journal.send(3, "bad\nPRIORITY=7", journal.LEAK, wgconfine_tunnel="vpn", wgconfine_unit="")
        entry = listener.recv(4096).decode()

    assert [
        r"MESSAGE=bad\x0aPRIORITY=7",
        "PRIORITY=3",
        f"MESSAGE_ID={journal.LEAK}",
        "SYSLOG_IDENTIFIER=wgconfine",
        "WGCONFINE_TUNNEL=vpn",
    ] == entry.splitlines()


def test_every_message_has_an_id_of_its_own() -> None:
    """128 bits, as systemd's catalog wants them."""
    ids = [
        journal.LEAK, journal.NOT_CONFINED, journal.UNKNOWN, journal.BROKEN, journal.STOPPED,
        journal.REFUSED, journal.MENDED,
    ]  # fmt: skip

    assert len(ids) == len({int(each, 16) for each in ids})
    assert {32} == {len(each) for each in ids}
