"""Areas strung together: none hides another, and a tunnel that is down is asked no more."""

import json
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import PurePosixPath

import pytest

from wgconfine.config.ports import read_publish_text, read_reach, read_socket_address
from wgconfine.model.errors import ExitCode, OperationFailed
from wgconfine.model.ports import Inbound, PortRange, Publish
from wgconfine.model.settings import Backend, ConfFile, Inline, Settings, TunnelName, UnitName
from wgconfine.model.state import UnitState
from wgconfine.model.verify import Area, Check, Verdict, Verification, exit_code
from wgconfine.render.record import record_file
from wgconfine.runtime.record import Record
from wgconfine.system.systemctl import RealSystemctl
from wgconfine.verify.recorded import settings_of_record
from wgconfine.verify.run import Report, disabled, is_proxy, judge_closed, repeated, verify_one
from wgconfine.verify.subject import Subject

TUNNEL = "wgconfine@vpn.service"
SETTINGS = Settings(
    name=TunnelName("vpn"),
    path=PurePosixPath("/etc/wgconfine/vpn.toml"),
    digest="",
    wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
)


def subject(active: str) -> Subject:
    return Subject(
        settings=SETTINGS,
        applied=SETTINGS,
        backend=Backend.KERNEL,
        facts={},
        states={TUNNEL: UnitState(name=TUNNEL, active=active)},
        desired={},
        installed={},
        systemctl=RealSystemctl(),
    )


def works(found: Subject) -> list[Check]:
    return [Check(area=Area.WORKS, name="dns", verdict=Verdict.OK, evidence=found.name)]


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), OperationFailed("ip", "exit 1"), KeyError("dev")]
)
def test_what_one_area_can_not_find_out_hides_nothing(error: Exception) -> None:
    """It is a check of its own, unknown, and the next area is asked all the same."""

    def broken(_: Subject) -> list[Check]:
        raise error

    found = verify_one(subject("active"), [(Area.UNITS, broken), (Area.WORKS, works)])
    assert [("unchecked", Verdict.UNKNOWN), ("dns", Verdict.OK)] == [
        (each.name, each.verdict) for each in found.checks
    ]
    assert str(error) in found.checks[0].evidence
    assert ExitCode.UNCHECKED is exit_code([found])


def test_a_tunnel_that_is_down_is_not_tried() -> None:
    """Of a tunnel without a link it is known what gets out."""
    areas = [(Area.STRUCTURE, works), (Area.ESCAPES, works), (Area.WORKS, works)]
    assert 3 == len(verify_one(subject("active"), areas).checks)
    assert 1 == len(verify_one(subject("inactive"), areas).checks)


@pytest.mark.parametrize(
    ("verdicts", "changes", "times"),
    [
        ([Verdict.OK], [], 1),
        ([Verdict.NOT_CONFINED], [False], 1),
        ([Verdict.NOT_CONFINED, Verdict.OK], [True], 2),
        ([Verdict.BROKEN, Verdict.UNKNOWN], [True, False], 2),
        ([Verdict.LEAK], [], 1),
        ([Verdict.UNKNOWN] * 3, [True, True], 3),
    ],
)
def test_what_was_seen_half_way_is_looked_at_again(
    verdicts: list[Verdict], changes: list[bool], times: int
) -> None:
    """Where a unit started or stopped meanwhile; three times in all, and never after a leak."""
    results, changed = iter(verdicts), iter(changes)

    def verify() -> tuple[Report, Callable[[], bool]]:
        seen = Check(area=Area.PROCESSES, name="namespace", verdict=next(results), evidence="")
        tunnel = Verification(tunnel="vpn", checks=(seen,))
        return Report(tunnels=(tunnel,)), lambda: next(changed)

    assert verdicts[times - 1] == repeated(verify).tunnels[0].checks[0].verdict
    assert ([], []) == (list(results), list(changed))


@pytest.mark.parametrize(
    ("active", "verdict"),
    [
        ("active", Verdict.NOT_CONFINED),
        ("activating", Verdict.NOT_CONFINED),
        ("deactivating", Verdict.NOT_CONFINED),
        ("inactive", Verdict.OK),
        ("failed", Verdict.OK),
    ],
)
def test_a_closed_service_may_not_run(active: str, verdict: Verdict) -> None:
    """One that runs does so in the open."""
    assert verdict is judge_closed(UnitState(name="x.service", active=active)).verdict


def test_a_disabled_tunnel_is_no_failure_and_not_green() -> None:
    """Its owner said so; there is nothing that could be called confined."""
    found = disabled(SETTINGS)
    assert ExitCode.OK is exit_code([found])
    assert [Verdict.UNAVAILABLE] == [each.verdict for each in found.checks]


def record(**values: object) -> Record:
    return Record(
        "vpn",
        {
            "digest": "", "backend": "kernel", "link": "wgc-1", "config-file": None, "config": None,
            "private-key-file": None, "private-key-credential": None, "preshared-key-files": {},
            "dns": None, "mtu": None, "listen-port": None, "fwmark": None,
            "services": ["a.service"], **values,
        },
    )  # fmt: skip


def test_settings_that_are_lost_are_told_by_the_record() -> None:
    """Name, services, and where the .conf lies."""
    found = settings_of_record(record(**{"config-file": "/etc/wireguard/vpn.conf"}))
    assert SETTINGS.wireguard == found.wireguard
    assert (UnitName("a.service"),) == found.services


def test_an_inline_form_is_told_by_the_record() -> None:
    """Without its secrets, which no record has."""
    config = (
        "[Interface]\nAddress = 10.0.0.2/32\n[Peer]\n"
        "PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nAllowedIPs = ::/0\n"
        "Endpoint = vpn.example.net:51820\n"
    )
    found = settings_of_record(record(config=config, dns=["10.0.0.1"]))
    assert isinstance(found.wireguard, Inline)
    assert ["vpn.example.net:51820"] == [str(peer.endpoint) for peer in found.wireguard.peers]
    assert found.dns is not None
    assert ["10.0.0.1"] == list(map(str, found.dns))


def test_ports_are_told_by_the_record() -> None:
    """What apply wrote there of `publish`, `reach`, `[inbound]` and `[outbound]` comes back."""
    written = replace(
        SETTINGS,
        publish=(
            read_publish_text("8080"),
            read_publish_text("unix:/run/x.sock:80"),
            Publish(
                listen=(read_socket_address("192.0.2.1:8081"),),
                to=read_socket_address("[::1]:80"),
                clients=(ip_network("192.0.2.0/24"),),
                free_bind=True,
            ),
        ),
        reach=(read_reach("[::1]:5432:192.0.2.7:5432"),),
        inbound=Inbound(tcp=(PortRange(first=1, last=1), PortRange(first=5, last=9))),
        outbound_deny=(ip_network("10.0.0.0/8"),),
    )
    values = json.loads(record_file(written, Backend.KERNEL).text)
    found = settings_of_record(Record("vpn", values))

    assert [written.publish, written.reach] == [found.publish, found.reach]
    assert [written.inbound, written.outbound_deny] == [found.inbound, found.outbound_deny]


@pytest.mark.parametrize(
    ("unit", "proxy"),
    [
        ("wgconfine-publish@vpn.8080.service", True),
        ("wgconfine-reach@vpn.127.0.0.1:5432.service", True),
        ("wgconfine-publish@vpn.8080.socket", False),
        ("wgconfine@vpn.service", False),
    ],
)
def test_a_proxy_comes_and_goes(unit: str, *, proxy: bool) -> None:
    """With connections: that is no reason to look again."""
    assert proxy is is_proxy(unit)
