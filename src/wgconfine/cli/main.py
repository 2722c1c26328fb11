"""The command line itself: arguments in, exit code out, and every error as one clear message.

What not every command needs is imported where it is used: `--help` and `status` are typed often.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
from functools import cache

from wgconfine import __version__
from wgconfine.cli.commands import COMMANDS
from wgconfine.cli.dialogue import complain, silence, width
from wgconfine.config.escape import escape
from wgconfine.model.errors import ExitCode, Refused, WgconfineError

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path, PurePosixPath
    from typing import Any, NoReturn

    Add = Callable[..., "Parser | Unasked"]
    """`add_parser` of argparse's subparsers, for what is asked for."""

__all__ = ["build_parser", "main"]

# ruff: noqa: PLC0415 — see above

EPILOG = """\
exit codes: 0 fine, 1 failed, 2 usage or refused, 3 not confined, 4 needs root,
5 plan has changes, 6 not all could be checked, 7 LEAK, 70 internal error,
78 settings are wrong
"""

# What a write gets that has no file's name: files of ours are named where they are written.
OUTPUT_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


class Layout(argparse.HelpFormatter):
    """Help as wide as the terminal. argparse would ask shutil for that at every option."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"width": width() - 2, **options})

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Give `-n, --lines N` where Python before 3.13 has `-n N, --lines N`."""
        value = "" if action.nargs == 0 else f" {self._format_args(action, action.dest.upper())}"
        if not action.option_strings:
            return super()._format_action_invocation(action)
        return ", ".join(action.option_strings) + value


class Parser(argparse.ArgumentParser):
    """An argument parser whose usage errors fit on two lines, and which guesses no option.

    `remove vpn --rel` must not release anything. Parsers of subcommands are made by this class too.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(
            *arguments, **{"allow_abbrev": False, "formatter_class": Layout, **options}
        )
        self.color = False  # of Python 3.14 and later, which has colours of its own

    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.USAGE, f"{self.prog}: {escape(message)}\nSee {self.prog} --help.\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        complain(message or "")
        sys.stdout.flush()  # where what --help said can't be written, that is an error
        sys.exit(status)


def directory(text: str) -> Path:
    """Read a directory's name; the empty one, of a variable that was not set, is none."""
    from pathlib import Path

    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return Path(text)


def interpreter(text: str) -> PurePosixPath:
    """Read --python: a path on another machine."""
    from pathlib import PurePosixPath

    return PurePosixPath(text)


def tree(text: str) -> Path:
    """Read --root: whatever leads to / is this machine, and no tree that no systemd runs from."""
    from pathlib import Path

    root = directory(text)
    if not root.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a directory")
    return Path("/") if os.path.realpath(root) == "/" else root


def interval(text: str) -> float:
    """Read --watch; the name of a tunnel that comes after it is taken for its value."""
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of seconds; a tunnel is named before --watch"
        ) from None
    if not 0.5 <= seconds <= 86400:  # noqa: PLR2004 — a day; no number is neither
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0.5 to 86400 seconds")
    return seconds


SHARED: dict[str, dict[str, Any]] = {
    "--root": {
        "metavar": "DIR",
        "type": tree,
        "default": "/",
        "help": "work on the tree below DIR",
    },
    "--python": {
        "metavar": "PATH",
        "type": interpreter,
        "help": "interpreter for the units of a tree",
    },
    "--yes": {"action": "store_true", "help": "do not ask"},
}


MANY: dict[str, Any] = {"action": "append", "default": []}
"""An option that may be given more than once."""


class Unasked:
    """In the place of a parser that this call has no need of: making one takes its time."""

    def add_argument(self, *arguments: Any, **options: Any) -> None:
        pass


