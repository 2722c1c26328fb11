"""`wgconfine exec NAME [COMMAND]`: run something inside a tunnel, confined as its services are."""

import os
import pwd
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PurePosixPath

from wgconfine.cli.dialogue import complain
from wgconfine.cli.named import tunnel_name
from wgconfine.cli.shells import PLACE, Shell, interactive, may_log_in
from wgconfine.config.escape import escape, quote
from wgconfine.config.words import name_tunnels
from wgconfine.model.errors import CannotExecute, ExitCode, NeedsRoot, OperationFailed, Refused
from wgconfine.model.names import TunnelName, UnitName
from wgconfine.model.settings import Settings
from wgconfine.model.state import judge
from wgconfine.model.tree import File
from wgconfine.plan.commandcheck import check_command, why_weaker
from wgconfine.plan.hardening import COMMAND_RIGHTS
from wgconfine.plan.unitdigest import without_comments
from wgconfine.render.command import COMMAND_REFUSAL, command_dropin
from wgconfine.render.places import command_dropin_path
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import load
from wgconfine.system.commands import (
    End,
    command_facts,
    new_unit,
    obstacle,
    prepared,
    run_unit,
    spawn_failure,
)
from wgconfine.system.descriptors import NAMES, on_terminal, why_not
from wgconfine.system.installed import LIVE
from wgconfine.system.sources import PLACE as SETTINGS
from wgconfine.system.sources import listed
from wgconfine.system.systemctl import RealSystemctl, systemd_version
from wgconfine.system.tree import read_installed
from wgconfine.system.unitstates import unit_states
from wgconfine.system.users import Account, find_account
from wgconfine.verify.recorded import settings_of_record

__all__ = ["calling_user", "environment_of", "exit_code", "is_one_line", "run_exec"]

BY_SIGNAL = 128
"""As shells have it: sh(1), "Exit status for commands"."""

NOT_EXECUTED = 126
"""As shells have it, too: there is such a program, and it can't be begun."""

KEPT = ("COLORTERM", "LANG", "NO_COLOR", "PATH", "TERM", "TZ")
"""What a command gets of the caller's environment, with LC_*: what is about terminal and language.

Not whatever leads to daemons of the host: the agent of ssh, the bus, a display.
"""

_RUN = PurePosixPath("/run")
_OF_RUN = tuple(
    _RUN / name for name in ("binfmt", "booted-system", "current-system", "wgconfine", "wrappers")
)
"""What of it is there inside: programs of NixOS's, and what render/service.py binds."""

_LONGEST = 131_071
"""Of one argument in bytes: MAX_ARG_STRLEN of execve(2), less the zero after it."""

_SYSTEMD_CODES = range(200, 250)
"""What systemd.exec(5) has for what fails before a program begins. Programs may end so, too."""


def run_exec(name: str, words: Sequence[str], *, user: str | None) -> int:
    """Run a command, or the user's shell, and give its exit code; 128 and more for a signal.

    Raises WgconfineError wherever it would not be confined: then nothing has run.
    """
    if os.geteuid() != 0:
        raise NeedsRoot("exec starts a unit of systemd's. Run it as root, or by sudo.")
    tunnel = tunnel_name(name)
    refuse_unconfined(applied(tunnel))
    refuse_stopped(tunnel)
    for number, each in enumerate(NAMES):
        if why := why_not(number):
            raise Refused(f"{each} is {why}. Lead it through a pipe: cat | wgconfine exec …")
    account = account_for(user or calling_user(os.environ))
    terminal = on_terminal()
    shell = chosen(words, account, tunnel, terminal=terminal)
    program = shell.argv[0]
    if not words:
        refuse_shell(account)
    refuse_program(program)
    where = starting_place(account, program)
    unit = new_unit(tunnel)
    options = [
        f"--description={escape(f'{PurePosixPath(program).name} in tunnel {tunnel}')}",
        # To systemd a name that is a number is one.
        f"--uid={account.uid if account.name.isdecimal() else account.name}",
        f"--working-directory={where}",
        f"--property=ExecCondition={COMMAND_REFUSAL}",
        f"--property=UMask={umask():04o}",
        *own_users(account),
        f"--nice={os.getpriority(os.PRIO_PROCESS, 0)}",
        *variables(tunnel, account, shell),
        "--",
        program,
        *map(literal, shell.argv[1:]),
    ]
    refuse_other_encodings(options)
    refuse_long(options)
    files = {f"{PLACE}/{path}": text for path, text in shell.files.items()}
    with prepared(unit, account, files):
        end = run_unit(unit, options, terminal=terminal)
    return told(end, tunnel, unit, program, account)


