"""The settings that `init` writes, and the words that it says."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from wgconfine.cli.introduction import next_steps, read_from, unfinished_words
from wgconfine.config.confcopy import copy_conf
from wgconfine.config.settings import parse_settings
from wgconfine.config.starter import Answers, starter_settings
from wgconfine.config.wgquick import parse
from wgconfine.model.settings import Settings, TunnelName, UnitName

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
BARE = Answers(
    name=TunnelName("home"),
    conf=PurePosixPath("/etc/wireguard/home.conf"),
)
FULL = Answers(
    name=TunnelName("vpn"),
    conf=PurePosixPath("/etc/wgconfine/vpn.conf"),
    services=tuple(map(UnitName, ("qbittorrent-nox@me.service", "a\\x2db.service"))),
    publish=("8080", "127.0.0.1:8081:9091"),
    dns=("10.64.0.1", "fd00::1"),
    offered=("10.64.0.1",),
    listen_port=51999,
)
CONF = f"""\
[Interface]
PrivateKey = {KEY}
Address = 10.66.0.2, fd66::2/128
PostUp = iptables -I OUTPUT ! -o %i -j REJECT
ListenPort = 51820
DNS = 10.64.0.1
[Peer]
PublicKey = {KEY}
AllowedIPs = 10.0.0.0/8
Endpoint = [2001:db8::1]:51820
[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 0.0.0.0/0
Endpoint = vpn.example.net:51820
"""


def read(answers: Answers) -> Settings:
    path = PurePosixPath(f"/etc/wgconfine/{answers.name}.toml")
    return parse_settings(answers.name, [(path, starter_settings(answers))])


def test_settings_with_everything(compare_text: Callable[[str, str], None]) -> None:
    """What was answered, with comments that teach; it is read back as it was meant."""
    settings = read(FULL)

    assert FULL.services == settings.services
    assert 2 == len(settings.publish)
    assert FULL.dns == tuple(map(str, settings.dns or ()))
    compare_text("starter-full.toml", starter_settings(FULL))


def test_settings_with_a_conf_alone(compare_text: Callable[[str, str], None]) -> None:
    """Each other line is there as a comment."""
    settings = read(BARE)

    assert () == settings.services
    assert settings.dns is None
    compare_text("starter-bare.toml", starter_settings(BARE))


def test_every_line_that_is_offered_is_right() -> None:
    """Without its `# ` it is the line that a person wants."""
    offers = re.compile("^# (publish|dns|inbound|listen-port) =", re.MULTILINE)
    text = offers.sub(r"\1 =", starter_settings(BARE))

    settings = parse_settings("home", [(PurePosixPath("/etc/wgconfine/home.toml"), text)])

    assert 1 == len(settings.publish)
    assert settings.inbound.tcp
    assert settings.dns
    assert 51820 == settings.listen_port


def test_the_words(compare_text: Callable[[str, str], None]) -> None:
    """What was read, what is next, and what there is where it ended early; no secret in it."""
    copy = copy_conf(CONF)
    conf = parse(copy.text, "vpn.conf")
    said = [
        *read_from("/root/vpn.conf", conf, copy.left_out),
        *next_steps(read(FULL)),
        *next_steps(read(BARE)),
        *unfinished_words(read(FULL)),
        *unfinished_words(read(BARE)),
    ]

    assert not [line for line in said if KEY in line]
    compare_text("init-words.txt", "\n".join(said) + "\n")
