"""`wgconfine status --watch` on a terminal, in a pipe and as JSON."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import WEB, confine, wgconfine, write_service
from tests.terminal import Terminal

pytestmark = pytest.mark.container

ENTER, CLEAR, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[H\x1b[J", "\x1b[?25h\x1b[?1049l"
IDLE = "[Service]\nDynamicUser=yes\nExecStart=/bin/sleep infinity\n"
LOAD = f"nsenter --net=/run/netns/vpn sh -c 'for i in 1 2 3 4 5 6 7 8; do curl -s {WEB}; done'"
WATCH = "wgconfine status --watch=1"


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a tunnel that is up, and two services inside."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        write_service(world, "idle.service", IDLE)
        write_service(world, "other.service", IDLE)
        confine(world, "idle.service", "other.service")
        world.machine.systemctl("start", "idle.service", "other.service")
        yield world


def frames(said: str) -> list[str]:
    """Give what was on the screen, one look after the other."""
    _, _, inside = said.partition(ENTER)
    return inside.partition(LEAVE)[0].split(CLEAR)[1:]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_it_is_drawn_in_place_until_ctrl_c(world: World) -> None:
    """On the terminal's other screen, with rates from the second look on; exit code 0."""
    terminal = Terminal(world, WATCH, term="xterm")
    terminal.wait(CLEAR)
    world.machine.sh(LOAD)
    terminal.wait("/s received")
    terminal.interrupt("other.service")
    code, said = terminal.ended()
    first_look, *_, last = map(plain, frames(said))

    assert 0 == code
    assert "rate" not in first_look
    assert re.search(r"\n  rate \S+ \S+/s received, \S+ \S+/s sent, over \d+ s\r", last)
    assert last.startswith("wgconfine status, every 1 s, ")
    assert "\x1b[32mup\x1b[0m" in said
    rest = re.sub(r"\x1b\[[0-9;]*m", "", said.partition(ENTER)[2].replace(CLEAR, ""))
    assert "\x1b" not in rest.replace(LEAVE, "").partition("\x1b[?2004")[0]


def test_another_size_is_drawn_at_once_and_what_does_not_fit_is_said(world: World) -> None:
    """Long before the next look."""
    terminal = Terminal(world, "wgconfine status --watch=600", term="xterm")
    terminal.wait("other.service")
    terminal.resize(5, 60)
    terminal.wait("more lines: this terminal is too low")
    terminal.interrupt("")
    _, said = terminal.ended()

    assert 2 == len(frames(said))
    assert 5 == len(frames(said)[1].splitlines())


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("HUP", 129)])
def test_a_signal_ends_it_with_the_terminal_as_it_was(world: World, name: str, code: int) -> None:
    """Who waits for it sees which."""
    terminal = Terminal(world, WATCH, term="xterm")
    terminal.wait("other.service")
    world.machine.run("pkill", f"-{name}", "-f", f"[w]{WATCH[1:]}")  # not itself
    terminal.wait(LEAVE)

    assert code == terminal.ended()[0]


def test_ctrl_z_gives_the_terminal_back_for_a_while(world: World) -> None:
    """And `fg` draws it anew."""
    terminal = Terminal(world, "wgconfine status --watch=600", term="xterm")
    terminal.wait("other.service")
    terminal.suspend()
    terminal.go_on()
    terminal.wait(ENTER + CLEAR)
    terminal.interrupt("other.service")
    code, said = terminal.ended()

    assert 0 == code
    assert 2 == said.count(ENTER) == said.count(LEAVE)
    assert said.index(LEAVE) < said.index("Stopped") < said.rindex(ENTER)


@pytest.mark.parametrize("command", [WATCH, f"TERM=xterm {WATCH} | (trap '' INT; cat)"])
def test_where_nothing_can_be_drawn_block_follows_block(world: World, command: str) -> None:
    """On a terminal that knows lines alone, and in a pipe: without a control character."""
    terminal = Terminal(world, command)
    terminal.wait("other.service")
    terminal.interrupt("/s received")
    _, said = terminal.ended()
    shown = said.partition("; end\r\n")[2].partition("^C")[0]
    shown = re.sub(r"\x1b\[\?2004[hl]\r?", "", shown)

    assert 2 <= shown.count("vpn: up")
    assert 2 <= len(re.findall(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}\r$", shown, re.MULTILINE))
    assert [] == [each for each in shown if not each.isprintable() and each not in "\r\n"]


def test_json_is_one_object_a_line(world: World) -> None:
    """The first without rates."""
    command = "set +o pipefail; timeout 55 wgconfine status --watch=0.5 --json | head -n 2"
    one, two = map(json.loads, world.machine.sh(command).splitlines())

    assert one["tunnels"][0]["rate"] is None
    assert one.keys() == two.keys()
    assert 0 < two["tunnels"][0]["rate"]["seconds"] < 55


def test_what_can_not_be_seen_for_a_while_is_said_and_it_goes_on(world: World) -> None:
    """A tunnel that is gone in between; at the beginning that is an error."""
    machine = world.machine
    stranger = wgconfine(world, "status", "vpm", "--watch", check=False)
    assert (1, "vpm: there is no such tunnel\nThere are: vpn.\n") == (
        stranger.returncode,
        stranger.stderr,
    )
    machine.write("/etc/wgconfine/gone.toml", "enable = false\n" + machine.read(SETTINGS))
    terminal = Terminal(world, "wgconfine status gone --watch=1", term="xterm")
    terminal.wait("gone: ")
    machine.sh("mv /etc/wgconfine/gone.toml /root")
    terminal.wait("gone: there is no such tunnel")
    machine.sh("mv /root/gone.toml /etc/wgconfine")
    terminal.wait("down")
    machine.sh("rm /etc/wgconfine/gone.toml")
    terminal.interrupt("")

    assert 0 == terminal.ended()[0]


SETTINGS = "/etc/wgconfine/vpn.toml"
