"""The ports that `status` shows, by what is installed and how systemd has it."""

import pytest

from wgconfine.model.state import UnitState
from wgconfine.model.status import Counter, InboundStatus, PublishStatus, ReachStatus
from wgconfine.system.portstatus import (
    inbound_status,
    outbound_deny,
    parse_counters,
    port_units,
    publish_status,
    reach_status,
)

RECORD = {
    "publish": [
        {
            "socket": "p.socket",
            "listen": ["192.0.2.1:80"],
            "to": "[::1]:81",
            "from": ["192.0.2.0/24"],
        },
        {
            "socket": "u.socket",
            "listen": ["unix:/run/x"],
            "to": "[::1]:81",
            "user": "a",
            "group": "b",
        },
    ],
    "reach": [{"socket": "r.socket", "listen": "127.0.0.1:1", "to": "192.0.2.7:2"}],
    "inbound": {"tcp": ["1", "5-9"], "udp": []},
    "outbound-deny": ["10.0.0.0/8"],
}
LISTENS = {"active": "active", "sub": "listening"}
FAILED = {"active": "failed", "result": "resources"}
UP = UnitState(name="wgconfine-netns@vpn.service", active="active", sub="exited")


def states(**units: dict[str, str]) -> dict[str, UnitState]:
    """How the units of RECORD are; what is not named listens, and its proxy is idle."""
    found = {unit: UnitState(name=unit) for unit in port_units(RECORD)}
    for name in ("p", "u", "r"):
        found[f"{name}.socket"] = UnitState(name=f"{name}.socket", **LISTENS)  # type: ignore[arg-type]
    for key, values in units.items():
        name = key.replace("_", ".")
        found[name] = UnitState(name=name, **values)  # type: ignore[arg-type]
    return found


def test_what_is_published_and_reached() -> None:
    """Where, who may, and that it listens."""
    lan, unix = publish_status(RECORD, states(), UP)
    assert lan == PublishStatus(
        listen=("192.0.2.1:80",),
        to="[::1]:81",
        socket="p.socket",
        state="listening",
        clients=("192.0.2.0/24",),
    )
    assert ("a:b", ()) == (unix.owner, unix.clients)
    assert reach_status(RECORD, states(), UP) == (
        ReachStatus(listen="127.0.0.1:1", to="192.0.2.7:2", socket="r.socket", state="listening"),
    )
    assert InboundStatus(tcp=("1", "5-9")) == inbound_status(RECORD)
    assert ("10.0.0.0/8",) == outbound_deny(RECORD)


@pytest.mark.parametrize(
    ("socket", "proxy", "state", "why"),
    [
        ({"active": "inactive"}, {}, "stopped", "systemctl start p.socket"),
        (FAILED, {}, "failed", "resources: journalctl -u p.socket"),
        ({"load": "not-found"}, {}, "not-found", "wgconfine apply"),
        ({"load": "masked"}, {}, "masked", "systemctl unmask p.socket"),
        ({"active": "activating"}, {}, "starting", ""),
        (LISTENS, FAILED, "listening", "its proxy fails: journalctl -u p.service"),
        (LISTENS, {"active": "active", "sub": "running"}, "listening", ""),
    ],
)
def test_why_a_port_is_of_no_use(
    socket: dict[str, str], proxy: dict[str, str], state: str, why: str
) -> None:
    """With the command that mends it, or tells more."""
    port = publish_status(RECORD, states(p_socket=socket, p_service=proxy), UP)[0]
    assert (state, why) == (port.state, port.why)


def test_a_port_of_a_tunnel_that_is_down() -> None:
    """Nothing is to be started but the tunnel."""
    down = UnitState(name="wgconfine-netns@vpn.service")
    port = publish_status(RECORD, states(p_socket={"active": "inactive"}), down)[0]
    assert ("stopped", "it comes with wgconfine-netns@vpn.service") == (port.state, port.why)


@pytest.mark.parametrize("record", [None, {}, {"publish": "x", "inbound": [], "reach": [1, {}]}])
def test_a_record_of_another_version_tells_of_no_ports(record: dict[str, object] | None) -> None:
    """Or a damaged one."""
    assert [] == port_units(record)
    assert ((), ()) == (publish_status(record, {}, UP), reach_status(record, {}, UP))
    assert InboundStatus() == inbound_status(record)


def test_counters_of_our_table() -> None:
    """As nft(8) prints them; other tables' are left out, and what is no answer tells of nothing."""
    place = '"family": "inet", "table": "wgconfine"'
    ours = f'{{"counter": {{{place}, "name": "dns", "packets": 3, "bytes": 9}}}}'
    other = ours.replace("wgconfine", "x")
    text = f'{{"nftables": [{{"metainfo": {{}}}}, {ours}, {other}]}}'
    assert {"dns": Counter(packets=3, bytes=9)} == parse_counters(text)
    for damaged in ("", "{}", '{"nftables": [{"counter": {}}]}'):
        assert {} == parse_counters(damaged)