def build_parser(only: str | None = None) -> Parser:
    """Give the parser of the whole command line; completions and the man page are made from it.

    With `only`, that of one command.
    """
    parser = Parser(
        prog="wgconfine",
        description="Confine systemd services to a WireGuard tunnel, and prove it.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"wgconfine {__version__}")
    parser.add_argument(
        "--debug", action="store_true", help="show every program that is run, and internal errors"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, **options: Any) -> Parser | Unasked:
        asked = only in {None, name}
        return commands.add_parser(name, **options) if asked else Unasked()

    add_beginnings(add)
    add_commands(add)
    add_ways_out(add)
    add_views(add)
    return parser


@cache
def shared(*names: str) -> list[Parser]:
    """Give the options that several commands have, as argparse's `parents`."""
    parents = []
    for name in names:
        parent = Parser(add_help=False)
        parent.add_argument(name, **SHARED[name])
        parents.append(parent)
    return parents


def add_beginnings(add: Add) -> None:
    init = add("init", parents=shared("--yes"), help="make a tunnel from a provider's .conf")
    init.add_argument("conf", nargs="?", metavar="CONF", help="the file for wg-quick")
    init.add_argument("--name", metavar="NAME", help="of the tunnel")
    init.add_argument("--service", metavar="UNIT", **MANY, help="what shall run inside; repeatable")
    init.add_argument(
        "--publish", metavar="PORT", **MANY, help="what this machine can connect to; repeatable"
    )
    init.add_argument(
        "--dns", metavar="ADDRESS", **MANY, help="instead of DNS in the .conf, or: none; repeatable"
    )
    init.add_argument("--in-place", action="store_true", help="do not copy CONF to /etc/wgconfine")

    options = shared("--root", "--python", "--yes")
    confine = add("confine", parents=options, help="put services into a tunnel")
    confine.add_argument("name", metavar="NAME")
    confine.add_argument("units", nargs="*", metavar="UNIT")
    confine.add_argument("--publish", metavar="PORT", **MANY, help="a port of theirs; also alone")


def add_commands(add: Add) -> None:
    check = add("check", parents=shared("--root"), help="say all that is wrong in settings")
    check.add_argument("files", nargs="*", metavar="FILE", help="default: /etc/wgconfine/*.toml")

    plan = add("plan", parents=shared("--root", "--python"), help="say what apply would do")
    plan.add_argument("-v", "--verbose", action="store_true", help="show the text of each change")

    options = shared("--root", "--python", "--yes")
    apply = add("apply", parents=options, help="make the machine match the settings")
    apply.add_argument("--dry-run", action="store_true", help="the same as plan")
    apply.add_argument(
        "-v", "--verbose", action="store_true", help="say each file; with --dry-run its text"
    )


def add_exec(add: Add) -> None:
    execute = add(
        "exec",
        usage="%(prog)s [-h] NAME [--user USER] [--] [COMMAND [ARGUMENT ...]]",
        help="run a command, or a shell, inside a tunnel",
    )
    execute.add_argument("name", metavar="NAME")
    execute.add_argument("--user", metavar="USER", help="as whom; default: who has used sudo")
    # Taken out before: whatever it has is none of our options.
    execute.add_argument("words", nargs="*", metavar="COMMAND", help="default: the user's shell")


def add_ways_out(add: Add) -> None:
    options = shared("--root", "--python", "--yes")
    remove = add("remove", parents=options, help="take a tunnel away")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument(
        "--release", action="store_true", help="let its services run in the open again"
    )
    remove.add_argument(
        "--purge", action="store_true", help="delete its settings too, and keys in /etc/wgconfine"
    )

    release = add("release", parents=options, help="let services run in the open again")
    release.add_argument("units", nargs="+", metavar="UNIT")


def add_views(add: Add) -> None:
    options = shared("--root", "--python")
    render = add("render", parents=options, help="write the files of apply somewhere else")
    render.add_argument("--output", metavar="DIR", type=directory, required=True)

    status = add("status", help="show tunnels and services as they are")
    status.add_argument("names", nargs="*", metavar="NAME")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.add_argument(
        "--watch",
        metavar="SECONDS",
        type=interval,
        nargs="?",
        const=2.0,
        help="again and again, every 2 s or as said, until Ctrl-C",
    )

    verify = add("verify", help="prove the confinement on the running system")
    verify.add_argument("names", nargs="*", metavar="NAME")
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    verify.add_argument("-v", "--verbose", action="store_true", help="list every check")
    verify.add_argument(
        "--compare", metavar="URL", help="ask a site which address it sees, inside and outside"
    )
    # What wgconfine-verify@NAME.service runs: for nobody who looks on.
    verify.add_argument("--periodic", action="store_true", help=argparse.SUPPRESS)

    doctor = add("doctor", parents=shared("--yes"), help="say what of this machine will not work")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.add_argument("--fix", action="store_true", help="mend what is wgconfine's own")

    add_exec(add)
    add_logs(add)


def add_logs(add: Add) -> None:
    metrics = add("metrics", help="print what a monitoring system should know")
    metrics.add_argument(
        "--textfile", metavar="FILE", type=directory, help="write it for node_exporter instead"
    )

    logs = add("logs", help="show the journal of a tunnel and its services")
    logs.add_argument("name", metavar="NAME")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is new")
    logs.add_argument("-n", "--lines", metavar="N", help="the last N lines alone, or all")
    logs.add_argument("-b", "--boot", action="store_true", help="since the machine has started")
    logs.add_argument("-S", "--since", metavar="TIME", help="as journalctl(1) has it")
    logs.add_argument("-U", "--until", metavar="TIME", help="as journalctl(1) has it")


def refuse_interpreter(arguments: argparse.Namespace) -> None:
    """Raise Refused where --python is given for this machine; `render` is for another always."""
    given = getattr(arguments, "python", None) is not None and arguments.command != "render"
    if given and str(arguments.root) == "/":
        raise Refused(
            "--python is for trees (--root, render): "
            "the units of this machine run the interpreter that runs this command. Leave it out."
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code (model/errors.py has the table)."""
    arguments = None
    try:
        prepare_streams()
        words, said = without_said(sys.argv[1:] if argv is None else argv)
        # Whatever else comes first may be about all commands.
        command = next((each for each in words if each != "--debug"), None)
        arguments = parsed(build_parser(command if command in COMMANDS else None), words)
        arguments.words = said
        refuse_interpreter(arguments)
        code = perform(arguments)
        sys.stdout.flush()
    except WgconfineError as error:
        complain(str(error))
        return error.exit_code
    except OSError as error:
        return report_system(error)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one is no reason for another end
        complain("interrupted")
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 — the one place where nothing may pass
        return report_internal(error, show=arguments is not None and arguments.debug)
    return code


def parsed(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; what no option is called is said with the help of its own command."""
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        parser.prog += f" {arguments.command}"
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments


def without_said(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Give the command line without the command that `exec` is to run, and that one.

    It begins with the first word after the tunnel's name that is no option, or after `--`: whatever
    comes then is for it and not for us.
    """
    first = next((place for place, each in enumerate(words) if each != "--debug"), 0)
    if words[first : first + 1] != ["exec"]:
        return words, ()
    named, valued = False, False
    for place in range(first + 1, len(words)):
        word = words[place]
        if valued:
            valued = False
        elif word == "--user":
            valued = True
        elif word == "--" and named:
            return words[:place], words[place + 1 :]
        elif not word.startswith("-"):
            if named:
                return words[:place], words[place:]
            named = True
    return words, ()


def perform(arguments: argparse.Namespace) -> int:
    """Do what is asked for; with --debug each program that is run for it is said."""
    if not arguments.debug:
        return COMMANDS[arguments.command](arguments)
    from wgconfine.cli.debug import programs_shown

    with programs_shown():
        return COMMANDS[arguments.command](arguments)


def prepare_streams() -> None:
    """See to it that all three are there, and that what the locale lacks is no reason to fail.

    The number of a closed one would go to the next file that is opened, and our words into that.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 — standard error
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115 — a descriptor, to the end
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def report_system(error: OSError) -> ExitCode:
    """Say what the system refused, and to what."""
    if error.filename is None and error.errno in OUTPUT_ERRORS:
        return report_output(error)
    where = escape(str(error.filename or "system"))
    if isinstance(error, PermissionError):
        complain(f"{where}: {error.strerror}. Run it as root.")
        return ExitCode.NEEDS_ROOT
    complain(f"{where}: {error.strerror or error}.")
    return ExitCode.FAILED


def report_output(error: OSError) -> ExitCode:
    """Say why not all of the result could be written; who reads only its beginning knows that."""
    if error.errno != errno.EPIPE:
        complain(f"standard output: {error.strerror}.")
    silence(sys.stdout)
    return ExitCode.FAILED


def report_internal(error: Exception, *, show: bool) -> ExitCode:
    """Say one line and keep the rest in a file that only its owner reads."""
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    if show:
        complain(text)
    try:
        descriptor, path = tempfile.mkstemp(prefix="wgconfine-error-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123 — a descriptor
            file.write(text)
        more = f"see {path}"
    except OSError as failure:
        more = f"no report could be written ({failure.strerror}), --debug shows it"
    complain(f"Internal error: {type(error).__name__}. This is a defect of wgconfine; {more}.")
    return ExitCode.INTERNAL