def applied(name: TunnelName) -> Settings:
    """Give the settings that are installed. Raises OperationFailed where there are none."""
    try:
        return settings_of_record(load(name))
    except (Failure, ValueError, KeyError, TypeError) as error:
        if not os.path.exists(f"/etc/wgconfine/{name}.json"):  # noqa: PTH110 — by name
            raise not_there(name) from None
        raise OperationFailed(name, str(error), "Run wgconfine apply") from error


def not_there(name: TunnelName) -> OperationFailed:
    """Say which there are; or of one that is declared who knows more of it."""
    if any(path.stem == name for path in listed(LIVE, SETTINGS)):
        hint = f"To see which: wgconfine status {name}"
        return OperationFailed(name, "it is not applied, or disabled", hint)
    records = (path.stem for path in read_installed(LIVE, (f"{SETTINGS}/*.json",)))
    return OperationFailed(name, "there is no such tunnel", name_tunnels(records))


def refuse_unconfined(settings: Settings) -> None:
    """Raise where what confines commands is not there, is another, or is undone by somebody."""
    path = command_dropin_path(settings.name)
    there = read_installed(LIVE, (str(path),)).get(path)
    # `render` does not know which systemd will read it.
    versions = (systemd_version(), 0)
    texts = [command_dropin(settings, COMMAND_RIGHTS, each).text for each in versions]
    if not isinstance(there, File):
        raise OperationFailed(str(path), "it is missing", "Run wgconfine apply")
    if without_comments(there.text) not in map(without_comments, texts):
        what = "it was edited, or is of another version"
        raise OperationFailed(str(path), what, "Run wgconfine apply")
    facts = command_facts(settings.name)
    if problems := check_command(facts):
        what = "be confined" if why_weaker(facts) else "run as it was asked to"
        raise OperationFailed("exec", f"it would not {what}", "\n".join(map(str, problems)))


def refuse_stopped(name: TunnelName) -> None:
    """Raise where the tunnel is not up: it would be started, which is for its owner to say."""
    units = (f"wgconfine@{name}.service", f"wgconfine-netns@{name}.service")
    for unit, state in unit_states(RealSystemctl(), units).items():
        if (word := judge(state)) != "running":
            hint = f"To see why: wgconfine status {name}"
            if word == "stopped":
                hint = f"Start it: systemctl start wgconfine@{name}.service"
            raise OperationFailed(name, f"{unit} is {word}", hint)


def calling_user(environment: Mapping[str, str]) -> str:
    """Give who has become root for this: by sudo (or run0), doas or pkexec, or root itself.

    Raises Refused where they say several.
    """
    names = ("SUDO_USER", "DOAS_USER", "PKEXEC_UID")
    said = {each: environment[each] for each in names if environment.get(each)}
    with suppress(KeyError, ValueError, OverflowError):  # no user, and no number
        said["PKEXEC_UID"] = pwd.getpwuid(int(said["PKEXEC_UID"])).pw_name
    if len({*said.values()}) > 1:  # one sets its own, and may let the caller have set another
        raise Refused(f"{' and '.join(said)} name several users. Say which: --user NAME.")
    return next(iter(said.values()), "root")


