"""README's own blocks, in their order, as somebody new would try them: its commands and outputs."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests import guide
from tests.matrix import first

pytestmark = pytest.mark.container

README = (guide.TOP / "README.md").read_text(encoding="utf-8")
SET_UP = r"""
useradd --create-home --shell /usr/sbin/nologin torrent
mkdir -p /home/torrent/.config/qBittorrent
printf '[LegalNotice]\nAccepted=true\n' >/home/torrent/.config/qBittorrent/qBittorrent.conf
chown -R torrent: /home/torrent
systemctl start qbittorrent-nox@torrent
"""
PAGE = "curl -s -m 9 http://127.0.0.1:8080/ http://[::1]:8080/ | grep -c '<title>qBittorrent'"
MOST_SECONDS = 60


def pages_are_there(world: World) -> bool:
    """Whether both families give it: a client that has just started does not listen yet."""
    return world.machine.run("bash", "-c", PAGE, check=False).stdout.strip() == "2"


VARIES = (
    (r"\d+(\\\.\d+)?\\ (B|KiB|MiB)", r"\\S+ (B|KiB|MiB)"),
    (r"peer\\ \S+", r"peer \\S+"),
    (r"\d+", r"\\d+"),
)
"""What is another number, or another key, each time."""


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A fresh machine with a provider's file and a torrent client that runs in the open."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        prepare(world)
        yield world


def prepare(world: World) -> None:
    conf = world.internet.provider_conf()
    hook = "PostUp = iptables -I OUTPUT ! -o %i -j REJECT"
    world.machine.write("/root/mullvad-se1.conf", conf.replace("Address", f"{hook}\nAddress"))
    world.machine.sh(SET_UP)


def blocks() -> list[tuple[str, str]]:
    """Give those of the first screen: how to install it is below, and was done."""
    return guide.FENCE.findall(README.partition("\n## ")[0])


def pattern(line: str) -> re.Pattern[str]:
    text = re.escape(line)
    for what, by in VARIES:
        text = re.sub(what, by, text)
    return re.compile(text)


def compare(expected: tuple[str, ...], output: str) -> None:
    """Each line comes, in this order; only where `…` stands others may come between."""
    # Before systemd 255 the filters that are there imply NoNewPrivileges=: setuid is not open.
    lines = iter(output.replace("setuid, ", "").splitlines())
    loose = False
    for line in (each.replace("setuid, ", "") for each in expected):
        if line == "…":
            loose = True
            continue
        for said in lines:
            if pattern(line).fullmatch(said):
                break
            assert loose, f"{said!r} is not {line!r}"
        else:
            raise AssertionError(f"no line {line!r} in\n{output}")
        loose = False


def test_three_commands_from_the_conf_to_a_verified_service(world: World) -> None:
    """README's first block: in a minute, with the output that it shows; the page is there."""
    language, text = blocks()[0]
    commands = list(guide.commands(text))
    assert "console" == language
    assert 3 == len(commands)
    began = time.monotonic()
    outputs = [world.machine.sh(each.line, timeout=180) for each in commands]
    took = time.monotonic() - began
    for command, output in zip(commands, outputs, strict=True):
        compare(command.output, output)
    world.machine.wait_for(lambda: pages_are_there(world), "the page is there")
    assert took < MOST_SECONDS


def test_the_settings_are_a_change_that_apply_brings_about(world: World) -> None:
    """README's other blocks; then nothing leaves but by the tunnel."""
    (toml, settings), (console, text) = blocks()[1:]
    assert ["toml", "console"] == [toml, console]
    guide.write(world, settings)
    with world.capture_uplink() as uplink:
        for command in guide.commands(text):
            output = world.machine.sh(command.line, timeout=180)
            assert pattern(command.output[0]).fullmatch(output.splitlines()[0])
    assert () == uplink.traffic.foreign()
    world.machine.wait_for(lambda: pages_are_there(world), "the page is there")


def test_what_it_did_is_undone_by_the_command_that_it_shows(world: World) -> None:
    """The last line of the first block; then the client runs in the open, and its page is there."""
    line = next(each for each in README.splitlines() if each.endswith("undo all of this"))
    world.machine.sh(line.partition("  undo")[0].strip() + " --yes", timeout=120)
    assert "" == world.machine.sh("ls -A /etc/wgconfine")
    assert world.machine.is_active("qbittorrent-nox@torrent.service")
