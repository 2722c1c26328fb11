"""Every screen of the command line, printed from what is written here, with foreign text in it.

A screen is one row of `SCREENS`: whose it is, what it is called, and what prints it on a `Stage`.
"""

import io
import os
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any
from unittest.mock import patch

from tests.golden.test_doctor_words import FINDINGS
from tests.golden.test_starter import BARE, CONF, FULL, read
from tests.golden.test_status import STATUS
from tests.golden.test_verify_words import ALL, CLOSED, GREEN
from tests.unit.cli.conftest import Machine
from wgconfine.cli import commands, questions
from wgconfine.cli.dialogue import complain, confirm
from wgconfine.cli.doctor import mend
from wgconfine.cli.draft import Draft, read_publish, read_resolvers, read_source
from wgconfine.cli.examination import Examination
from wgconfine.cli.exec import account_for, find_program, refuse_other_encodings
from wgconfine.cli.init import show
from wgconfine.cli.introduction import next_steps, read_from, unfinished_words
from wgconfine.cli.main import build_parser, main
from wgconfine.cli.release import release_words
from wgconfine.cli.survey import survey
from wgconfine.cli.watch import Look, screenful
from wgconfine.config.confcopy import copy_conf
from wgconfine.config.places import place_of
from wgconfine.config.values import read_tunnel_name
from wgconfine.config.wgquick import parse
from wgconfine.doctor.ours import Loose
from wgconfine.model.errors import WgconfineError
from wgconfine.model.settings import UnitName
from wgconfine.model.verify import Verification
from wgconfine.plan.steps import Action, UnitStep
from wgconfine.report import doctor, status, verify
from wgconfine.report.metrics import Seen, as_metrics
from wgconfine.verify.compare import judge_exits

__all__ = ["SCREENS", "Screen", "Stage", "spoiled"]

PYTHON = ("--python", "/usr/bin/python3")
ROWS = {60: 16, 80: 24, 120: 50}
SETTINGS = """\
config = "/etc/wireguard/vpn.conf"
services = ["web.service"]
publish = ["8080"]
"""
WEB = """\
[Unit]
Description=A page for everybody{0}
[Service]
User=daemon
ExecCondition=/usr/bin/test -n "everybody{0}"
ExecStart=/usr/bin/web
"""
NEEDY = """\
[Service]
Type=dbus
BusName=org.example.Needy
ExecStart=/usr/bin/needy "{0}"
"""


class Terminal(io.StringIO):
    """What a person would see."""

    def isatty(self) -> bool:
        return True


class Stage:
    """A terminal of some width, and a tree of files with foreign text in all that may have it."""

    def __init__(self, root: Path, width: int, foreign: str = "", *, colour: bool = False) -> None:
        self.tree, self.width, self.foreign, self.colour = Machine(root), width, foreign, colour
        self.write("/etc/wgconfine/vpn.toml", f"# Mine{foreign}\n{SETTINGS}")
        self.unit("web.service", WEB)
        self.unit("mail.service", "[Service]\nExecStart=/usr/bin/mail '{0}'\n")

    def unit(self, name: str, text: str) -> None:
        self.write(f"/usr/lib/systemd/system/{name}", text.format(self.foreign))

    def write(self, place: str, text: str) -> Path:
        """Write a file: of bytes, of which some may be no characters."""
        path = self.tree.path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        return path

    def seen(self, show: Callable[["Stage"], None], answers: str = "") -> str:
        """Give what is on the terminal, both streams in their order, with what was typed."""
        terminal = Terminal()
        environment = {"COLUMNS": str(self.width), "TERM": "xterm"}
        environment |= {} if self.colour else {"NO_COLOR": "1"}
        with (
            patch.dict(os.environ, environment),
            patch.object(sys, "stdin", Terminal(answers)),
            redirect_stdout(terminal),
            redirect_stderr(terminal),
        ):
            show(self)
        return terminal.getvalue().replace(os.fspath(self.tree.root), "/TREE")

    def run(self, command: str, *arguments: str) -> None:
        """Run a command on the tree."""
        python = () if command == "check" else PYTHON
        run(command, "--root", os.fspath(self.tree.root), *python, *arguments)


def run(*arguments: str) -> None:
    with suppress(SystemExit):  # of argparse
        main(arguments)