def account_for(user: str) -> Account:
    account = find_account(user)
    if account is None:
        raise Refused(f"There is no user {quote(user)}. Name one of this machine: --user NAME.")
    return account


def chosen(words: Sequence[str], account: Account, name: TunnelName, *, terminal: bool) -> Shell:
    """Give the command line: what was said, with the program's whole path, or a shell."""
    if words:
        return Shell(argv=(find_program(words[0]), *words[1:]))
    if not terminal:  # it reads its commands from standard input
        return Shell(argv=(account.shell,))
    return interactive(account.shell, name, root=account.uid == 0)


def find_program(word: str) -> str:
    """Give the whole path of a program, searched for as a shell does. Raises CannotExecute."""
    found = shutil.which(word, mode=os.F_OK)
    if not word or found is None:
        raise CannotExecute(f"{quote(word)}: there is no such program.", found=False)
    return os.path.abspath(found)  # noqa: PTH100 — links stay, programs go by their names


def refuse_shell(account: Account) -> None:
    """Raise where the user database has no shell for a user, or one that is not there."""
    if not may_log_in(account.shell):
        text = f"The shell of {account.name} is {account.shell}, which is none. Name a command."
        raise Refused(text)
    if not os.path.exists(account.shell):  # noqa: PTH110 — by name
        text = f"{quote(account.shell)}, the shell of {account.name}: there is no such program."
        raise CannotExecute(text, found=False)


def refuse_program(program: str) -> None:
    """Raise CannotExecute where a program, or what its first line names, is not there inside."""
    names = [program, *([line] if (line := interpreter(program)) else [])]
    for name in names:
        by = "" if name == program else f"{quote(program)} is run by "
        if not os.path.exists(name):  # noqa: PTH110 — by name
            raise CannotExecute(f"{by}{quote(name)}: there is no such program.", found=bool(by))
        if is_hidden(name):
            why = "the host's /run is not there inside. Copy it to another place."
            raise CannotExecute(f"{by}{quote(name)}: {why}", found=True)


