"""Commands of `wgconfine exec`: which run, and to start one, hand signals on and hear its end."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from wgconfine.model.errors import OperationFailed
from wgconfine.model.names import TunnelName, UnitName
from wgconfine.model.units import UnitFacts
from wgconfine.render.places import COMMANDS, command_dropin_path, command_prefix
from wgconfine.runtime import paths, resolver
from wgconfine.runtime.process import SEARCH, find
from wgconfine.system.aside import Aside, Unanswered
from wgconfine.system.rooted import RootedFiles
from wgconfine.system.systemctl import RealSystemctl, send_signal
from wgconfine.system.transient import is_loaded
from wgconfine.system.unitsearch import UnitSearch
from wgconfine.system.users import Account

__all__ = [
    "End",
    "command_facts",
    "new_unit",
    "obstacle",
    "prepared",
    "run_unit",
    "spawn_failure",
    "sweep_commands",
]

_LOOK_SECONDS = 10.0
_SPAWN_FAILED = "641257651c1b4ec9a8624d7a40a9e1e7"
"""SD_MESSAGE_SPAWN_FAILED of sd-messages.h."""
_TO_EVERYBODY = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
"""What a terminal sends to all that run in its foreground (tty(4)); the others are for one."""
_TO_ONE = frozenset({signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2})

# No TERM, so that systemd-run writes no title and no marks of its own on the terminal (258).
_ENVIRONMENT = {"PATH": ":".join(SEARCH), "LC_ALL": "C", "SYSTEMD_ADJUST_TERMINAL_TITLE": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a command ended: by `status`, or by `signal`, which is 0 then.

    `begun` says that it was let in: what confines it was in force.
    """

    begun: bool = False
    status: int | None = None
    signal: int = 0

    @property
    def known(self) -> bool:
        return self.status is not None or self.signal > 0


def new_unit(name: TunnelName) -> UnitName:
    """Give the name of a unit for one command: by our process one sees whose it is."""
    return UnitName(f"{command_prefix(name)}{os.getpid()}_{secrets.token_hex(3)}.service")


def command_facts(name: TunnelName) -> UnitFacts:
    """Give what others have set of a tunnel's commands, by drop-ins for all services or for these.

    Raises OperationFailed for a file that can't be read.
    """
    unit = UnitName(f"{command_prefix(name)}0.service")
    facts = UnitSearch(RootedFiles(Path("/"))).transient(unit, "[Service]\nExecStart=/bin/true\n")
    ours = command_dropin_path(name)
    return replace(
        facts,
        texts=tuple(each for each in facts.texts if each.path != ours),
        assignments=tuple(each for each in facts.assignments if each.path != ours),
        digest="",
    )


def obstacle(account: Account, directory: str, program: str) -> str:
    """Give what keeps a user from beginning there: "directory", "program", or nothing.

    By trying it as that user, in a child: rights are more than bits of a mode.
    """

    def look() -> str:
        os.initgroups(account.name, account.gid)
        os.setgid(account.gid)
        os.setuid(account.uid)
        if not os.access(program, os.X_OK):
            return "program"
        try:
            os.chdir(directory)
        except OSError:
            return "directory"
        return ""

    try:
        return Aside(look).answer(time.monotonic() + _LOOK_SECONDS)
    except Unanswered as why:
        raise OperationFailed(f"look at {directory} as {account.name}", str(why)) from None


@contextmanager
def prepared(unit: UnitName, account: Account, files: Mapping[str, str]) -> Iterator[None]:
    """Make what a command needs, and take it away in the end.

    That is a /run of its own, in which its user has the usual directory, and `files` by their paths
    in it; and a place for what it leaves. Raises OperationFailed.
    """
    sweep_commands()
    try:
        Path(paths.command_state()).mkdir(mode=0o700, exist_ok=True)
        resolver.prepare_private_runs([unit])
        run = Path(paths.private_run(unit))
        home = run / "user" / str(account.uid)
        home.mkdir(mode=0o700)
        os.chown(home, account.uid, account.gid)
        for path, text in files.items():
            (run / path).parent.mkdir(mode=0o755, exist_ok=True)
            (run / path).write_text(text, encoding="utf-8")
            (run / path).chmod(0o644)
    except OSError as error:
        remove(unit)
        raise OperationFailed(f"prepare {unit}", str(error)) from error
    try:
        yield
    finally:
        remove(unit)


def remove(unit: str) -> None:
    resolver.clear_private_runs([unit])
    for path in left_by(unit):
        path.unlink(missing_ok=True)


def left_by(unit: str) -> tuple[Path, Path]:
    stem = unit.removesuffix(".service")
    place = Path(paths.command_state())
    return place / f"{stem}.begun", place / f"{stem}.ended"