def spoiled(value: Any, foreign: str) -> Any:
    """Give a value with foreign text at the end of every text in it."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return value + foreign if value else value
    if isinstance(value, tuple):
        return tuple(spoiled(each, foreign) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {each.name: spoiled(getattr(value, each.name), foreign) for each in fields(value)}
        return replace(value, **changed)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """One screen: `answers` are what a person types; `shows` says that foreign text is on it."""

    command: str
    name: str
    show: Callable[[Stage], None]
    answers: str = ""
    shows: bool = True
    folds: bool = False


def status_words(stage: Stage) -> None:
    found = spoiled(STATUS, stage.foreign)
    print(status.as_text(found, width=stage.width, colour=stage.colour))


def watch(stage: Stage) -> None:
    found = replace(STATUS, tunnels=STATUS.tunnels[:1] + STATUS.tunnels[-1:])
    look = Look(status=spoiled(found, stage.foreign), said=(f"x.toml: {stage.foreign}",), at=0)
    size = os.terminal_size((stage.width, ROWS[stage.width]))
    head = "wgconfine status, every 2 s, 12:34:56"
    print(*screenful(look, head, size, width=stage.width, colour=stage.colour), sep="\n")


def watch_trouble(stage: Stage) -> None:
    look = Look(status=None, said=(f"systemctl show: it is away{stage.foreign}.",), at=0)
    size = os.terminal_size((stage.width, ROWS[stage.width]))
    print(*screenful(look, "(the time)", size, width=stage.width, colour=stage.colour), sep="\n")


def verify_words(stage: Stage, found: Sequence[Verification], *, verbose: bool = False) -> None:
    told = spoiled(tuple(found), stage.foreign), spoiled(CLOSED, stage.foreign)
    print(verify.as_text(*told, verbose=verbose, width=stage.width, colour=stage.colour))


def compared(stage: Stage) -> None:
    wrong = {"wrong": f"[Errno 113] No route to host{stage.foreign}"}
    inside = {"4": {"seen": "203.0.113.7"}, "6": wrong}
    checks = judge_exits(inside, {"4": {"seen": "203.0.113.7"}, "6": wrong})
    verify_words(stage, [Verification(tunnel="vpn", checks=tuple(checks))])


def doctor_words(stage: Stage) -> None:
    found = spoiled(FINDINGS, stage.foreign)
    print(doctor.as_text(found, width=stage.width, colour=stage.colour))


def doctor_fix(stage: Stage) -> None:
    """Say what would be done, and be told not to."""
    path = PurePosixPath(f"/etc/wgconfine/vpn{stage.foreign}.conf")
    loose = (Loose(path=path, secret=True),)
    stage.write("/etc/wgconfine/vpn.toml", SETTINGS)
    found = survey(stage.tree.root, python=PurePosixPath("/usr/bin/python3"))
    steps = (UnitStep(action=Action.START, units=(f"wgconfine-tick.timer{stage.foreign}",)),)
    try:
        mend(Examination(findings=(), loose=loose, found=replace(found, steps=steps)), yes=False)
    except WgconfineError as error:
        complain(str(error))


def exec_refusals(stage: Stage) -> None:
    """Say why nothing was run; what is run has the terminal for itself."""
    for refuse in (
        lambda: account_for(f"stranger{stage.foreign}"),
        lambda: find_program(f"no-such-program{stage.foreign}"),
        lambda: refuse_other_encodings([f"--setenv=X=\udcff{stage.foreign}"]),
    ):
        try:
            refuse()
        except WgconfineError as error:
            complain(str(error))


def metrics(stage: Stage) -> None:
    found = spoiled(replace(STATUS, tunnels=STATUS.tunnels[-1:]), stage.foreign)
    restarts = {found.tunnels[0].services[0].unit: 3}
    print(as_metrics(Seen(status=found, restarts=restarts), openmetrics=True), end="")


def init_dialogue(stage: Stage) -> None:
    """Ask everything, as `init` does, with what was found in one machine or another."""
    (stage.tree.root / "a file").touch()
    copy = copy_conf(CONF)
    conf = parse(copy.text, "vpn.conf")
    web, mail = UnitName("web.service"), UnitName("mail.service")
    questions.ask_conf([Path(f"/root/se1{stage.foreign}.conf"), stage.tree.root / "a file"])
    place = place_of(PurePosixPath(f"/root/se1{stage.foreign}.conf"))
    complain(*read_from(place, conf, copy.left_out))
    questions.ask_name(f"se1{stage.foreign}", read_tunnel_name)
    questions.ask_resolvers(read_resolvers)
    questions.ask_services(
        {web: f"A page for everybody{stage.foreign}", mail: mail},
        lambda words: tuple(map(UnitName, words)),
    )
    questions.ask_ports({8080: web}, read_publish)


def init_end(stage: Stage) -> None:
    """Show what will be done, have it confirmed, and say what may be done next."""
    stage.write("/etc/wgconfine/vpn.toml", SETTINGS)
    draft = Draft(settings=read(FULL), text="", conf=FULL.conf, data=CONF.encode())
    steps = survey(stage.tree.root, python=PurePosixPath("/usr/bin/python3")).steps
    why = f"it runs in the open{stage.foreign}"
    show(draft, (UnitStep(action=Action.STOP, units=("web.service",), why=why), *steps))
    confirm("Do it?")
    verify_words(stage, [GREEN])
    print(*next_steps(read(FULL)), sep="\n")
    complain(*unfinished_words(read(BARE)))


def init_conf_with_mistakes(stage: Stage) -> None:
    """Refuse a file: as `apply` does of a tunnel's own."""
    text = f"[Interface]\nPrivateKey = x{stage.foreign}\nAddress = 10.0.0.300{stage.foreign}\n"
    text += f"Post{stage.foreign} = 1\nPostUp = rm{stage.foreign}\n{stage.foreign}\n"
    refused(stage.write("/root/se1.conf", text))


