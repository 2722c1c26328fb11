"""`wgconfine logs` becomes journalctl: with which options, and which units."""

from pathlib import PurePosixPath

import pytest

from wgconfine.cli.commands import journalctl_options
from wgconfine.cli.logs import journal_units
from wgconfine.cli.main import build_parser
from wgconfine.model.settings import ConfFile, Settings, TunnelName, UnitName


def test_units_of_a_tunnel() -> None:
    """Its own, those of its ports whatever they are called, its services and what serves those."""
    settings = Settings(
        name=TunnelName("vpn"),
        path=PurePosixPath("/etc/wgconfine/vpn.toml"),
        digest="",
        wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
        services=(UnitName(r"a@b\x2d.service"),),
    )
    assert [
        "wgconfine@vpn.service",
        "wgconfine-netns@vpn.service",
        "wgconfine-reload@vpn.service",
        "wgconfine-rebind@vpn.service",
        "wgconfine-next@vpn.service",
        "wgconfine-relink@vpn.service",
        "wgconfine-endpoint@vpn.service",
        "wgconfine-wireguard@vpn.service",
        "wgconfine-look@vpn.service",
        "wgconfine-name@vpn.service",
        "wgconfine-ready@vpn.service",
        "wgconfine-changed@vpn.service",
        "wgconfine-switch@vpn.service",
        "wgconfine-verify@vpn.service",
        "wgconfine-paths@vpn.service",
        "wgconfine-repath@vpn.service",
        "wgconfine-publish@vpn.*",
        "wgconfine-reach@vpn.*",
        "wgconfine-paths@vpn.*",
        "wgconfine-watch@vpn.*",
        r"a@b\x2d.service",
        r"wgconfine-probe@a@b\x2d.service",
        r"wgconfine-bus@a@b\x2d.service",
        "wgconfine-exec-vpn-*.service",
    ] == journal_units(settings)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["-f", "-b"], ["--follow", "--boot"]),
        (["-n", "5"], ["--lines=5"]),
        (["--since", "10 min ago", "--until=-1s"], ["--since=10 min ago", "--until=-1s"]),
    ],
)
def test_options_of_journalctl(words: list[str], expected: list[str]) -> None:
    """What somebody types as a value is never read as an option."""
    assert expected == journalctl_options(build_parser().parse_args(["logs", "vpn", *words]))
