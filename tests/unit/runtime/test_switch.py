"""The second switch's table, as text and as nft(8) prints it; what it does: tests/container."""

import os
from pathlib import Path

import pytest

from wgconfine.runtime import pin, process, switch, whole
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.paths import slice_group
from wgconfine.runtime.switch import Table, chain_lines, load, rules

LISTED = r"""table inet wgconfine-a-b {
	comment "wgconfine: counts since 2026-11-25T22:55:31Z"
	counter sent {
		packets 3 bytes 120
	}

	counter received {
		packets 0 bytes 0
	}

	chain output {
		type filter hook output priority raw; policy accept;
		socket cgroupv2 level 2 "wgconfine.slice/wgconfine-a\x2db.slice" counter name "sent" drop
	}

	chain input {
		type filter hook input priority raw; policy accept;
		socket cgroupv2 level 2 99547 counter name "received" drop
	}
}
"""
"""As nftables 1.0.6, 1.1.3 and 1.1.7 print it; a control group that is gone is a number."""


def test_what_nft_prints_is_read_back() -> None:
    """Comment, counts and the lines of each chain."""
    table = Table(LISTED)

    assert table.ours
    assert "2026-11-25T22:55:31Z" == table.since
    assert {"sent": 3, "received": 0} == table.counted
    assert ["output", "input"] == list(table.chains)


def test_a_live_group_is_as_it_should_be_and_a_dead_one_is_not() -> None:
    """What is compared is the whole chain, to the letter."""
    table = Table(LISTED)

    assert chain_lines("a-b", "output") == table.chains["output"]
    assert chain_lines("a-b", "input") != table.chains["input"]


@pytest.mark.parametrize(
    "text",
    [
        "table inet wgconfine-vpn {\n}\n",
        'table inet wgconfine-vpn {\n\tcomment "mine"\n}\n',
        'table inet wgconfine-vpn {\n\tchain x {\n\t\tcomment "wgconfine: counts since"\n\t}\n}\n',
        "",
    ],
)
def test_a_table_without_our_comment_is_not_ours(text: str) -> None:
    """Whatever is in it."""
    assert not Table(text).ours


def test_the_dash_of_a_name_is_escaped() -> None:
    """It would be a slice below another; the group is two levels below the root either way."""
    assert r"wgconfine.slice/wgconfine-a\x2db\x2dc.slice" == slice_group("a-b-c")


def test_rules_keep_what_is_there_and_begin_with_what_was_kept() -> None:
    """`add` leaves a counter alone that exists; no rule of somebody's stays before ours."""
    lines = rules("vpn", {"sent": 7}, "2026").splitlines()

    assert 'add table inet wgconfine-vpn { comment "wgconfine: counts since 2026"; }' == lines[0]
    assert "add counter inet wgconfine-vpn sent { packets 7 bytes 0; }" in lines
    assert "add counter inet wgconfine-vpn received { packets 0 bytes 0; }" in lines
    flushed, added = (
        next(place for place, line in enumerate(lines) if line.startswith(f"{verb} output"))
        for verb in ("flush chain inet wgconfine-vpn", "add rule inet wgconfine-vpn")
    )
    assert flushed < added
    assert [] == [line for line in lines if line.startswith("delete")]


def test_made_anew_it_is_one_transaction_too() -> None:
    """There is no moment without a rule."""
    assert "delete table inet wgconfine-vpn" == rules("vpn", {}, "2026", anew=True).splitlines()[0]


def test_a_table_that_was_changed_is_made_anew(
    rooted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As nft(8) has it: what can't be added to is deleted first, in the same transaction."""
    monkeypatch.setattr(process, "SEARCH", (os.fspath(rooted), *process.SEARCH))
    text = f"#!/bin/sh\ngrep -q delete || {{ echo in the way >&2; exit 1; }}; touch {rooted}/done\n"
    (rooted / "nft").write_text(text)
    (rooted / "nft").chmod(0o755)
    load("vpn", {}, "2026-11-25T22:55:31Z")

    said = "[!] the table is not as it was made, and is made anew: in the way\n"
    assert capsys.readouterr().err.endswith(said)
    assert (rooted / "done").exists()


def test_a_table_of_somebody_else_hides_no_other_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the switch of the next tunnel is missed all the same."""

    def is_whole(name: str) -> bool:
        if name == "a":
            raise Failure("table inet wgconfine-a: wgconfine did not make it. Delete or rename it.")
        return name == "c"

    monkeypatch.setattr(pin, "lost", list)
    monkeypatch.setattr(switch, "switched_on", lambda: ["a", "b", "c"])
    monkeypatch.setattr(switch, "is_whole", is_whole)

    assert {"b": whole.SWITCH} == whole.missing_switches()
    assert "wgconfine-a: wgconfine did not make it" in capsys.readouterr().err
