"""`wgconfine confine` and `release` on a running machine, by words and by questions."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from tests.matrix import first
from tests.scenario import HOST, PROBE, TUNNEL, refused, seen_by_web, wgconfine, write_service
from tests.terminal import Terminal

pytestmark = pytest.mark.container

SECOND = "10.66.0.3"


@pytest.fixture(scope="module", params=first("trixie"))
def machine(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with two tunnels, and two services in neither."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        for name, client in (("one", 2), ("two", 3)):
            conf = world.internet.provider_conf(client=client)
            world.machine.write(f"/root/{name}.conf", conf)
            wgconfine(world, "init", f"/root/{name}.conf", "--name", name)
        write_service(world, "probe.service", PROBE)
        write_service(world, "other-probe.service", PROBE)
        yield world


@pytest.fixture
def world(machine: World) -> World:
    """The same with the first service confined to the first tunnel, where it runs."""
    if '"probe.service"' not in machine.machine.read("/etc/wgconfine/one.toml"):
        wgconfine(machine, "confine", "one", "probe")
    machine.machine.systemctl("start", "probe.service")
    return machine


def seen_from(world: World, address: str) -> bool:
    """Tell whether the web has been asked from this address in the last moments."""
    return any(each.client == address for each in world.internet.web_requests()[-20:])


def test_a_running_service_is_confined_in_one_step(world: World) -> None:
    """It ran in the open; now it is verified, and its line is in the settings."""
    done = wgconfine(world, "confine", "one", "other-probe", "--publish", "8080")

    assert "one: confined. " in done.stdout
    assert "other-probe.service" in world.machine.read("/etc/wgconfine/one.toml")
    assert 'publish = [\n  "8080",\n]' in world.machine.read("/etc/wgconfine/one.toml")
    assert 0 == wgconfine(world, "plan").returncode


def test_a_service_moves_over_without_being_open_in_between(world: World) -> None:
    """While it is asked without pause, no packet of it leaves by another way than the tunnels."""
    machine = world.machine
    machine.wait_for(lambda: seen_from(world, TUNNEL["v4"]), "it asks by the first tunnel")
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        done = wgconfine(world, "confine", "two", "probe.service")
        machine.wait_for(lambda: seen_from(world, SECOND), "it asks by the second tunnel")
        machine.run("sleep", "5")
    assert_confined(uplink.traffic, tunnel.traffic)
    assert "probe.service moves from one to two, stopped in between." in done.stderr
    assert "two: confined. " in done.stdout
    assert "one: confined. " in done.stdout
    assert '"probe.service"' not in machine.read("/etc/wgconfine/one.toml")
    assert "probe.service: confined" == refused(world, "probe.service")


RELEASED = (
    "probe.service: confined to one, and runs. It is stopped, and starts again in the open.",
    "In the open it uses the address and the resolver of this machine",
)
QUESTIONS = [
    ("confine two probe", ("probe.service moves from one to two",), "Go on? [y/N]"),
    ("release probe", RELEASED, "Release? [y/N]"),
    ("remove one --release", RELEASED, "Release? [y/N]"),
    ("remove one --release", ("Release? [y/N]", "stop probe.service"), "Go on? [y/N]"),
    ("remove one", ("stop probe.service",), "Go on? [y/N]"),
    ("apply", ("stop probe.service",), "Go on? [y/N]"),
    ("doctor --fix", ("This would be done:", "chmod 600 /etc/wgconfine/one.conf"), "Do it? [y/N]"),
]
"""A command, what is said before its question, and that; a question among the words is answered."""
REFUSALS = ("Ctrl-D", "empty")

STATE = """
find /etc/wgconfine /etc/systemd /usr/local/lib/systemd /run/wgconfine/lock -type f \
    -exec sha256sum {} + -printf '%m %p\n' | sort
