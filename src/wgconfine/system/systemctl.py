"""systemctl(1) behind a small protocol: what is asked of the running systemd."""

from __future__ import annotations

import re
import subprocess

from wgconfine.config.escape import escape
from wgconfine.model.errors import OperationFailed

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol
else:
    Protocol = object

__all__ = ["RealSystemctl", "Systemctl", "loaded_units", "send_signal", "systemd_version"]

Properties = dict[str, dict[str, str]]

_ENVIRONMENT = {
    "LC_ALL": "C",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
}
_ASK_SECONDS = 30.0
_JOB_SECONDS = 300.0  # a stop may take TimeoutStopSec=, 90 s by default, unit after unit
_TAIL_LINES = 8


class Systemctl(Protocol):
    """What the rest of wgconfine asks of systemd. Names are full, with their suffix.

    Every method raises OperationFailed when systemd cannot be asked or says no; those that take
    units do nothing for none.
    """

    def show(self, units: Sequence[str], properties: Sequence[str]) -> Properties:
        """The properties of each unit, by the name it was asked by.

        A property that a unit does not have is the empty string; one that is printed in several
        lines (`ExecCondition`) has them joined by newlines.
        """

    def daemon_reload(self) -> None:
        """Read all unit files anew."""

    def start(self, units: Sequence[str]) -> None:
        """Start, and wait for it."""

    def start_no_block(self, units: Sequence[str]) -> None:
        """Ask for a start, and do not wait for it. No job that is there is taken back for it."""

    def stop(self, units: Sequence[str]) -> None:
        """Stop, and wait for it."""

    def kill_all(self, units: Sequence[str]) -> None:
        """Send SIGKILL to every process of the units' control groups."""

    def restart(self, units: Sequence[str]) -> None:
        """Stop and start, or only start, and wait for it."""

    def reload(self, units: Sequence[str]) -> None:
        """Run `ExecReload=`, and wait for it."""

    def reset_failed(self, units: Sequence[str]) -> None:
        """Forget that they failed; also patterns, to which it is no error to match none."""

    def update_catalog(self) -> None:
        """Have journalctl(1) read every message catalog anew."""


class RealSystemctl:
    """The system manager of this machine, by the program `systemctl`."""

    def show(self, units: Sequence[str], properties: Sequence[str]) -> Properties:
        if not units:
            return {}
        wanted = ",".join(dict.fromkeys(("Id", *properties)))  # Id: no unit's answer is empty
        output = _run(("show", f"--property={wanted}"), units, _ASK_SECONDS)
        if len(units) == 1:
            return {units[0]: _properties(output, properties)}
        blocks = output.strip("\n").split("\n\n")
        if len(blocks) != len(units):  # an empty line within a value: a command line may have one
            return {unit: self.show([unit], properties)[unit] for unit in units}
        return {
            unit: _properties(block, properties) for unit, block in zip(units, blocks, strict=True)
        }

    def daemon_reload(self) -> None:
        _run(("daemon-reload",), (), _JOB_SECONDS)

    def start(self, units: Sequence[str]) -> None:
        _job("start", units)

    def start_no_block(self, units: Sequence[str]) -> None:
        _job("start", units, "--no-block", "--job-mode=fail")

    def stop(self, units: Sequence[str]) -> None:
        _job("stop", units)

    def kill_all(self, units: Sequence[str]) -> None:
        _job("kill", units, "--kill-whom=all", "--signal=KILL")

    def restart(self, units: Sequence[str]) -> None:
        _job("restart", units)

    def reload(self, units: Sequence[str]) -> None:
        _job("reload", units)

    def reset_failed(self, units: Sequence[str]) -> None:
        _job("reset-failed", units)

    def update_catalog(self) -> None:
        _done(("journalctl", "--update-catalog"), "journalctl --update-catalog", _ASK_SECONDS)


def systemd_version() -> int:
    """The version of the system manager that runs, 0 where it does not tell in the usual way."""
    shown = _run(("show", "--property=Version", "--value"), (), _ASK_SECONDS)
    number = re.match("[0-9]+", shown)
    return int(number[0]) if number else 0


def loaded_units(patterns: Sequence[str], properties: Sequence[str]) -> Properties:
    """The properties of every unit that systemd has loaded and that a pattern matches."""
    wanted = ",".join(dict.fromkeys(("Id", *properties)))
    output = _run(("show", f"--property={wanted}"), patterns, _ASK_SECONDS)
    blocks = [_properties(each, ("Id", *properties)) for each in output.strip("\n").split("\n\n")]
    return {each["Id"]: each for each in blocks if each["Id"]}


def send_signal(unit: str, number: int, *, everybody: bool) -> None:
    """Send a signal to the main process of a unit, or to all; raises OperationFailed for none."""
    whom = "all" if everybody else "main"
    _run(("kill", f"--kill-whom={whom}", f"--signal={number}"), (unit,), _ASK_SECONDS)


def _properties(block: str, wanted: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in block.split("\n"):  # to str.splitlines() U+0085 in a file's name is an end, too
        key, _, value = line.partition("=")
        found[key] = f"{found[key]}\n{value}" if key in found else value
    return {key: found.get(key, "") for key in wanted}


def _job(verb: str, units: Sequence[str], *options: str) -> None:
    if units:
        _run((verb, *options), units, _JOB_SECONDS)


def _run(arguments: Sequence[str], units: Sequence[str], seconds: float) -> str:
    """The one place where systemctl is started; gives its standard output."""
    command = ["systemctl", "--no-pager", "--no-ask-password", *arguments]
    return _done([*command, "--", *units] if units else command, _step(arguments, units), seconds)


def _done(command: Sequence[str], step: str, seconds: float) -> str:
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            timeout=seconds,
        )
    except FileNotFoundError as error:
        raise OperationFailed(step, f"{command[0]} is not there", "Install systemd") from error
    except OSError as error:
        raise OperationFailed(step, error.strerror or str(error)) from error
    except subprocess.TimeoutExpired as error:
        hint = "See what systemd waits for: systemctl list-jobs"
        raise OperationFailed(step, f"no answer within {seconds:g} s", hint) from error
    if b"not been booted with systemd" in done.stderr:
        hint = "Use --root DIR or render for the files of another machine"
        raise OperationFailed("systemctl", "systemd does not run here", hint)
    if done.returncode != 0:
        raise OperationFailed(step, _tail(done.stderr) or f"exit status {done.returncode}")
    return done.stdout.decode(errors="replace")


def _step(arguments: Sequence[str], units: Sequence[str]) -> str:
    words = [each for each in arguments if not each.startswith("--")]
    return escape(" ".join(("systemctl", *words, *units)))


def _tail(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return "\n".join(escape(line) for line in lines[-_TAIL_LINES:])
