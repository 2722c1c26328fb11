"""The WireGuard link: peers, their networks, endpoints and options as the tunnel was given them."""

from dataclasses import replace
from typing import Any

import pytest

from wgconfine.config.conf import Conf
from wgconfine.config.wgquick import parse
from wgconfine.model.verify import Verdict
from wgconfine.verify.peers import Device, DevicePeer, is_endpoint, judge_device, parse_dump

KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
OTHER = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
SECRET = "QAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
DUMP = (
    f"{SECRET}\t{OTHER}\t46797\toff\n"
    f"{KEY}\t{SECRET}\t198.51.100.1:51820\t0.0.0.0/0,::/0\t1795647416\t1772\t1652\toff\n"
)
CONF = (
    "[Interface]\nAddress = 10.0.0.2/32\n[Peer]\n"
    f"PublicKey = {KEY}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 198.51.100.1:51820\n"
)


def conf(text: str = CONF) -> Conf:
    return parse(text, "x.conf", need_private_key=False)


def device(**changes: Any) -> Device:
    """Give the link of DUMP, its one peer changed."""
    found = parse_dump(DUMP)
    return replace(found, peers=(replace(found.peers[0], **changes),))


def failures(found: Device, declared: Conf) -> dict[str, Verdict]:
    checks = judge_device(found, declared, "systemctl reload x")
    return {each.name: each.verdict for each in checks if each.verdict is not Verdict.OK}


def test_a_dump_is_read_without_its_secrets() -> None:
    """Neither the private key nor a preshared one is kept."""
    assert SECRET not in repr(parse_dump(DUMP))
    assert {} == failures(parse_dump(DUMP), conf())


def test_what_is_no_dump_is_refused() -> None:
    """wg(8) of another version is an unknown, and no traceback."""
    with pytest.raises(ValueError, match="unpack"):
        parse_dump("something else\n")


def test_a_foreign_peer_is_named() -> None:
    """Its networks would go to somebody else."""
    foreign = DevicePeer(public_key=OTHER, endpoint=None, allowed_ips=frozenset(), keepalive="off")
    found = device()
    found = replace(found, peers=(*found.peers, foreign))
    assert {"peers": Verdict.NOT_CONFINED} == failures(found, conf())


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"allowed_ips": frozenset({"0.0.0.0/0"})}, {"allowed-ips": Verdict.NOT_CONFINED}),
        ({"endpoint": "198.51.100.9:51820"}, {"endpoints": Verdict.NOT_CONFINED}),
        ({"endpoint": "198.51.100.1:99"}, {"endpoints": Verdict.NOT_CONFINED}),
        ({"endpoint": None}, {"endpoints": Verdict.BROKEN}),
        ({"keepalive": "25"}, {"wireguard": Verdict.BROKEN}),
    ],
)
def test_what_has_changed_of_a_peer_is_named(
    change: dict[str, object], failure: dict[str, Verdict]
) -> None:
    """Each thing by its own check."""
    assert failure == failures(device(**change), conf())


def test_a_peer_that_is_gone_does_not_work() -> None:
    """Without it nothing gets out."""
    found = replace(parse_dump(DUMP), peers=())
    assert {"peers": Verdict.BROKEN} == failures(found, conf())


@pytest.mark.parametrize(("key", "value"), [("listen_port", 51820), ("fwmark", 7)])
def test_what_the_settings_decide_is_compared(key: str, value: int) -> None:
    """Port and mark come from the settings alone."""
    declared = conf()
    setattr(declared, key, value)
    assert {"wireguard": Verdict.BROKEN} == failures(parse_dump(DUMP), declared)


def test_of_peers_with_the_same_network_the_last_has_it() -> None:
    """As the kernel has it: a network belongs to one peer."""
    two = CONF + f"[Peer]\nPublicKey = {OTHER}\nAllowedIPs = ::/0\n"
    second = DevicePeer(
        public_key=OTHER, endpoint=None, allowed_ips=frozenset({"::/0"}), keepalive="off"
    )
    found = device(allowed_ips=frozenset({"0.0.0.0/0"}))
    assert {} == failures(replace(found, peers=(*found.peers, second)), conf(two))


@pytest.mark.parametrize(
    ("seen", "host", "may_be"),
    [
        ("[2001:db8::1]:51820", "2001:db8::1", True),
        ("[2001:db8::2]:51820", "2001:db8::1", False),
        ("203.0.113.7:51820", "vpn.example.net", True),
        ("127.0.0.1:51820", "vpn.example.net", False),
        ("203.0.113.7:1", "vpn.example.net", False),
    ],
)
def test_endpoints(seen: str, host: str, *, may_be: bool) -> None:
    """Of a host name any answer may be right that the look-up would have taken."""
    assert may_be is is_endpoint(seen, host, 51820)
