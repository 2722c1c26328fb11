"""Whether a tunnel carries, judged by what was seen."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from wgconfine.config.wgquick import parse
from wgconfine.model.settings import TunnelName
from wgconfine.model.state import UnitState
from wgconfine.model.verify import Check, Verdict
from wgconfine.verify.works import (
    Peer,
    Reply,
    check_via,
    judge_works,
    out_of_reach,
    peer_of,
    read_peers,
    settled,
    targets,
)

VPN = TunnelName("vpn")
KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
BEFORE = Peer(
    public_key=KEY,
    endpoint="192.0.2.7:51820",
    allowed_ips=(ip_network("0.0.0.0/0"),),
    handshake_age=None,
    received=100,
    sent=100,
)
AFTER = replace(BEFORE, handshake_age=3, received=400, sent=300)
SILENT = replace(BEFORE, sent=300)
REPLY = Reply(address=ip_address("10.64.0.1"), look_up="NXDOMAIN", connect="accepted")
NOTHING = replace(REPLY, look_up=None, look_up_error="no", connect=None, connect_error="no")
NAMED = {KEY: "vpn.example.net"}


def judge(
    *replies: Reply,
    after: Peer = AFTER,
    waiting: dict[str, str] | None = None,
    behind: bool = False,
) -> dict[str, Check]:
    found = judge_works(VPN, replies, [BEFORE], [after], waiting=waiting or {}, behind=behind)
    return {check.name: check for check in found}


def verdicts(found: dict[str, Check]) -> dict[str, Verdict]:
    return {name: check.verdict for name, check in found.items()}


def test_a_tunnel_that_carries_is_well() -> None:
    """Each thing has its check."""
    names = ("dns", "connect-v4", "received", "handshake")
    assert dict.fromkeys(names, Verdict.OK) == verdicts(judge(REPLY))


def test_silence_is_a_tunnel_that_does_not_work() -> None:
    """By UDP, by TCP, and at the peer."""
    names = ("dns", "connect-v4", "handshake")
    assert dict.fromkeys(names, Verdict.BROKEN) == verdicts(judge(NOTHING, after=SILENT))


def test_a_resolver_without_tcp_is_no_failure() -> None:
    """The look-up shows that the tunnel carries. The other way round names the resolver."""
    found = judge(replace(NOTHING, look_up="NXDOMAIN"))
    assert (Verdict.OK, Verdict.UNAVAILABLE) == (found["dns"].verdict, found["connect-v4"].verdict)

    found = judge(replace(NOTHING, connect="refused"))
    assert (Verdict.BROKEN, Verdict.OK) == (found["dns"].verdict, found["connect-v4"].verdict)
    assert "the tunnel carries" in found["dns"].evidence


def test_an_answer_without_a_byte_from_a_peer_is_unknown() -> None:
    """It came from somewhere else; but for one whose address is of the namespace itself."""
    quiet = replace(AFTER, received=100)

    assert Verdict.UNKNOWN == judge(REPLY, after=quiet)["received"].verdict
    assert "received" not in judge(replace(REPLY, local=True), after=quiet)
    assert "received" not in judge(NOTHING, after=SILENT)


def test_without_a_resolver_there_is_nothing_to_ask() -> None:
    """`dns = []` is its owner's word."""
    assert {"dns": Verdict.UNAVAILABLE, "handshake": Verdict.OK} == verdicts(judge())


def test_a_family_has_its_own_connection() -> None:
    """By the resolver's address."""
    assert "connect-v6" in judge(replace(REPLY, address=ip_address("fd00::1")))


@pytest.mark.parametrize(
    ("peer", "verdict", "words"),
    [
        (replace(AFTER, handshake_age=180), Verdict.OK, "180 s ago"),
        (
            replace(SILENT, handshake_age=181),
            Verdict.BROKEN,
            "181 s ago; nothing came back, though",
        ),
        (SILENT, Verdict.BROKEN, "never; nothing came back: it does not know our key"),
        (replace(SILENT, received=200), Verdict.BROKEN, "compare the preshared key"),
        (BEFORE, Verdict.UNAVAILABLE, "nothing of ours goes to it"),
        (replace(SILENT, endpoint=None), Verdict.UNAVAILABLE, "no endpoint, so it must begin"),
    ],
)
def test_a_peer_is_judged_by_its_handshake(peer: Peer, verdict: Verdict, words: str) -> None:
    """If anything was sent to it; the likely reason is said."""
    found = judge(NOTHING, after=peer)["handshake"]

    assert verdict == found.verdict
    assert words in found.evidence


