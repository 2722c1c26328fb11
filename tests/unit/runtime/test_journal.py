"""Entries as journald gets them."""

import ast
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


def calls_of_send() -> list[tuple[str, ast.Call]]:
    """Give each message that is sent anywhere in the program, with the file that it is in."""
    source = Path(journal.__file__).parents[1]
    return [
        (f"{path.name}:{node.lineno}", node)
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "journal.send"
    ]


def test_every_message_names_its_tunnel() -> None:
    """And the unit in whose journal it is shown, too."""
    wanted = {"wgconfine_tunnel", "object_systemd_unit"}
    calls = calls_of_send()

    assert len(calls) > 5
    assert [] == [where for where, call in calls if wanted - {each.arg for each in call.keywords}]
