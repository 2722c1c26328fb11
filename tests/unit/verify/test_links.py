"""What ip(8) tells of the namespace: anything that could lead elsewhere is named."""

from typing import Any

import pytest

from wgconfine.model.verify import Check, Verdict
from wgconfine.verify.links import (
    judge_addresses,
    judge_link,
    judge_links,
    judge_routes,
    judge_rules,
)

Json = dict[str, Any]

LO: Json = {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "link_type": "loopback"}
WG0: Json = {
    "ifname": "wg0",
    "flags": ["POINTOPOINT", "UP"],
    "linkinfo": {"info_kind": "wireguard"},
    "addr_info": [
        {"local": "10.0.0.2", "prefixlen": 32, "scope": "global"},
        {"local": "fd00::2", "prefixlen": 128, "scope": "global"},
    ],
}
TUNL0: Json = {"ifname": "tunl0", "flags": ["NOARP"], "linkinfo": {"info_kind": "ipip"}}
RULES4 = [
    {"priority": 0, "src": "all", "table": "local"},
    {"priority": 32766, "src": "all", "table": "main"},
    {"priority": 32767, "src": "all", "table": "default"},
]
RULES6 = RULES4[:2]
ROUTES: list[Json] = [
    {"dst": "default", "dev": "wg0", "scope": "link", "flags": []},
    {"dst": "default", "dev": "wg0", "metric": 1024, "pref": "medium"},
    {"dst": "fd00::2", "dev": "wg0", "protocol": "kernel", "pref": "medium"},
    {"type": "local", "dst": "127.0.0.1", "dev": "lo", "table": "local", "protocol": "kernel"},
    {"type": "unreachable", "dst": "default", "dev": "lo", "table": "unspec"},
]
EVERYTHING = ("0.0.0.0/0", "::/0")


def told(check: Check) -> tuple[Verdict, str]:
    return check.verdict, check.evidence


@pytest.mark.parametrize(
    ("more", "evidence"),
    [
        ({"ifname": "eth0", "flags": []}, "eth0 (unknown, down)"),
        ({**TUNL0, "flags": ["UP"]}, "tunl0 (ipip, up)"),
        ({**TUNL0, "addr_info": [{"local": "192.0.2.1"}]}, "tunl0 (ipip, down)"),
        ({**TUNL0, "linkinfo": {"info_kind": "veth"}}, "tunl0 (veth, down)"),
    ],
)
def test_another_link_is_named(more: Json, evidence: str) -> None:
    """A fallback device counts, too, unless it is the kernel's own, down and without address."""
    found = judge_links([LO, WG0, more], up=True)
    assert (Verdict.NOT_CONFINED, f"beside lo and wg0 there is {evidence}") == told(found)


def test_the_kernels_own_devices_are_no_links() -> None:
    """Where the module is loaded each new namespace has them, and nobody can delete them."""
    assert Verdict.OK is judge_links([LO, WG0, TUNL0], up=True).verdict


def test_the_link_is_missing_only_where_the_tunnel_is_up() -> None:
    """Without it nothing gets out: it does not work, and is no leak."""
    assert Verdict.BROKEN is judge_links([LO], up=True).verdict
    assert Verdict.OK is judge_links([LO], up=False).verdict


@pytest.mark.parametrize(
    ("kind", "userspace", "ours", "verdict"),
    [
        ("wireguard", False, None, Verdict.OK),
        ("veth", False, None, Verdict.NOT_CONFINED),
        ("tun", False, None, Verdict.NOT_CONFINED),
        ("tun", True, True, Verdict.OK),
        ("tun", True, False, Verdict.NOT_CONFINED),
        ("tun", True, None, Verdict.UNKNOWN),
        ("wireguard", True, True, Verdict.NOT_CONFINED),
    ],
)
def test_a_link_that_was_renamed(
    kind: str, *, userspace: bool, ours: bool | None, verdict: Verdict
) -> None:
    """The name proves nothing: the kind must be the backend's, and a tun device our program's."""
    links = [LO, {**WG0, "linkinfo": {"info_kind": kind}}]
    assert verdict is judge_link(links, userspace=userspace, ours=ours).verdict


