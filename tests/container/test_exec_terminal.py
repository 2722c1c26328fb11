"""`wgconfine exec` on a terminal: the shell and its prompt, keys, sizes, and how it ends."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.executing import wgconfine_pid
from tests.matrix import ends
from tests.scenario import wgconfine, write_tunnel
from tests.terminal import Terminal

pytestmark = pytest.mark.container

PROMPT = "(vpn) alice@lab:~$ "


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a tunnel, and a person with a shell."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        world.machine.sh("useradd --create-home --shell /bin/bash alice")
        write_tunnel(world)
        wgconfine(world, "apply")
        yield world


def shell(world: World, user: str = "alice", command: str = "") -> Terminal:
    return Terminal(world, f"cd /home/alice; wgconfine exec vpn --user {user} {command}")


def running(world: World) -> str:
    listing = ("list-units", "--plain", "--no-legend", "wgconfine-exec-vpn-*")
    return world.machine.systemctl(*listing).stdout


def test_the_prompt_says_where_it_is(world: World) -> None:
    """The user's own prompt, as ~/.bashrc has it, with the tunnel before it; `exit` ends it."""
    terminal = shell(world)
    terminal.answer(PROMPT, "id -un; tty; stty size; echo term=$TERM")
    terminal.answer(PROMPT, "cd /tmp")
    terminal.answer("(vpn) alice@lab:/tmp$ ", "exit 5")
    code, said = terminal.ended()

    assert 5 == code
    for each in ("\r\nalice\r\n", "\r\n/dev/pts/", "\r\n50 100\r\n", "\r\nterm=dumb\r\n"):
        assert each in said


def test_roots_prompt(world: World) -> None:
    """Without another word it is the caller's shell."""
    terminal = Terminal(world, "wgconfine exec vpn")
    terminal.answer("(vpn) root@lab:~# ", "exit")

    assert 0 == terminal.ended()[0]


def test_a_shell_of_another_kind(world: World) -> None:
    """One that reads no file of its own takes its prompt from the environment."""
    world.machine.sh("useradd --shell /bin/dash bob")
    terminal = shell(world, "bob")
    terminal.answer("(vpn) $ ", "exit 3")

    assert 3 == terminal.ended()[0]


def test_keys_are_for_what_runs_in_the_foreground(world: World) -> None:
    """Ctrl-C ends a program and not the shell, Ctrl-Z stops one, and `fg` goes on with it."""
    terminal = shell(world)
    terminal.answer(PROMPT, """sh -c 'echo be""gun; exec sleep 100'""")
    terminal.interrupt("begun")
    terminal.answer(PROMPT, "echo code=$?; cat")
    terminal.answer("code=130", "one")
    terminal.stop("one\r\none")
    terminal.wait("Stopped")
    terminal.answer(PROMPT, "fg")
    terminal.answer("cat", "two")
    terminal.interrupt("two\r\ntwo")
    terminal.answer(PROMPT, "exit 0")

    assert 0 == terminal.ended()[0]


def test_the_size_follows(world: World) -> None:
    """A window that is resized is so inside, too."""
    terminal = shell(world)
    terminal.wait(PROMPT)
    terminal.resize(rows=30, columns=77)
    terminal.answer("", "until [ \"$(stty size)\" = '30 77' ]; do sleep 0.1; done; echo fo''llows")
    terminal.wait("follows")
    terminal.answer(PROMPT, "exit")

    assert 0 == terminal.ended()[0]


def test_a_command_reads_the_terminal(world: World) -> None:
    """What is typed, and the end of input."""
    terminal = shell(world, command="""-- sh -c 'echo "your na""me?"; read x; cat; exit ${#x}'""")
    terminal.answer("your name?", "four")
    terminal.answer("four", "echoed")
    terminal.end_of_input("echoed\r\nechoed")

    assert 4 == terminal.ended()[0]


def test_ctrl_c_ends_a_command(world: World) -> None:
    """With the exit code of a shell's."""
    terminal = shell(world, command="""-- sh -c 'echo "be""gun"; exec sleep 100'""")
    terminal.interrupt("begun")

    assert 130 == terminal.ended()[0]


def test_keys_reach_a_command_in_a_pipeline(world: World) -> None:
    """It has no terminal of its own there: Ctrl-Z stops it, `fg` goes on, Ctrl-C ends it."""
    terminal = Terminal(world, "bash --norc -i; true")
    program = """trap 'echo res""umed' CONT; echo be""gun; while :; do sleep 0.1; done"""
    line = f"wgconfine exec vpn -- sh -c {shlex.quote(program)} | cat"
    terminal.answer("# ", line)
    terminal.stop("begun")
    terminal.wait("Stopped")
    state = "systemctl show 'wgconfine-exec-vpn-*' -P MainPID | xargs ps -o stat="
    terminal.answer("# ", f"until {state} | grep ^T; do sleep 0.1; done; echo it-''stands")
    terminal.wait("it-stands")
    terminal.answer("# ", "fg")
    terminal.interrupt("resumed")
    terminal.answer("# ", "exit")
    terminal.ended()

    world.machine.wait_for(lambda: "" == running(world), "it has ended", 60)


def test_the_shell_ends_with_its_tunnel(world: World) -> None:
    """By SIGHUP, as when a line goes down, and with a word about why."""
    terminal = shell(world)
    terminal.wait(PROMPT)
    world.machine.systemctl("stop", "wgconfine@vpn.service")
    try:
        code, said = terminal.ended()
    finally:
        world.machine.systemctl("start", "wgconfine@vpn.service")

    assert 129 == code
    assert "vpn: the tunnel is stopped or restarted, and what ran inside has ended." in said


def test_it_ends_with_its_terminal(world: World) -> None:
    """A window that is closed, a connection that breaks: nothing is left running."""
    terminal = shell(world)
    terminal.answer(PROMPT, "echo be''gun; sleep 300")
    terminal.wait("begun")
    terminal.hang_up()

    world.machine.wait_for(lambda: "" == running(world), "it has ended", 60)


def test_killed_it_leaves_the_terminal(world: World) -> None:
    """systemd-run ends with it and reads no key any more; the shell inside is hung up."""
    terminal = shell(world)
    terminal.answer(PROMPT, "echo be''gun; sleep 300")
    terminal.wait("begun")
    world.machine.sh(f"kill -KILL {wgconfine_pid(world)}")
    find = ("pgrep", "-f", "^[^ ]*systemd-run --unit=wgconfine-exec-")

    world.machine.wait_for(lambda: "" == running(world), "it has ended", 60)
    world.machine.wait_for(
        lambda: "" == world.machine.run(*find, check=False).stdout, "systemd-run has ended"
    )
    assert 137 == terminal.ended()[0]


def test_nothing_is_written_but_by_the_command(world: World) -> None:
    """No title, colour or mark of systemd-run's, on a terminal that would take them."""
    terminal = Terminal(world, "TERM=xterm-256color wgconfine exec vpn -- echo 'on''ly this'")
    code, said = terminal.ended()

    assert 0 == code
    assert said.endswith("\r\nonly this\r\n")
    assert "\x1b" not in said
