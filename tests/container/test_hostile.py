"""What people see of a machine on which everything that somebody else names is hostile."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.golden.test_screens import BAD, OURS
from tests.matrix import first
from tests.scenario import write_service
from tests.terminal import shown

pytestmark = pytest.mark.container

EVIL = "zqx\x1b]0;x\x07\x1b[31m\u202eb\x9b1m\u2066\u200b[bold]x\u0085vpn: confined.\x08"
SHOWN = r"zqx\x1b]0;x\x07\x1b[31m\u202eb\x9b1m\u2066\u200b[bold]x"
"""What a person has to see of it, wherever there is room for it."""
SHORT = "zqx\x1b[31m\u202e"
"""As the name of a process, which has 15 bytes."""
HIDDEN = "zqx\u202eb\u2066x\u200bxqz"
"""What journalctl(1) takes for text."""
PROGRAM = f"""\
import ctypes, os, socket, sys, time
ctypes.CDLL(None).prctl(15, {SHORT!r}.encode(), 0, 0, 0)
for port in sys.argv[1:2]:
    listening = socket.create_server(("", int(port)))
print({EVIL!r})
print("{HIDDEN}", flush=True)
os.write(1, b"zqx\\xff\\xfe\\x1b[2J\\n")
time.sleep(1e9)
"""
UNIT = f"""\
[Unit]
Description={EVIL}
[Service]
User=daemon
ExecStart=/usr/bin/python3 /srv/evil.py PORT "{EVIL}"
"""
PORTS = {"evil": "8081", "worse": "8082"}
CONF = "/root/se1.conf"
LATER = f"/etc/systemd/system/evil.service.d/zzz{EVIL}.conf"


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with two evil services that listen, and files for WireGuard and their names."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        conf = world.internet.provider_conf()
        world.machine.write(CONF, conf.replace("Address", f"# {EVIL}\nPostUp = {EVIL}\nAddress"))
        world.machine.write(f"/root/{EVIL}.conf", f"[Interface]\nAddress = {EVIL}\n{EVIL}\n")
        world.machine.write("/srv/evil.py", PROGRAM)
        for name, port in PORTS.items():
            write_service(world, f"{name}.service", UNIT.replace("PORT", port))
            world.machine.systemctl("start", f"{name}.service")
        for port in PORTS.values():  # `init` asks of those who listen
            world.machine.wait_for(
                lambda: f":{port} " in world.machine.sh("ss -Hltn"),  # noqa: B023 — is called at once
                f"somebody listens on {port}",
            )
        yield world


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """A command, with what is done before, what is answered, and foreign text that it shows."""

    command: str
    before: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    shows: str = ""


RESTART = "systemctl restart wgconfine@vpn"
GO_ON, RELEASE = ("Go on? [y/N]", "y"), ("Release? [y/N]", "y")
SCREENS = (
    Screen(
        command=f"wgconfine init {CONF} --name vpn",
        answers=(("Which services?", "evil"), ("Publish which?", "8081"), ("Do it? [y/N]", "y")),
        shows=f"1  evil.service  {SHOWN}",
    ),
    Screen(command="wgconfine init /root/zqx*.conf --name two", shows=f"/root/{SHOWN}"),
    Screen(command="wgconfine status"),
    Screen(
        command="wgconfine check",
        before="mkdir /etc/wgconfine/vpn.d; "
        """echo 'publish = ["8082"]' >/etc/wgconfine/vpn.d/a.toml""",
        shows=r"worse.service (zqx\x1b[31m\u202e, process ",
    ),
    Screen(
        command="wgconfine plan; wgconfine verify",
        before=f"rm /etc/wgconfine/vpn.d/a.toml; printf '[Service]\\nSlice=x.slice\\n' >'{LATER}'",
        shows=f"zzz{SHOWN}",
    ),
    Screen(command="wgconfine apply", before=f"rm '{LATER}'"),
    Screen(
        command="wgconfine apply; wgconfine status",
        before=f"echo 'AllowedIPs = {EVIL}' >>/etc/wgconfine/vpn.conf; {RESTART} || :",
        shows=f"'{SHOWN}",
    ),
    Screen(
        command="wgconfine apply; wgconfine status",
        before=f"sed -i '$d' /etc/wgconfine/vpn.conf; {RESTART}",
    ),
    Screen(command="wgconfine confine vpn worse", answers=(GO_ON,)),
    Screen(command="wgconfine plan -v; wgconfine verify -v; wgconfine metrics"),
    Screen(command="wgconfine release worse", answers=(RELEASE,)),
    Screen(command="wgconfine remove vpn --release --purge", answers=(RELEASE, GO_ON)),
)


def seen(world: World, screen: Screen) -> str:
    """Give what a command puts on a terminal that has colours."""
    if screen.before:
        world.machine.sh(f"{screen.before}\nsystemctl daemon-reload")
    return shown(world, screen.command, screen.answers, columns=200)


def doing_something(said: str) -> set[str]:
    return {each for each in said.replace("\r\n", "") if unicodedata.category(each) in BAD}


def test_nothing_that_others_wrote_does_anything_to_a_terminal(world: World) -> None:
    """From the first command to the last; and what they wrote is there to be read."""
    for screen in SCREENS:
        said = seen(world, screen)

        assert set() == doing_something(OURS.sub("", said)), screen.command
        assert screen.shows in said.replace("\r\n", " "), said


def test_the_journal_has_no_control_character(world: World) -> None:
    """journalctl(1) shows such messages as `blob data`, in colours of its own.

    What it takes for text is shown as it is, some of it invisible: docs/commands.md says so.
    """
    world.machine.systemctl("restart", "evil.service")
    world.machine.wait_for(lambda: HIDDEN in world.machine.journal("evil.service"), "it is said")
    command = "export SYSTEMD_PAGER=; wgconfine init /root/se1.conf --name vpn --service evil --yes"
    said = seen(world, Screen(command=f"{command}; wgconfine logs vpn"))
    left = re.sub(r"\x1b\[[0-9;:]*m", "", said)

    assert "blob data]" in left
    assert HIDDEN in left
    assert {*HIDDEN} >= doing_something(left)
