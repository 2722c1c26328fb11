"""Sessions that are not ours tell that a key is used in another place."""

import os
from pathlib import Path

import pytest

from wgconfine.runtime import process, shared

LISTING = """\
table inet wgconfine_count-vpn {
	set seen {
		typeof @th,96,32
		size 1024
		flags dynamic
		elements = { 0x1234 [invalid type], 0xabcd,
			7 }
	}
}
"""


def test_the_elements_of_a_set() -> None:
    """Whatever nft(8) makes of a number: it makes the same of it in both sets."""
    assert {"0x1234 [invalid type]", "0xabcd", "7"} == shared.elements(LISTING)
    assert set() == shared.elements(LISTING.partition("elements")[0])


@pytest.mark.parametrize(
    ("seen", "ours", "strangers"),
    [
        ("1, 2, 3", "1, 2, 3", None),
        ("1, 2, 9", "1, 2", None),  # from before anything was noted
        ("1, 8, 9", "1, 2", 2),
        ("8, 9", "", None),  # none was made since
        ("", "", None),
    ],
)
def test_sessions_of_others(
    monkeypatch: pytest.MonkeyPatch, seen: str, ours: str, strangers: int | None
) -> None:
    """Two at least."""
    sets = {shared.SEEN: seen, shared.OURS: ours}
    monkeypatch.setattr(shared, "list_set", lambda _, which: f"elements = {{ {sets[which]} }}")
    expected = f"{strangers} are not ours" if strangers else ""
    assert shared.look("vpn").endswith(expected)
    assert bool(strangers) == shared.look("vpn").startswith(shared.WHY)


@pytest.mark.parametrize(("host", "family"), [("192.0.2.1", "ip"), ("2001:db8::1", "ip6")])
def test_nothing_is_judged(host: str, family: str) -> None:
    """A packet of either family is noted, and goes on."""
    text = shared.rules("vpn", 1, host, 2)
    assert f"{family} saddr {host} udp sport 2 udp dport 1" in text
    assert not {"drop", "reject", "accept;"} & set(text.replace("policy accept;", "").split())


@pytest.mark.parametrize("status", [0, 1])
def test_where_nothing_can_be_noted(
    rooted: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
) -> None:
    """It is said, and no failure: what is due of the tunnel is done all the same."""
    monkeypatch.setattr(process, "SEARCH", (os.fspath(rooted), *process.SEARCH))
    wg = "[ $3 = listen-port ] && echo 7 || printf 'K\\t192.0.2.1:51820\\n'"
    for program, script in (("wg", wg), ("nft", f"echo why >&2; exit {status}")):
        (rooted / program).write_text(f"#!/bin/sh\n{script}\n")
        (rooted / program).chmod(0o755)

    assert (status == 0) == shared.begin("vpn", "wg0", "K")
    said = "[!] sessions of tunnel vpn can't be noted: why\n" if status else ""
    assert said == capsys.readouterr().err