def refused(path: Path) -> None:
    try:
        read_source(path, in_place=False)
    except WgconfineError as error:
        complain(str(error))


def no_conf(stage: Stage) -> None:
    refused(Path(f"/none/se1{stage.foreign}.conf"))


def check_problems(stage: Stage) -> None:
    stage.unit("needy.service", NEEDY)
    text = (
        f'config = "/etc/wireguard/x.conf"\nmut = "{stage.foreign}"\n'
        f'services = ["needy.service", "web{stage.foreign}.service"]\ndns = ["{stage.foreign}"]\n'
    )
    stage.write("/etc/wgconfine/vpn.toml", text)
    stage.write("/etc/wgconfine/Not a name.toml", "")
    stage.run("check")


def check_unit(stage: Stage) -> None:
    stage.unit("web.service", NEEDY + "RootImage=/var/lib/{0}\nPAMName={0}\n")
    stage.run("check")


def release_dialogue(stage: Stage) -> None:
    web, ghost = UnitName("web.service"), UnitName("ghost.service")
    complain(*release_words([web, ghost], {web: read(FULL)}, [web]))
    stage.run("apply")
    stage.run("release", "web")


def applied(*commands: Sequence[str]) -> Callable[[Stage], None]:
    """Give what runs commands on a tree to which the settings were applied."""

    def show(stage: Stage) -> None:
        with redirect_stdout(Terminal()):
            stage.run("apply")
        for command in commands:
            stage.run(*command)

    return show


def plain(*commands: Sequence[str]) -> Callable[[Stage], None]:
    def show(stage: Stage) -> None:
        for command in commands:
            stage.run(*command)

    return show


def render(stage: Stage) -> None:
    stage.run("render", "--output", os.fspath(stage.tree.root / "output"))


def said(*arguments: str) -> Callable[[Stage], None]:
    """Give what runs a command with foreign text at the end of its words."""

    def show(stage: Stage) -> None:
        run(*arguments[:-1], arguments[-1] + stage.foreign)

    return show


def on_tree(command: str, *arguments: str) -> Callable[[Stage], None]:
    """Give what does the same on the tree."""

    def show(stage: Stage) -> None:
        stage.run(command, *arguments[:-1], arguments[-1] + stage.foreign)

    return show


def failing(error: Callable[[str], Exception]) -> Callable[[Stage], None]:
    """Give what runs a command that meets an error which nothing foresees."""

    def show(stage: Stage) -> None:
        def raising(_: object) -> None:
            raise error(stage.foreign)

        with (
            patch.dict(commands.COMMANDS, {"status": raising}),
            patch("tempfile.mkstemp", side_effect=OSError(28, "No space left on device")),
        ):
            run("status")

    return show


