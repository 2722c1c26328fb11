"""Effective properties of sockets and proxies, as systemd prints them, against what is rendered."""

from pathlib import PurePosixPath

import pytest

from wgconfine.config.ports import (
    PublishTable,
    build_publish,
    read_listen,
    read_publish_text,
    read_reach,
)
from wgconfine.config.values import read_network
from wgconfine.model.settings import ConfFile, Settings, TunnelName, UnitName
from wgconfine.model.units import Assignment, UnitText
from wgconfine.model.verify import Verdict
from wgconfine.plan.unitfile import parse_unit
from wgconfine.render.publish import port_files
from wgconfine.render.templates import templates
from wgconfine.verify.effective import PORT_JUDGES, judge_effective

PYTHON = PurePosixPath("/usr/bin/python3")
SETTINGS = Settings(
    name=TunnelName("vpn"),
    path=PurePosixPath("/etc/wgconfine/vpn.toml"),
    digest="",
    wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
    publish=(
        build_publish(
            PublishTable(
                listen=read_listen("192.0.2.1:81"), clients=(read_network("192.0.2.0/24"),)
            )
        ),
        read_publish_text("unix:/run/x:80"),
    ),
    reach=(read_reach("127.0.0.1:5432:192.0.2.7:5433"),),
)
SOCKET = UnitName("wgconfine-publish@vpn.192.0.2.1:81.socket")
UNIX = UnitName("wgconfine-publish@vpn.unix:-run-x.socket")
PROXY = UnitName("wgconfine-reach@vpn.127.0.0.1:5432.service")


def command(argv: str, *, flags: str = "ignore_errors=no") -> str:
    path = argv.partition(" ")[0]
    return (
        f"{{ path={path} ; argv[]={argv} ; {flags} ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ;"
        " code=(null) ; status=0/0 }"
    )


SHOWN = {
    SOCKET: {
        "BindsTo": "wgconfine-netns@vpn.service",
        "After": "wgconfine-netns@vpn.service system.slice -.slice",
        "FreeBind": "yes",
        "BindIPv6Only": "ipv6-only",
        "IPAddressAllow": "192.0.2.0/24",
        "IPAddressDeny": "0.0.0.0/0 ::/0",
        "ExecStartPre": command(
            f"{PYTHON} -I -c from wgconfine.runtime.__main__ import run; run() admits 192.0.2.0/24"
        ),
    },
    UNIX: {
        "BindsTo": "wgconfine-netns@vpn.service",
        "After": "wgconfine-netns@vpn.service system.slice -.slice",
        "SocketMode": "0660",
        "SocketUser": "root",
        "SocketGroup": "root",
    },
    PROXY: {
        "BindsTo": "wgconfine-reach@vpn.127.0.0.1:5432.socket wgconfine-netns@vpn.service",
        "After": "wgconfine-netns@vpn.service wgconfine-reach@vpn.127.0.0.1:5432.socket x.mount",
        "DynamicUser": "yes",
        "CapabilityBoundingSet": "cap_sys_boot",
        "AmbientCapabilities": "cap_sys_boot",
        "RestrictAddressFamilies": "AF_INET6 AF_INET",
        "IPAddressDeny": "::/0 0.0.0.0/0",
        "IPAddressAllow": "192.0.2.7/32",
        "NoNewPrivileges": "yes",
        "ExecStart": command(
            "/usr/lib/systemd/systemd-socket-proxyd --connections-max=4096 --exit-idle-time=60s"
            " ${TARGET}"
        ),
        "Environment": "TARGET=192.0.2.7:5433",
    },
}


def lines(unit: UnitName) -> list[Assignment]:
    """Give the settings of a unit's own files and of its template's."""
    name, kind = unit.rsplit(".", 1)
    files = [
        *templates(python=PYTHON, publish=True, reach=True),
        *port_files(SETTINGS, python=PYTHON),
    ]
    wanted = {unit, f"{name.partition('@')[0]}@.{kind}", f"{unit}.d"}
    return [
        line
        for file in files
        if file.path.name in wanted or file.path.parent.name in wanted
        for line in parse_unit(UnitText(path=file.path, text=file.text))
    ]


def failures(unit: UnitName, shown: dict[str, str]) -> list[tuple[str, Verdict]]:
    checks = judge_effective(unit, lines(unit), {**SHOWN[unit], **shown}, PORT_JUDGES)
    assert {*SHOWN[unit]} == {each.name for each in checks}
    return [(each.name, each.verdict) for each in checks if each.verdict is not Verdict.OK]


@pytest.mark.parametrize("unit", SHOWN)
def test_what_systemd_shows_is_as_rendered(unit: UnitName) -> None:
    """Lists in its own order, words as networks."""
    assert [] == failures(unit, {})


@pytest.mark.parametrize(("unit", "key"), [(unit, key) for unit in SHOWN for key in SHOWN[unit]])
def test_each_setting_that_is_reset_is_named(unit: UnitName, key: str) -> None:
    """As an empty line in a drop-in of somebody's leaves it."""
    assert [(key, Verdict.NOT_CONFINED)] == failures(unit, {key: ""})


@pytest.mark.parametrize(
    ("unit", "key", "value"),
    [
        (SOCKET, "IPAddressAllow", "192.0.2.0/24 0.0.0.0/0"),
        (SOCKET, "IPAddressAllow", "192.0.2.0/25"),
        (SOCKET, "ExecStartPre", f"{SHOWN[SOCKET]['ExecStartPre']}\n{command('/bin/true')}"),
        (UNIX, "SocketMode", "0666"),
        (UNIX, "SocketGroup", "games"),
        (PROXY, "IPAddressAllow", "192.0.2.7/32 192.0.2.8/32"),
        (PROXY, "CapabilityBoundingSet", "cap_sys_boot cap_sys_admin"),
        (PROXY, "RestrictAddressFamilies", "AF_INET AF_INET6 AF_NETLINK"),
        (PROXY, "DynamicUser", "no"),
        (PROXY, "ExecStart", SHOWN[PROXY]["ExecStart"].replace("${TARGET}", "192.0.2.8:5433")),
        (PROXY, "Environment", "TARGET=192.0.2.7:5434"),
    ],
)
def test_each_setting_that_is_another_is_named(unit: UnitName, key: str, value: str) -> None:
    """More than what was rendered is as wrong as less."""
    assert [(key, Verdict.NOT_CONFINED)] == failures(unit, {key: value})
