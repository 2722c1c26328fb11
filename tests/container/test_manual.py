"""What is installed beside the program: man pages, and completions in real shells."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.guide import FENCE, commands
from tests.matrix import first
from tests.scenario import write_service, write_tunnel

pytestmark = pytest.mark.container

PACKAGES = ("bash-completion", "fish", "man-db", "mandoc", "zsh")
GUIDE = Path(__file__).parents[2] / "docs/install.md"
UNIT = r"odd\x2dname.service"
INSTANCE = "fetch@home.service"

# Types a line and the tabulator into a shell on a terminal of its own, then Enter with
# `printf %s\\n '…'` put around it, so that the shell says what its line has become.
TYPE = r"""
import os, pty, select, sys, time

def read(until, seconds=150.0):
    seen, end = b"", time.monotonic() + seconds
    while until not in seen:
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            sys.exit(f"no {until!r} in {seen!r}")
        seen += os.read(terminal, 4096)
    return seen

def settle():
    while select.select([terminal], [], [], 1.0)[0]:
        os.read(terminal, 4096)

line, prepare, shell = sys.argv[1], sys.argv[2], sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    os.environ.update(TERM="dumb", COLUMNS="500", HOME="/root")
    os.execvp(shell[0], shell)
os.write(terminal, prepare.encode() + b"\n")
read(b"READY>")
os.write(terminal, line.encode() + b"\t")
settle()
os.write(terminal, b"\x01said '\x05'\n")
said = read(b"<END>").partition(b"<BEGIN>")[2].partition(b"<END>")[0]
print(said.decode())
os.kill(child, 9)
"""
PROGRAM = """
import atexit, sys
from wgconfine.__main__ import main
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
main()
"""
SAID = "said() { printf '<BEGIN''>%s<''END>' \"$1\"; }; PS1='READ''Y>'"
SHELLS = {
    "bash": (f". /usr/share/bash-completion/bash_completion; {SAID}", "bash", "--norc", "-i"),
    "zsh": (f"autoload -Uz compinit; compinit -u -D; bindkey -e; {SAID}", "zsh", "-f", "-i"),
}


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with two tunnels and some services, installed as docs/install.md says."""
    with boot_container(request.param, wheelhouse=wheelhouse, extra_packages=PACKAGES) as world:
        for line in lines_of_guide():
            if line.startswith(("cp ", "ln ")) and "/bin/" not in line:
                world.machine.sh(line)
        for name in (UNIT, "fetch@.service"):
            write_service(world, name, "[Service]\nExecStart=/bin/sleep infinity\n")
        world.machine.systemctl("start", INSTANCE)
        write_tunnel(world, [UNIT.replace("\\", "\\\\"), INSTANCE], name="vpn")
        write_tunnel(world, name="my-lab", client=3)
        world.machine.run("wgconfine", "apply", timeout=180)
        yield world


def lines_of_guide() -> Iterator[str]:
    """Give each command of docs/install.md; a block within a list is indented."""
    text = GUIDE.read_text(encoding="utf-8").replace("\n  ", "\n")
    for language, block in FENCE.findall(text):
        if language == "console":
            yield from (command.line for command in commands(block))


def typed(world: World, shell: str, line: str) -> str:
    """Type a line and the tabulator; gives the line that stands there then."""
    prepare, *program = SHELLS[shell]
    return world.machine.run("python3", "-c", TYPE, line, prepare, *program).stdout.strip("\n")


def completed(world: World, line: str) -> list[str]:
    """Give what fish offers."""
    return [
        each.partition("\t")[0]
        for each in world.machine.run("fish", "-c", 'complete -C "$argv"', line).stdout.splitlines()
    ]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wgconfine ver", "wgconfine verify "),
        ("wgconfine verify --com", "wgconfine verify --compare "),
        ("wgconfine status m", "wgconfine status my-lab "),
        ("wgconfine remove my", "wgconfine remove my-lab "),
        ("wgconfine release fet", f"wgconfine release {INSTANCE} "),
        ("wgconfine release fetch@h", f"wgconfine release {INSTANCE} "),
        ("wgconfine render --output /us", "wgconfine render --output /usr/"),
    ],
)
def test_a_line_is_completed(world: World, shell: str, line: str, expected: str) -> None:
    """Commands, options, tunnels, confined units and directories, on a terminal."""
    # Of a single directory bash leaves the slash to the next tabulator.
    assert expected.rstrip("/ ") == typed(world, shell, line).rstrip("/ ")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_unit_with_a_backslash_is_quoted(world: World, shell: str) -> None:
    """So that the command gets the name as it is."""
    quoted = UNIT.replace("\\", "\\\\")
    assert f"wgconfine release {quoted}" == typed(world, shell, "wgconfine release odd").rstrip()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wgconfine ver", ["verify"]),
        ("wgconfine verify --com", ["--compare"]),
        ("wgconfine status ", ["my-lab", "vpn"]),
        ("wgconfine release ", [INSTANCE, UNIT]),
    ],
)
def test_fish_offers(world: World, line: str, expected: list[str]) -> None:
    """The same."""
    assert expected == sorted(completed(world, line))


@pytest.mark.parametrize("section", ["1", "5", "7"])
def test_a_page_is_found_and_shown(world: World, section: str) -> None:
    """By man(1), which has nothing to complain of."""
    name = "wgconfine.toml" if section == "5" else "wgconfine"
    environment = {"LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    shown = world.machine.run("man", "--warnings", section, name, env=environment)
    assert "" == shown.stderr
    assert f"{name}({section})" in shown.stdout.splitlines()[0].lower()


def test_the_pages_are_without_a_mistake(world: World) -> None:
    """By the judgement of mandoc(1)."""
    pages = "/usr/local/share/man/man?/wgconfine*"
    assert "" == world.machine.sh(f"mandoc -T lint -W warning {pages}")


@pytest.mark.parametrize("command", ["--help", "status --json"])
def test_what_is_typed_often_imports_little(world: World, command: str) -> None:
    """Neither what draws nor what reads settings, which are as they were applied."""
    program = (
        "import sys, atexit; from wgconfine.__main__ import main; sys.argv = ['x', *sys.argv[1:]]"
    )
    program += "; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
    argv = ("/opt/wgconfine/bin/python", "-c", program, *command.split())
    modules = world.machine.run(*argv).stderr.split()
    assert "wgconfine.cli.main" in modules
    assert set() == {"rich", "tomllib", "cattrs", "tomlkit", "prometheus_client"} & {*modules}


def test_debug_says_what_is_run(world: World) -> None:
    """On standard error; the result is the same, and no key is in it."""
    plain = world.machine.run("wgconfine", "verify", "--json", timeout=180)
    told = world.machine.run("wgconfine", "--debug", "verify", "--json", timeout=180)
    key = next(
        line.split(" = ")[1]
        for line in world.machine.read("/etc/wireguard/vpn.conf").splitlines()
        if line.startswith("PrivateKey")
    )

    assert "[$]" not in plain.stderr
    said = {line.split()[1] for line in told.stderr.splitlines() if line.startswith("[$]")}
    assert {"systemctl", "nsenter", "ip", "nft"} <= said
    assert key not in told.stderr + told.stdout
