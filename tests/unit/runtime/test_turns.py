"""Which endpoint has its turn, and what of that outlives a reload."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.runtime.test_record import PUBLIC, VALUES
from wgconfine.config import wgquick
from wgconfine.runtime import paths, turns
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import Record

OTHER = PUBLIC.replace("c", "d", 1)
CONF = f"[Interface]\nAddress = 10.0.0.2/32\n[Peer]\nPublicKey = {PUBLIC}\nAllowedIPs = 0.0.0.0/0\n"
LISTED = ("192.0.2.1:1", "vpn.example.net:2", "[2001:db8::1]:3")
ADDRESSES = st.lists(st.sampled_from("abcdef"), unique=True)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is kept of tunnel vpn lies here."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    (tmp_path / "tunnel/vpn").mkdir(parents=True)
    return tmp_path / "tunnel/vpn"


def record(*endpoints: str, order: str = "listed", key: str | None = None) -> Record:
    listed = [{"endpoint": each, "public-key": key} for each in endpoints]
    return Record("vpn", VALUES | {"endpoints": listed, "endpoint-order": order})


def order(record: Record) -> list[str]:
    turns.settle(record)
    return [line.split(" ")[0] for line in turns.in_order(record)]


def taken(record: Record) -> wgquick.ConfPeer:
    conf = wgquick.parse(CONF, "vpn.conf", need_private_key=False)
    turns.take(record, conf)
    return conf.peers[0]


@pytest.mark.usefixtures("state")
def test_the_first_of_the_list_begins() -> None:
    """In the place of the peer's own endpoint, and everything else of the peer stays."""
    peer = taken(record(*LISTED))
    assert (PUBLIC, ("192.0.2.1", 1)) == (peer.public_key, peer.endpoint)
    assert ["0.0.0.0/0"] == peer.allowed_ips


@pytest.mark.usefixtures("state")
def test_another_server_has_a_key_of_its_own() -> None:
    """It is the same peer to everything but WireGuard."""
    assert OTHER == taken(record("192.0.2.1:1", key=OTHER)).public_key


@pytest.mark.usefixtures("state")
def test_without_endpoints_the_peer_keeps_its_own() -> None:
    """Nothing is kept, and nothing changed."""
    assert ([], None) == (order(record()), taken(record()).endpoint)


@pytest.mark.usefixtures("state")
def test_random_order_is_chosen_once() -> None:
    """At the start, and kept for everybody who asks; each of them begins some time."""
    assert {*LISTED} == {turns.shuffled([*LISTED])[0] for _ in range(200)}
    chosen = order(record(*LISTED, order="random"))
    assert all(chosen == order(record(*LISTED, order="random")) for _ in range(9))
    assert {*LISTED} == {*chosen}


def test_a_turn_outlives_a_change_of_the_list(state: Path) -> None:
    """Whose turn it is keeps it while it is listed; one that is taken out has none."""
    turns.settle(record(*LISTED))
    turns.pass_on(record(*LISTED), set())
    assert [*LISTED[1:], LISTED[0]] == order(record(*LISTED))
    assert [*LISTED[1:], LISTED[0], "192.0.2.9:9"] == order(record("192.0.2.9:9", *LISTED))
    assert [LISTED[2], LISTED[0]] == order(record(LISTED[0], LISTED[2]))
    assert "0o644" == oct((state / paths.TURNS).stat().st_mode & 0o777)


@pytest.mark.usefixtures("state")
def test_two_peers_have_no_endpoints_in_common() -> None:
    """The .conf may have got another peer since it was checked."""
    conf = wgquick.parse(f"{CONF}[Peer]\nPublicKey = {OTHER}\n", "vpn.conf", need_private_key=False)
    with pytest.raises(Failure, match=r"^vpn: endpoints are of one peer, and there are 2\. "):
        turns.take(record(*LISTED), conf)


def test_all_addresses_of_a_name_have_their_turns_before_the_next_name(state: Path) -> None:
    """A name that has passed on its last one passes on itself."""
    (state / "endpoints").write_text(f"{PUBLIC} vpn.example.net 2\n", "ascii")
    turns.write_answers("vpn", {"vpn.example.net": turns.Answer(["a", "b", "c"])})
    tunnel = record(*LISTED[1:])
    turns.settle(tunnel)
    assert 4 == turns.count(tunnel)
    seen = []
    for _ in range(4):
        turns.pass_on(tunnel, {PUBLIC})
        address = turns.read_answers("vpn")["vpn.example.net"].addresses[0]
        seen.append(f"{order(tunnel)[0]} {address}")
    assert ["vpn.example.net:2 b", "vpn.example.net:2 c", f"{LISTED[2]} a"] == seen[:3]


def test_a_peer_that_answers_keeps_its_address(state: Path) -> None:
    """Only those that are silent pass on."""
    (state / "endpoints").write_text(f"{PUBLIC} vpn.example.net 2\n", "ascii")
    turns.write_answers("vpn", {"vpn.example.net": turns.Answer(["a", "b"])})
    turns.pass_on(record(), {OTHER})
    assert ["a", "b"] == turns.read_answers("vpn")["vpn.example.net"].addresses


@given(ADDRESSES, ADDRESSES)
def test_an_answer_in_another_order_moves_nothing(kept: list[str], found: list[str]) -> None:
    """Whose turn it is keeps it as long as the name has it; all that were found have one."""
    arranged = turns.arrange(kept, found)
    assert sorted(found) == sorted(arranged)
    if kept and kept[0] in found:
        assert kept[0] == arranged[0]


def test_a_name_that_has_moved() -> None:
    """Its new addresses go before those that it had already, whose turn it was not."""
    assert ["c", "b"] == turns.arrange(["a", "b"], ["b", "c"])
    assert ["b"] == turns.arrange(["a", "b"], ["b"])


def test_what_is_damaged_is_left_out(state: Path) -> None:
    """A full /run may have cut a line short."""
    (state / paths.ANSWERS).write_text("one 0 a b\ntwo 1\n\nthree\nfour a b\n", "ascii")
    assert ["one"] == list(turns.read_answers("vpn"))
