"""`wgconfine exec` with shells that people have, and tmux: packages that no other test needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.scenario import wgconfine, write_tunnel
from tests.terminal import Terminal

pytestmark = [pytest.mark.container, pytest.mark.long]

SHELLS = ("fish", "tmux", "zsh")


@pytest.fixture(scope="module")
def world(wheelhouse: Path) -> Iterator[World]:
    """A machine with a tunnel, and a person for each shell."""
    with boot_container("trixie", wheelhouse=wheelhouse, extra_packages=SHELLS) as world:
        for each in ("fish", "zsh", "bash"):
            world.machine.sh(f"useradd --create-home --shell /bin/{each} of-{each}")
        world.machine.write("/home/of-zsh/.zshrc", "PROMPT='zsh of %n> '\nMARK=read\n")
        world.machine.write("/home/of-zsh/.zshenv", "export ENVIRONMENT=read\n")
        write_tunnel(world)
        wgconfine(world, "apply")
        yield world


def shell(world: World, name: str) -> Terminal:
    command = f"TERM=xterm wgconfine exec vpn --user of-{name}"
    return Terminal(world, f"cd /home/of-{name}; {command}", columns=200)


def test_zsh(world: World) -> None:
    """The user's prompt, of a file that is found where it always is."""
    terminal = shell(world, "zsh")
    terminal.answer("(vpn) zsh of of-zsh> ", "echo $MARK-$ENVIRONMENT-$ZDOTDIR-; exit 3")
    terminal.wait("read-read-/home/of-zsh-")

    assert 3 == terminal.ended()[0]


def test_fish(world: World) -> None:
    """The usual prompt, with the name before it."""
    terminal = shell(world, "fish")
    terminal.wait("(vpn) ")
    terminal.answer("of-fish", "exit 3")

    assert 3 == terminal.ended()[0]


def test_tmux_finds_no_server_outside(world: World) -> None:
    """One that runs in the open would open its windows there. The control: outside it is found."""
    machine = world.machine
    machine.sh("su --login of-bash -c 'tmux new-session -d -s outside'")
    outside = machine.sh("su --login of-bash -c 'tmux list-sessions'")
    line = "tmux list-sessions; tmux new-session -d -s inside; tmux list-sessions"
    inside = wgconfine(world, "exec", "vpn", "--user", "of-bash", "sh", "-c", line)

    assert outside.startswith("outside:")
    assert inside.stdout.startswith("inside:")
    assert "outside" not in inside.stdout