def test_addresses_are_those_declared() -> None:
    """Another one is named; a missing one means that it does not work."""
    assert Verdict.OK is judge_addresses([LO, WG0], ["10.0.0.2/32", "fd00::2/128"]).verdict
    more = judge_addresses([WG0], ["10.0.0.2/32"])
    assert (Verdict.NOT_CONFINED, "not declared: fd00::2/128") == told(more)
    less = judge_addresses([WG0], ["10.0.0.2/32", "fd00::2/128", "10.0.0.3/32"])
    assert (Verdict.BROKEN, "missing: 10.0.0.3/32") == told(less)


def test_a_declared_link_local_address_is_one_like_others() -> None:
    """It is looked for, too; the kernel's own, which nobody has declared, is none."""
    local = {"local": "fe80::2", "prefixlen": 64, "scope": "link"}
    link = {**WG0, "addr_info": [local]}
    assert Verdict.OK is judge_addresses([link], ["fe80::2/64"]).verdict
    assert Verdict.OK is judge_addresses([link], []).verdict
    missing = judge_addresses([{**WG0, "addr_info": []}], ["fe80::2/64"])
    assert (Verdict.BROKEN, "missing: fe80::2/64") == told(missing)


def test_routes_are_those_declared() -> None:
    """The kernel's own and those that lead nowhere do not count."""
    assert Verdict.OK is judge_routes(ROUTES, EVERYTHING).verdict
    assert (Verdict.BROKEN, "missing: ::/0") == told(judge_routes(ROUTES[:1], EVERYTHING))


def test_a_route_of_an_earlier_version_is_no_finding() -> None:
    """Of a family without an address it leads into the tunnel, too, until the next reload."""
    assert (Verdict.OK, "0.0.0.0/0") == told(judge_routes(ROUTES, EVERYTHING[:1], EVERYTHING))
    assert Verdict.NOT_CONFINED is judge_routes(ROUTES, EVERYTHING[:1], ["10.0.0.0/8"]).verdict


@pytest.mark.parametrize(
    "route",
    [
        {"dst": "default", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "lo"},
        {"dst": "default", "dev": "wg0", "table": "99"},
        {"dst": "192.0.2.0/24", "gateway": "10.0.0.1", "dev": "wg0"},
        {"dst": "192.0.2.0/24", "nexthops": [{"dev": "wg0"}, {"dev": "eth0"}]},
        {"dst": "192.0.2.0/24", "dev": "eth0", "protocol": "kernel"},
        {"dst": "192.0.2.0/24", "dev": "wg0"},
    ],
)
def test_another_route_is_named(route: Json) -> None:
    """In whatever table, and whoever is said to have made it."""
    found = judge_routes([*ROUTES, route], EVERYTHING)
    assert Verdict.NOT_CONFINED is found.verdict
    assert str(route["dst"]).replace("default", "0.0.0.0/0") in found.evidence


def test_rules_are_the_kernels_own() -> None:
    """Without IPv6 there are none of it to compare."""
    assert Verdict.OK is judge_rules({4: RULES4, 6: RULES6}).verdict
    assert Verdict.OK is judge_rules({4: RULES4}).verdict
    gone = judge_rules({4: RULES4[1:], 6: RULES6})
    assert (Verdict.BROKEN, "IPv4: lookup local is missing") == told(gone)


@pytest.mark.parametrize(
    "rule",
    [
        {"priority": 99, "src": "all", "table": "main"},
        {"priority": 32766, "src": "all", "table": "99"},
        {"priority": 32766, "src": "10.0.0.2", "table": "main"},
        {"priority": 32766, "src": "all", "table": "main", "fwmark": "0x1"},
    ],
)
def test_another_rule_is_named(rule: Json) -> None:
    """One that differs from the kernel's in anything may lead elsewhere."""
    assert Verdict.NOT_CONFINED is judge_rules({4: [*RULES4, rule], 6: RULES6}).verdict


def test_a_link_that_is_on_its_way_to_another_tunnel() -> None:
    """wireguard-go makes it here, where its socket stays; it is down and without address."""
    made: Json = {"ifname": "wgc-0", "flags": [], "linkinfo": {"info_kind": "tun"}}
    ours = {"wgc-0"}

    assert Verdict.OK is judge_links([LO, WG0, made], up=True, on_the_way=ours).verdict
    for stranger in ({**made, "flags": ["UP"]}, {**made, "ifname": "wgc-1"}):
        found = judge_links([LO, WG0, stranger], up=True, on_the_way=ours)
        assert Verdict.NOT_CONFINED is found.verdict