def interpreter(program: str) -> str:
    """Give what the first line of a script names, execve(2); empty where there is no such line."""
    try:
        # A FIFO, which nobody executes, does not hold us up: it can't be read from a place.
        descriptor = os.open(program, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            first = os.pread(descriptor, 256, 0).partition(b"\n")[0]
        finally:
            os.close(descriptor)
    except OSError:  # its user may still execute it
        return ""
    words = first.removeprefix(b"#!").split(maxsplit=1)
    return os.fsdecode(words[0]) if first.startswith(b"#!") and words else ""


def is_hidden(program: str) -> bool:
    """Tell whether a program lies in the host's /run, by its name or by where that leads."""
    places = [PurePosixPath(each) for each in (program, os.path.realpath(program))]
    return any(
        place.is_relative_to(_RUN) and not any(map(place.is_relative_to, _OF_RUN))
        for place in places
    )


def starting_place(account: Account, program: str) -> str:
    """Give the caller's directory, or where its user can't enter that, its home or the top.

    The private /run has other directories than the host's. Raises CannotExecute where the user may
    not execute the program.
    """
    try:
        current = os.getcwd()  # noqa: PTH109 — as it is
    except OSError:
        current = ""
    usable = current and not PurePosixPath(current).is_relative_to(_RUN)
    places = [*([current] if usable else []), account.home, "/"]
    for place in places:
        found = obstacle(account, place, program) if is_one_line(place) else "directory"
        if found == "program":
            text = f"{quote(program)}: {account.name} may not execute it."
            raise CannotExecute(text, found=True)
        if not found:
            break
    if place != current:
        where = quote(current) if current else "The current directory"
        complain(f"{where} can't be entered by {account.name} inside: starting in {quote(place)}.")
    return place


def is_one_line(place: str) -> bool:
    """Tell whether a directory's name is whole, and all of one line of a unit's file.

    systemd writes it there as it is (252, 257 and 262), and reads it again at a daemon-reload:
    after a line feed stands another setting, and a backslash at the end takes one away.
    """
    return place.startswith("/") and place.isprintable() and not place.endswith((" ", "\\"))


def own_users(account: Account) -> list[str]:
    """Give the option that keeps a command out of processes of its user's that run outside.

    By their /proc/PID/root it would reach sockets of the host's, by ptrace(2) everything of theirs.
    Only a process in the same user namespace may; root's have rights outside that it lacks.
    """
    return ["--property=PrivateUsers=yes"] if account.uid else []


def umask() -> int:
    """Give the caller's, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def variables(name: TunnelName, account: Account, shell: Shell) -> list[str]:
    """Give the options for the environment. HOME, USER, LOGNAME and SHELL are set by systemd."""
    found = {**environment_of(os.environ), **shell.environment}
    found |= {
        "WGCONFINE_TUNNEL": name,
        "XDG_RUNTIME_DIR": f"/run/user/{account.uid}",
        # In /tmp it would find a server outside, which starts what it is asked for there.
        "TMUX_TMPDIR": f"/run/user/{account.uid}",
    }
    return [f"--setenv={key}={value}" for key, value in found.items()]


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Give what of the caller's goes along; of PATH the places that are whole paths.

    What language and terminal are called has no `/` and no `%`: sudo(8) is as strict. No
    LANGUAGE, which the guard does without: render/service.py.
    """
    kept = {key: each for key, each in environment.items() if key in KEPT or key.startswith("LC_")}
    path = [each for each in kept.pop("PATH", "").split(":") if each.startswith("/")]
    names = {key: each for key, each in kept.items() if key == "TZ" or not {*"/%"} & {*each}}
    return names | ({"PATH": ":".join(path)} if path else {})


def literal(word: str) -> str:
    """Give a word of the command line as systemd takes it for itself: it would put variables in."""
    return word.replace("$", "$$")


def refuse_other_encodings(options: Sequence[str]) -> None:
    """Raise Refused for what no message to systemd can hold: D-Bus has UTF-8 alone."""
    for each in options:
        try:
            each.encode()
        except UnicodeEncodeError:
            raise Refused(f"{quote(each)} is not UTF-8, which is all that systemd takes.") from None


def refuse_long(options: Sequence[str]) -> None:
    """Raise Refused for an argument that the kernel would not hand to systemd-run."""
    for each in options:
        if len(each.encode()) > _LONGEST:
            text = f"An argument ({quote(each[:20])}…) is too long: each may have 128 KiB"
            raise Refused(f"{text}, in which every $ counts twice.")


def told(end: End, name: TunnelName, unit: UnitName, program: str, account: Account) -> int:
    """Give the exit code, with a word on standard error for what the command itself can't say."""
    if end.status in _SYSTEMD_CODES and (why := spawn_failure(unit, account)):
        complain(f"{quote(program)} was not executed: {escape(why)}")
        code = NOT_EXECUTED
    elif end.known:
        code = exit_code(end)
    else:
        why = "How it ended is not known" if end.begun else "It was not started"
        complain(f"{why}: journalctl -u {quote(unit)}")
        code = ExitCode.FAILED
    if end.status is None and leaves(name):
        complain(f"{name}: the tunnel is stopped or restarted, and what ran inside has ended.")
    return code


def leaves(name: TunnelName) -> bool:
    """Tell whether the tunnel is down or on its way: what is bound to it is stopped before."""
    units = (f"wgconfine@{name}.service", f"wgconfine-netns@{name}.service")
    shown = RealSystemctl().show(units, ("ActiveState", "Job"))
    return any(
        each["ActiveState"] != "active" or each["Job"] not in {"", "0"} for each in shown.values()
    )


def exit_code(end: End) -> int:
    return end.status if end.status is not None else BY_SIGNAL + end.signal