def parsers() -> Iterator[tuple[str, ArgumentParser]]:
    parser = build_parser()
    yield "", parser
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            yield from action.choices.items()


def helping(name: str) -> Screen:
    arguments = (*([name] if name else []), "--help")
    return Screen(
        command=name,
        name=f"help-{name}" if name else "help",
        show=lambda _: run(*arguments),
        shows=False,
        folds=True,
    )


VERIFY = "verify"
SCREENS = (
    Screen(command="status", name="status", show=status_words, folds=True),
    Screen(command="status", name="watch", show=watch, folds=True),
    Screen(command="status", name="watch-trouble", show=watch_trouble),
    Screen(command="status", name="status-no-such-tunnel", show=said("status", "--watch=")),
    Screen(command=VERIFY, name=VERIFY, show=lambda stage: verify_words(stage, ALL), folds=True),
    Screen(
        command=VERIFY,
        name="verify-verbose",
        show=lambda stage: verify_words(stage, ALL, verbose=True),
        folds=True,
    ),
    Screen(command=VERIFY, name="verify-compare", show=compared, folds=True),
    Screen(command=VERIFY, name="verify-url", show=said(VERIFY, "--compare", "gopher://x/")),
    Screen(command="doctor", name="doctor", show=doctor_words, folds=True),
    Screen(command="doctor", name="doctor-fix", show=doctor_fix, answers="n\n"),
    Screen(command="exec", name="exec", show=exec_refusals),
    Screen(command="metrics", name="metrics", show=metrics),
    Screen(command="logs", name="logs-no-name", show=said("logs", "Vpn")),
    Screen(
        command="init",
        name="init-dialogue",
        show=init_dialogue,
        answers="3\n2\nNot a name\nvpn\n\nx\n10.64.0.1\n1 mail\n0\n8080\n",
    ),
    Screen(command="init", name="init-end", show=init_end, answers="y\n", folds=True),
    Screen(command="init", name="init-mistakes", show=init_conf_with_mistakes),
    Screen(command="init", name="init-no-conf", show=no_conf),
    Screen(command="check", name="check", show=plain(["check"]), shows=False),
    Screen(command="check", name="check-problems", show=check_problems),
    Screen(command="check", name="check-unit", show=check_unit),
    Screen(command="check", name="check-file", show=said("check", "/root/x")),
    Screen(command="plan", name="plan-tree", show=plain(["plan"]), shows=False),
    Screen(command="plan", name="plan-verbose", show=plain(["plan", "-v"])),
    Screen(command="plan", name="plan-nothing", show=applied(["plan"]), shows=False),
    Screen(command="apply", name="apply", show=plain(["apply"], ["apply"]), shows=False),
    Screen(
        command="confine",
        name="confine",
        show=applied(["confine", "vpn", "mail", "--publish", "25"], ["confine", "vpn", "mail"]),
        shows=False,
    ),
    Screen(command="confine", name="confine-nothing", show=on_tree("confine", "vpn", "mial")),
    Screen(command="release", name="release", show=release_dialogue, answers="y\n", shows=False),
    Screen(
        command="release",
        name="release-no",
        show=applied(["release", "web"]),
        answers="n\n",
        shows=False,
    ),
    Screen(command="release", name="release-nothing", show=on_tree("release", "wep")),
    Screen(
        command="remove",
        name="remove",
        show=applied(["remove", "vpn"], ["plan"], ["release", "web", "--yes"]),
        shows=False,
    ),
    Screen(
        command="remove",
        name="remove-everything",
        show=applied(["remove", "vpn", "--release", "--purge"]),
        answers="y\n",
        shows=False,
    ),
    Screen(command="remove", name="remove-nothing", show=on_tree("remove", "vpm")),
    Screen(command="render", name="render-tree", show=render, shows=False),
    Screen(command="", name="error-command", show=said("stauts")),
    Screen(command="", name="error-option", show=said("status", "--jsno")),
    Screen(command="", name="error-python", show=said("plan", "--python", "/x"), shows=False),
    Screen(
        command="",
        name="error-system",
        show=failing(lambda text: OSError(13, "Permission denied", f"/root/x{text}")),
    ),
    Screen(command="", name="error-internal", show=failing(ValueError), shows=False),
    *(helping(name) for name, _ in parsers()),
)
"""What each prints is compared with a file, and looked through for what hostile text may do."""
