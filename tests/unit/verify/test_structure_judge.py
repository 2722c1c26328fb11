"""The namespace, its name, its kernel settings, and what the tunnel was configured with."""

from pathlib import Path

import pytest

from wgconfine.config.wgquick import parse
from wgconfine.model.settings import TunnelName
from wgconfine.model.state import UnitState
from wgconfine.model.verify import Verdict
from wgconfine.runtime import link
from wgconfine.runtime.record import Record
from wgconfine.runtime.sysctl import SETTINGS
from wgconfine.verify.expected import Expected, compare_source
from wgconfine.verify.structure import (
    judge_configuration,
    judge_namespace,
    judge_sysctls,
    judge_tunnel,
    parse_sysctls,
)

OURS, THEIRS, HOST = (4, 100), (4, 200), (4, 1)
Identity = tuple[int, int] | None
CONF = (
    "[Interface]\nAddress = 10.0.0.2/32\nDNS = 10.0.0.1, lan\n[Peer]\n"
    "PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nAllowedIPs = ::/0\n"
    "Endpoint = [2001:db8::1]:51820\nPersistentKeepalive = 25\n"
)


@pytest.mark.parametrize(
    ("record", "named", "host", "verdicts"),
    [
        (OURS, OURS, HOST, (Verdict.OK, Verdict.OK)),
        (OURS, THEIRS, HOST, (Verdict.OK, Verdict.NOT_CONFINED)),
        (OURS, None, HOST, (Verdict.OK, Verdict.BROKEN)),
        (None, None, HOST, (Verdict.BROKEN, Verdict.BROKEN)),
        (None, THEIRS, HOST, (Verdict.BROKEN, Verdict.NOT_CONFINED)),
        (HOST, HOST, HOST, (Verdict.NOT_CONFINED, Verdict.OK)),
        (OURS, OURS, None, (Verdict.UNKNOWN, Verdict.OK)),
    ],
)
def test_the_namespace_and_its_name(
    record: Identity, named: Identity, host: Identity, verdicts: tuple[Verdict, Verdict]
) -> None:
    """Our record is the namespace, the name must be it, and neither may be the host's."""
    found = judge_namespace(TunnelName("vpn"), record, named, host)
    assert verdicts == tuple(each.verdict for each in found)


@pytest.mark.parametrize(
    ("state", "evidence", "mend"),
    [
        (UnitState(name="t"), "down: ", "systemctl start t"),
        (UnitState(name="t", active="failed"), "failed: ", "journalctl -u t"),
        (UnitState(name="t", load="not-found"), "not applied: ", "wgconfine apply"),
        (UnitState(name="t", active="activating"), "starting: ", "journalctl -u t"),
    ],
)
def test_a_tunnel_that_is_not_up(state: UnitState, evidence: str, mend: str) -> None:
    """Closed, and of no use: with what to do about it."""
    found = judge_tunnel(state)
    assert (Verdict.BROKEN, mend) == (found.verdict, found.mend)
    assert found.evidence.startswith(evidence)


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [
        ("ipv4/ip_forward", "1", Verdict.NOT_CONFINED),
        ("ipv6/conf/all/accept_ra", "2", Verdict.NOT_CONFINED),
        ("ipv6/conf/all/disable_ipv6", "1", Verdict.BROKEN),
        ("ipv4/conf/all/promote_secondaries", "0", Verdict.OK),
    ],
)
def test_a_kernel_setting_that_is_another(key: str, value: str, verdict: Verdict) -> None:
    """What would let packets through, or in, is not confined; what takes away does not work."""
    assert verdict is judge_sysctls({**SETTINGS, key: value}, "vpn").verdict


def test_kernel_settings_that_the_kernel_lacks() -> None:
    """Without IPv6 there are none of it; with none at all nothing is known."""
    output = "/proc/sys/net/ipv4/ip_forward:0\n/proc/sys/net/ipv4/conf/all/rp_filter:0\n"
    found = parse_sysctls(output)
    assert {"ipv4/ip_forward": "0", "ipv4/conf/all/rp_filter": "0"} == found
    assert Verdict.OK is judge_sysctls(found, "vpn").verdict
    assert Verdict.UNKNOWN is judge_sysctls({}, "vpn").verdict


def test_a_declaration_says_all_but_the_secrets() -> None:
    """It is a .conf itself, and the same again when it is read."""
    conf = parse(CONF, "x.conf", need_private_key=False)
    text = link.declaration(conf)
    again = parse(text, "declared", need_private_key=False)
    assert text == link.declaration(again)
    assert (["10.0.0.1"], ["lan"]) == (again.dns, again.search)


def record(conf: Path) -> Record:
    return Record(
        "vpn",
        {
            "digest": "", "backend": "kernel", "link": "wgc-1", "config-file": str(conf),
            "config": None, "private-key-file": None, "private-key-credential": None,
            "preshared-key-files": {}, "dns": None, "mtu": None, "listen-port": None,
            "fwmark": None, "services": [],
        },
    )  # fmt: skip


def test_a_conf_that_is_away_is_no_change() -> None:
    """It may appear for the start of a tunnel alone."""
    word, why = compare_source(record(Path("/etc/wgconfine-is-not-here/vpn.conf")), "")
    assert "absent" == word
    assert "vpn.conf" in why


@pytest.mark.parametrize(
    ("source", "in_force", "verdict"),
    [
        ("same", True, Verdict.OK),
        ("absent", True, Verdict.OK),
        ("changed", True, Verdict.BROKEN),
        ("wrong", True, Verdict.BROKEN),
        ("same", False, Verdict.BROKEN),
    ],
)
def test_whether_the_tunnel_runs_by_what_is_declared(
    source: str, *, in_force: bool, verdict: Verdict, tmp_path: Path
) -> None:
    """What has changed since is not in force, and a reload brings it there."""
    conf = parse(CONF, "x.conf", need_private_key=False)
    expected = Expected(
        record=record(tmp_path), conf=conf, source=source, why="x", in_force=in_force
    )
    config = judge_configuration(TunnelName("vpn"), expected)[0]
    assert ("config", verdict) == (config.name, config.verdict)


@pytest.mark.parametrize("known", [True, False])
def test_what_was_declared_is_not_known(*, known: bool, tmp_path: Path) -> None:
    """Of a tunnel that was started by an earlier version, or whose record is damaged."""
    expected = Expected(record=record(tmp_path) if known else None, why="damaged")
    (found,) = judge_configuration(TunnelName("vpn"), expected)
    assert Verdict.UNKNOWN is found.verdict
    assert "damaged" in found.evidence