systemctl show -p ActiveState,MainPID,InvocationID probe.service wgconfine@one wgconfine-netns@one
"""


@pytest.fixture
def unlisted(world: World, request: pytest.FixtureRequest) -> Iterator[World]:
    """The same, where each has something to ask: for `apply` the service is not in the settings any
    more, for `doctor --fix` others may read a secret."""
    path = "/etc/wgconfine/one.toml"
    text = world.machine.read(path)
    command = request.node.callspec.params["command"]
    if command == "apply":
        world.machine.write(path, re.sub('"probe.service",?', "", text))
    if command == "doctor --fix":
        world.machine.run("chmod", "644", "/etc/wgconfine/one.conf")
    yield world
    world.machine.write(path, text)
    world.machine.run("chmod", "600", "/etc/wgconfine/one.conf")


@pytest.mark.parametrize(
    "way", ["Ctrl-C", "rubbish", *(pytest.param(way, marks=pytest.mark.long) for way in REFUSALS)]
)
@pytest.mark.parametrize(("command", "words", "question"), QUESTIONS)
def test_no_question_has_changed_anything(
    unlisted: World, way: str, command: str, words: tuple[str, ...], question: str
) -> None:
    """It is told what would come, cut off or answered with anything but yes, and all is as before.

    A service goes on running inside, and its terminal is as it was.
    """
    before = unlisted.machine.sh(STATE)
    terminal = Terminal(unlisted, f"wgconfine {command}")
    for each in words:
        (terminal.wait if "?" not in each else lambda asked: terminal.answer(asked, "y"))(each)
    match way:
        case "Ctrl-C":
            terminal.interrupt(question)
        case "Ctrl-D":
            terminal.end_of_input(question)
        case _:
            terminal.answer(question, "" if way == "empty" else "y\x1b[A\x07\x9b31m yes?")
    code, said = terminal.ended()

    assert (1 if way == "Ctrl-C" else 2) == code
    assert "Nothing was changed." in said
    assert before == unlisted.machine.sh(STATE)
    assert "probe.service: confined" == refused(unlisted, "probe.service")


def test_a_release_by_a_pattern(world: World) -> None:
    """Of all that fit and are confined; from then on they are in the open.

    What they leave is verified, as after `confine`.
    """
    wgconfine(world, "confine", "two", "other-probe")
    world.machine.systemctl("start", "other-probe.service")
    terminal = Terminal(world, "wgconfine release '*probe'")
    terminal.answer("Release? [y/N]", "y")
    code, said = terminal.ended()

    assert 0 == code
    assert "released other-probe.service\r\nreleased probe.service\r\n" in said
    assert "two: confined. " in said
    for unit in ("probe.service", "other-probe.service"):
        world.machine.wait_for(
            lambda unit=unit: set(HOST.values()) <= seen_by_web(world, unit),  # type: ignore[misc]
            f"{unit} is in the open",
        )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("confine one", 2, "Name a service, or a port"),
        ("confine none probe", 2, "There is no tunnel 'none'. There are: one, two."),
        ("confine two prob", 2, "There is no service 'prob.service'. Did you mean 'probe.service'"),
        ("confine two dbus", 78, "dbus.service"),
        ("confine two probe --publish 53", 2, "--publish: port 53 inside is DNS"),
        (
            "release prob",
            1,
            (
                "prob.service: there is no such service, and wgconfine has not confined it\n"
                "Did you mean 'probe.service'?"
            ),
        ),
        ("release probe", 2, "To release probe.service without a terminal, say so: add --yes."),
        ("status none", 1, "none: there is no such tunnel\nThere are: one, two."),
        ("verify none", 1, "none: there is no such tunnel\nThere are: one, two."),
        ("logs none", 1, "none: there is no such tunnel\nThere are: one, two."),
        ("release x.timer", 2, "Name the service it starts: 'x.service'"),
    ],
)
def test_each_error_says_what_to_do(world: World, arguments: str, code: int, words: str) -> None:
    """And changes nothing."""
    settings = "cat /etc/wgconfine/*.toml"
    before = world.machine.sh(settings)
    done = wgconfine(world, *arguments.split(), check=False)

    assert code == done.returncode, done.stderr
    assert words in done.stderr
    assert before == world.machine.sh(settings)


def test_plan_without_root(world: World) -> None:
    """What only root sees is no step, and that it was not seen is said."""
    program = world.machine.sh("command -v wgconfine")
    done = world.machine.run("setpriv", "--reuid=nobody", "--clear-groups", program, "plan")

    assert "Nothing to do: the machine is as the settings say.\n" == done.stdout
    assert "Without root neither secret files nor what is in force are seen" in done.stderr


def test_logs_of_what_can_not_be_shown(world: World) -> None:
    """Settings that are wrong, and a machine without journalctl."""
    machine = world.machine
    machine.write("/etc/wgconfine/bad.toml", "mtu = 1\n")
    wrong = wgconfine(world, "logs", "bad", check=False)
    machine.run("rm", "/etc/wgconfine/bad.toml")
    program = machine.sh("command -v wgconfine")
    lacking = machine.run("env", "PATH=/nowhere", program, "logs", "one", check=False)

    assert [1, 1] == [wrong.returncode, lacking.returncode]
    assert (
        "bad: there is no such tunnel, or its settings are wrong\n"
        "See what is wrong: wgconfine check\n"
    ) == wrong.stderr
    assert "journalctl: it is not there\nInstall systemd\n" == lacking.stderr


def test_what_does_not_start_inside_stays_closed(world: World) -> None:
    """All the rest is done, and what to do is said."""
    text = (
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c '! ip link show wg0'\n"
    )
    write_service(world, "open.service", text)
    world.machine.systemctl("start", "open.service")
    done = wgconfine(world, "confine", "two", "open", check=False)
    closed = world.machine.show("open.service", "ActiveState")
    wgconfine(world, "release", "open", "--yes")

    assert 1 == done.returncode
    assert "steps did not work; what could not start stays closed" in done.stderr
    assert "Look at wgconfine status; run wgconfine apply again once it is mended." in done.stderr
    assert "failed" == closed