def sweep_commands() -> None:
    """Take away what commands have left whose `wgconfine exec` was killed, and that have ended."""
    found = set(names_in(Path(paths.private_run(""))))
    found |= {name.rpartition(".")[0] for name in names_in(Path(paths.command_state()))}
    for stem in found:
        unit = f"{stem}.service"
        if stem.startswith(COMMANDS) and not is_begun(stem) and not is_loaded(unit):
            remove(unit)


def is_begun(stem: str) -> bool:
    """Tell whether the `wgconfine exec` that made it may still be there."""
    number = stem.rpartition("-")[2].partition("_")[0]
    return Path("/proc", number).exists()


def names_in(directory: Path) -> list[str]:
    with suppress(OSError):
        return [path.name for path in directory.iterdir()]
    return []


def run_unit(unit: UnitName, options: Sequence[str], *, terminal: bool) -> End:
    """Have systemd run a transient unit, hand on what signals come, and give how it ended.

    With `terminal` it gets one of its own, which systemd-run joins with ours; else our standard
    input, output and error. The unit has ended then, whatever became of systemd-run. Raises
    Failure where there is no systemd-run.
    """
    how = "--pty" if terminal else "--pipe"
    # It may not outlive us, reading a terminal that is somebody else's by then.
    with_us = (find("setpriv"), "--pdeathsig=TERM", "--")
    fixed = ("--quiet", "--no-ask-password", "--collect", "--wait", "--service-type=exec")
    command = [*with_us, find("systemd-run"), f"--unit={unit}", how, *fixed, *options]
    child: subprocess.Popen[bytes] | None = None
    caught = 0
    unsent = False

    def forward(number: int, _frame: FrameType | None) -> None:
        nonlocal caught, unsent
        caught = number
        try:
            send_signal(unit, number, everybody=number in _TO_EVERYBODY)
        except OperationFailed:  # it does not run yet
            unsent = True
            if child is not None:
                child.terminate()

    def pause(_number: int, _frame: FrameType | None) -> None:
        with suppress(OperationFailed):
            send_signal(unit, signal.SIGSTOP, everybody=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        with suppress(OperationFailed):
            send_signal(unit, signal.SIGCONT, everybody=True)

    for number in _TO_EVERYBODY | _TO_ONE:
        signal.signal(number, forward)
    if not terminal:
        signal.signal(signal.SIGTSTP, pause)
    # It reads a terminal, for which it must be in the foreground; else no key is for it.
    try:
        child = subprocess.Popen(command, env=_ENVIRONMENT, start_new_session=not terminal)
    except OSError as error:  # all arguments together are too long
        raise OperationFailed("start systemd-run", error.strerror or "") from error
    if unsent:  # it came while there was no child to end yet
        child.terminate()
    child.wait()
    end = read_end(unit)
    if not end.known and is_loaded(unit):  # systemd-run was ended by somebody
        with suppress(OperationFailed):  # it has just ended
            RealSystemctl().stop([unit])
        end = read_end(unit)
    return end if end.begun or not caught else End(signal=caught)


def spawn_failure(unit: UnitName, account: Account) -> str:
    """Give what systemd says of a program that it could not begin; empty where it says nothing.

    Its exit status alone proves nothing: a program may end by 203 itself. Anybody may write such a
    message, and who sends it is known to the journal: root, or the user whom systemd has become by
    then. So the command itself can say it, of its own end, and no other user.
    """
    program = find("journalctl")
    users = (f"_UID={each}" for each in sorted({0, account.uid}))
    fields = (f"MESSAGE_ID={_SPAWN_FAILED}", f"UNIT={unit}", *users)
    said = ""
    try:
        for options in (["--sync"], ["--quiet", "--output=cat", "--lines=1", *fields]):
            said = subprocess.run(
                [program, *options],
                env=_ENVIRONMENT,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_LOOK_SECONDS,
            ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.strip().removeprefix(f"{unit}: ")


def read_end(unit: UnitName) -> End:
    """Read what ExecStopPost= has kept: result, code, and exit status or name of the signal."""
    begun, ended = left_by(unit)
    try:
        words = ended.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return End(begun=begun.exists())
    match words:
        case [_, "exited", status] if status.isdecimal():
            return End(begun=True, status=int(status))
        case [_, "killed" | "dumped", name]:
            return End(begun=True, signal=signal_number(name))
        case _:
            return End(begun=begun.exists())


def signal_number(name: str) -> int:
    """Give a signal's number by the name that systemd gives it: `TERM`, `RTMIN+3`."""
    first, _, more = name.partition("+")
    with suppress(KeyError, ValueError):
        return signal.Signals[f"SIG{first}"] + int(more or "0")
    return 0