def test_what_can_be_mended_is_named() -> None:
    """A name that is not resolved, and a clock that is behind."""
    unnamed = judge(NOTHING, after=replace(SILENT, endpoint=None), waiting=NAMED)["handshake"]
    late = judge(NOTHING, after=SILENT, behind=True)["handshake"]

    assert "vpn.example.net has not been resolved yet" in unnamed.evidence
    assert "systemctl restart wgconfine-endpoint@vpn.service" == unnamed.mend
    assert "clock is behind" in late.evidence
    assert "timedatectl set-ntp true" == late.mend


def test_a_dump_is_read_without_its_secret() -> None:
    """wg(8): ages by the clock of this machine, which may have gone back."""
    fields = [KEY, "SECRET", "(none)", "10.0.0.0/8,fd00::/8", "1000", "5", "6", "off"]

    peer = peer_of(fields, 1060.0)
    assert (None, 60, 5, 6) == (peer.endpoint, peer.handshake_age, peer.received, peer.sent)
    assert (ip_network("10.0.0.0/8"), ip_network("fd00::/8")) == peer.allowed_ips
    assert "SECRET" not in repr(peer)
    assert 0 == peer_of(fields, 900.0).handshake_age
    bare = peer_of([KEY, "(none)", "1.2.3.4:5", "(none)", "0", "5", "6", "off"], 0.0)
    assert ((), None, "1.2.3.4:5") == (bare.allowed_ips, bare.handshake_age, bare.endpoint)


@pytest.mark.parametrize(
    ("networks", "chosen"),
    [
        (["0.0.0.0/0", "::/0"], ["192.0.2.1", "2001:db8::1"]),
        (["10.7.0.0/24", "10.8.0.0/24"], ["10.7.0.1"]),
        (["10.7.0.5/32", "fd00::5/128"], ["10.7.0.5", "fd00::5"]),
        ([], []),
    ],
)
def test_a_peer_is_woken_by_an_address_of_its_own(networks: list[str], chosen: list[str]) -> None:
    """One of each family; of everybody's, one that is nobody's."""
    assert chosen == targets(map(ip_network, networks))


def test_a_handshake_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for until it is there."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    seen = iter([(SILENT,), (SILENT,), (AFTER,)])

    assert (AFTER,) == settled(lambda: next(seen), [BEFORE])
    assert [] == list(seen)


def test_peers_of_a_tunnel_that_is_not_there_are_no_peers() -> None:
    """What can't be seen is an error, and not an empty list."""
    with pytest.raises(Exception, match="it does not show the link of no-such-tunnel"):
        read_peers(TunnelName("no-such-tunnel"), "wg0")


@pytest.mark.parametrize(
    ("active", "words"),
    [
        ("active", None),
        ("inactive", "it goes through tunnel home, which is not up: stopped"),
        (None, "it goes through tunnel home, which is not up: not-found"),
    ],
)
def test_the_tunnel_that_it_goes_through(active: str | None, words: str | None) -> None:
    """While that is not up nothing comes back, and it is that one that must be started."""
    unit = "wgconfine@home.service"
    state = UnitState(name=unit, load="loaded", active=active or "", sub="", result="success")
    found = check_via(TunnelName("home"), {unit: state} if active else {})

    assert words == (found.evidence if found else None)
    assert found is None or f"systemctl start {unit}" == found.mend


@pytest.mark.parametrize(
    ("address", "allowed_ips", "away"),
    [
        ("10.0.0.2", "0.0.0.0/0, ::/0", ["fd00::1"]),
        ("10.0.0.2, fd00::2", "0.0.0.0/0", ["fd00::1"]),
        ("10.0.0.2, fd00::2", "0.0.0.0/0, ::/0", []),
        ("fd00::2", "::/0", ["10.64.0.1"]),
        ("10.0.0.2", "192.0.2.0/24", []),  # nothing is left to be asked: that is a finding
    ],
)
def test_a_resolver_that_the_tunnel_does_not_lead_to(
    address: str, allowed_ips: str, away: list[str]
) -> None:
    """A provider names both to everybody. Whoever has one family alone is not told of a fault."""
    conf = parse(
        f"[Interface]\nAddress = {address}\n"
        f"[Peer]\nPublicKey = {KEY}\nAllowedIPs = {allowed_ips}\n",
        "vpn",
        need_private_key=False,
    )
    resolvers = [ip_address("10.64.0.1"), ip_address("fd00::1")]

    assert away == list(map(str, out_of_reach(resolvers, conf)))
