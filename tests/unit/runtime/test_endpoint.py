"""Endpoints that are host names: which answers may be used, and which names are looked up."""

import os
import socket
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.config import wgquick
from wgconfine.config.conf import ConfPeer
from wgconfine.runtime import endpoint, link, paths, tunnel, turns
from wgconfine.runtime.record import Record

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything of /run/wgconfine lies here instead, with a place for tunnel vpn."""
    monkeypatch.setattr(paths, "STATE", os.fspath(tmp_path))
    (tmp_path / "tunnel" / "vpn").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.1",
        "10.0.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "223.255.255.1",
        "2001:db8::1",
        "fd00::1",
    ],
)
def test_an_address_of_a_server_is_usable(address: str) -> None:
    """Private ones too: the server may stand at home."""
    assert endpoint.is_usable(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 — an answer, bound to nowhere
        "0.1.2.3",
        "127.0.0.1",
        "127.0.0.53",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:192.0.2.1",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "ff02::1",
        "",
        "example.net",
    ],
)
def test_what_a_broken_or_lying_resolver_gives_is_not(address: str) -> None:
    """Packets for these would not leave the host, or go to everybody on the link."""
    assert not endpoint.is_usable(address)


@given(st.ip_addresses())
def test_python_agrees_about_what_is_special(address: object) -> None:
    """No loopback, multicast, link-local or unspecified address passes."""
    special = ("is_loopback", "is_multicast", "is_link_local", "is_unspecified")

    if any(getattr(address, each) for each in special):
        assert not endpoint.is_usable(str(address))


@pytest.mark.usefixtures("state")
def test_the_names_are_read_as_they_were_written() -> None:
    """By `up`, in a file without secrets; peers with an address are not in it."""
    conf = wgquick.parse(
        f"[Interface]\nPrivateKey = {KEY}\nAddress = 10.0.0.2/32\nDNS = 10.0.0.1\n"
        f"[Peer]\nPublicKey = {KEY}\nAllowedIPs = 0.0.0.0/0\nEndpoint = vpn.example.net:51820\n"
        f"[Peer]\nPublicKey = {KEY.replace('y', 'z', 1)}\nAllowedIPs = 10.0.0.0/8\n"
        "Endpoint = 192.0.2.1:51820\n",
        "vpn.conf",
    )
    tunnel.write_endpoints(record(), conf)

    assert [(KEY, "vpn.example.net", 51820)] == turns.read_endpoints("vpn")


def test_without_a_name_there_is_no_file(state: Path) -> None:
    """Its absence keeps wgconfine-endpoint@ from starting; one from before goes."""
    file = state / "tunnel" / "vpn" / "endpoints"
    file.write_text("old\n", encoding="ascii")

    tunnel.write_endpoints(record(), wgquick.Conf())

    assert not file.exists()
    assert [] == turns.read_endpoints("vpn")


@pytest.mark.parametrize(
    ("before", "seen", "peers", "expected"),
    [
        ("", "(none)", 1, "start_over"),
        ("192.0.2.2", "192.0.2.2:51820", 1, "start_over"),
        ("192.0.2.1", "192.0.2.3:51820", 1, "set_where"),
        ("192.0.2.2", "192.0.2.2:51820", 2, "set_where"),
        ("", "(none)", 2, "set_where"),
        ("192.0.2.1", "192.0.2.1:51820", 1, ""),
    ],
    ids=["first", "moved", "answers from elsewhere", "moved, of two", "first, of two", "same"],
)
def test_an_answer_is_set_where_it_is_news(  # noqa: PLR0917 — of a table
    state: Path, monkeypatch: pytest.MonkeyPatch, before: str, seen: str, peers: int, expected: str
) -> None:
    """The one peer is made anew where its name has another address, and not where it roams."""
    place = state / "tunnel/vpn"
    (place / "endpoints").write_text(f"{KEY} vpn.example.net 51820\n", "ascii")
    if before:
        (place / "answers").write_text(f"vpn.example.net 0 {before}\n", "ascii")
    done: list[str] = []
    declared = wgquick.Conf()
    declared.peers = [ConfPeer(line) for line in range(peers)]
    monkeypatch.setattr(endpoint, "Visit", lambda _: nullcontext())
    monkeypatch.setattr(endpoint, "reckoned_mtu", lambda *_: None)
    monkeypatch.setattr(link, "asked", lambda *_: seen)
    monkeypatch.setattr(link, "declared", lambda _: declared)
    for name in ("start_over", "set_where"):
        monkeypatch.setattr(link, name, lambda *words, name=name: done.append(f"{name} {words[2]}"))

    endpoint.set_endpoint(record(), (KEY, "vpn.example.net", 51820), ["192.0.2.1"])

    assert ([f"{expected} 192.0.2.1:51820"] if expected else []) == done


def test_a_peer_that_a_reload_took_away_is_not_made_anew(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name may be answered late: looked at again under the lock, and nothing is asked of wg."""
    (state / "tunnel/vpn/endpoints").write_text(f"{KEY} vpn.example.net 51821\n", "ascii")
    monkeypatch.setattr(link, "asked", lambda *_: pytest.fail("it is asked for"))

    endpoint.set_endpoint(record(), (KEY, "vpn.example.net", 51820), ["192.0.2.1"])


def record() -> Record:
    return Record(
        "vpn",
        {
            "digest": "d1g",
            "backend": "kernel",
            "link": "wgc-00000000",
            "config-file": None,
            "config": None,
            "private-key-file": None,
            "private-key-credential": None,
            "preshared-key-files": {},
            "dns": None,
            "mtu": None,
            "listen-port": None,
            "fwmark": None,
            "services": [],
            "verify-every": 900,
            "on-leak": "report",
        },
    )


def test_a_reload_during_a_look_up_has_another_one(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for before it may have moved since: systemd starts no second look-up."""
    place = state / "tunnel" / "vpn"
    in_force = place / paths.IN_FORCE
    in_force.write_text("digest")
    (place / "endpoints").write_text(f"{KEY} vpn.example.net 51820\n")
    asked: list[str] = []

    def resolve(name: str, _peer: tuple[str, str, int]) -> bool:
        asked.append(name)
        if len(asked) == 1:
            os.utime(in_force, ns=(1, 1))
        return True

    monkeypatch.setattr(endpoint, "load", lambda _: record())
    monkeypatch.setattr(endpoint, "resolve", resolve)
    endpoint.resolve_all("vpn")

    assert ["vpn", "vpn"] == asked


def test_answers_without_a_way_to_them_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of IPv6 alone, where this machine has none: another look-up may bring another."""
    found = [(socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("2001:db8::1", 1, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(endpoint, "load", lambda _: record())
    monkeypatch.setattr(endpoint, "has_way", lambda *_: False)

    assert not endpoint.resolve("vpn", (KEY, "vpn.example.net", 1))
    said = "[!] vpn.example.net: no answer that this machine has a way to; trying again\n"
    assert said == capsys.readouterr().err
