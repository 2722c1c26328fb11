"""How the host looks names up."""

from pathlib import Path, PurePosixPath

import pytest

from tests.unit.doctor.tree import write
from wgconfine.config.settings import parse_settings
from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.doctor.resolver import (
    ResolverFacts,
    judge_resolver,
    look_at_resolver,
    named_endpoints,
)
from wgconfine.model.doctor import Grade
from wgconfine.model.settings import Settings

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
DEBIAN = Distribution(family=Family.DEBIAN)


def settings(text: str) -> Settings:
    return parse_settings("vpn", [(PurePosixPath("/etc/wgconfine/vpn.toml"), text)])


def test_how_the_host_looks_names_up(tmp_path: Path) -> None:
    """By its resolv.conf, and the sockets of daemons that may answer."""
    write(tmp_path, "run/systemd/resolve/io.systemd.Resolve", "")
    write(
        tmp_path, "run/systemd/resolve/stub-resolv.conf", "# x\nnameserver 127.0.0.53\nsearch a\n"
    )
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    found = look_at_resolver(tmp_path)
    assert ("127.0.0.53",) == found.servers
    assert ("systemd-resolved",) == found.daemons
    (finding,) = judge_resolver(found)
    assert (Grade.OK, True) == (
        finding.grade,
        finding.words.startswith("this machine asks systemd-resolved, 127.0.0.53."),
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (ResolverFacts(), "/etc/resolv.conf is not there"),
        (ResolverFacts(servers=()), "/etc/resolv.conf names no server"),
        (ResolverFacts(leads_to="/run/x"), "leads to /run/x, which is not there"),
    ],
)
def test_a_host_that_looks_nothing_up(facts: ResolverFacts, words: str) -> None:
    """It matters where an endpoint is a host name."""
    (note,) = judge_resolver(facts)
    (broken,) = judge_resolver(facts, ["vpn"])
    assert (Grade.NOTE, Grade.BROKEN) == (note.grade, broken.grade)
    assert words in note.words
    assert "endpoints of vpn can't be looked up" in broken.words


def test_what_is_no_address_is_not_shown() -> None:
    """Of a file that anybody's program writes."""
    (found,) = judge_resolver(ResolverFacts(servers=("fe80::1%eth0", "\x1b[2J")))
    assert found.words.startswith("this machine asks fe80::1%eth0. ")


def test_tunnels_with_a_name_to_look_up(tmp_path: Path) -> None:
    """In the settings, in their `.conf`, and none where that can't be read."""
    conf = f"[Interface]\nPrivateKey = {KEY}\nAddress = 10.0.0.2\n[Peer]\nPublicKey = {KEY}\n"
    named = write(tmp_path, "named.conf", f"{conf}Endpoint = vpn.example.net:1\n")
    plain = write(tmp_path, "plain.conf", f"{conf}Endpoint = 192.0.2.1:1\n")
    peer = f'[[peer]]\npublic-key = "{KEY}"\nendpoint = "{{}}"\n'
    inline = f'address = ["10.0.0.2"]\ndns = []\nprivate-key-file = "/etc/key"\n{peer}'
    texts = {
        f'config = "{named}"': True,
        f'config = "{plain}"': False,
        f'config = "{plain}"\nendpoints = ["vpn.example.net:1"]': True,
        'config = "/nowhere.conf"': False,
        'config-credential = "vpn"': False,
        inline.format("vpn.example.net:1"): True,
        inline.format("192.0.2.1:1"): False,
    }
    assert [*texts.values()] == [bool([*named_endpoints([settings(each)])]) for each in texts]
