"""Run the probe of one service: tell it, look at it while it waits, let it try, hear it out."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wgconfine.model.errors import OperationFailed
from wgconfine.model.settings import TunnelName, UnitName
from wgconfine.render.probe import PROBE_STATE, probe_unit
from wgconfine.system.systemctl import Systemctl
from wgconfine.verify.answers import MOST_SAID, is_ready
from wgconfine.verify.facts import FACT_PROPERTIES, Facts, read_facts

__all__ = ["Probed", "run_probe"]

READY_SECONDS = 60.0
TRY_SECONDS = 14.0
"""Bounds for what hangs, on a machine that is busy: it takes two seconds where it is not."""
LOCK_SECONDS = 20.0
_STATE = ("ActiveState", "Job", "MainPID", "Result", "LoadState")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What came of one probe.

    `said` is what it wrote, at most a byte more than it may; `why` is why there is nothing, empty
    where it ran to its end. `named` are socket files of the tunnel's own namespace.
    """

    said: bytes = b""
    facts: Facts | None = None
    named: frozenset[str] = frozenset()
    why: str = ""


def run_probe(
    systemctl: Systemctl, tunnel: TunnelName, unit: UnitName, told: Mapping[str, object]
) -> Probed:
    """Run it once. Never raises for anything that the probe or its service does."""
    stem = unit.removesuffix(".service")
    PROBE_STATE_PATH.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with _alone(stem):
            return _run(systemctl, tunnel, unit, stem, told)
    except (OSError, OperationFailed, TimeoutError) as error:
        return Probed(why=str(error))


PROBE_STATE_PATH = Path(PROBE_STATE)


@contextmanager
def _alone(stem: str) -> Iterator[None]:
    """One run of a probe at a time, whoever else verifies."""
    deadline = time.monotonic() + LOCK_SECONDS
    with (PROBE_STATE_PATH / f"{stem}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError("another verify keeps this probe") from None
                time.sleep(0.1)
            else:
                break
        yield


def _run(
    systemctl: Systemctl,
    tunnel: TunnelName,
    unit: UnitName,
    stem: str,
    told: Mapping[str, object],
) -> Probed:
    heard, said = (PROBE_STATE_PATH / f"{stem}{end}" for end in (".in", ".out"))
    name = probe_unit(unit)
    _end(systemctl, name)  # one that a killed verify has left would be in the way of a new one
    _new(heard, json.dumps(told).encode())
    _new(said, b"")
    try:
        systemctl.start_no_block([name])
        pid, why = _wait_until_ready(systemctl, name, said)
        if not pid:
            return Probed(why=why, said=_read(said))
        settings = systemctl.show([name], FACT_PROPERTIES)[name]
        facts = read_facts(pid, tunnel, settings)
        named = _named(pid)
        if systemctl.show([name], _STATE)[name]["MainPID"] != str(pid):
            # Then it was another's number, maybe, that was looked at.
            return Probed(why=f"{name} ended while it was looked at", said=_read(said))
        with heard.open("ab") as end:
            end.write(b"go\n")
        why = _wait_until_ended(systemctl, name)
    finally:
        with suppress(OperationFailed):
            _end(systemctl, name)
    return Probed(said=_read(said), facts=facts, named=named, why=why)


def _new(path: Path, content: bytes) -> None:
    """A new file, root's alone: what held the last one open writes to nobody."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    with suppress(OSError), path.open("rb") as file:
        return file.read(MOST_SAID + 1)
    return b""


def _wait_until_ready(systemctl: Systemctl, name: str, said: Path) -> tuple[int, str]:
    """Give its process once it runs its program, or why there is none."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        state = systemctl.show([name], _STATE)[name]
        if _ended(state):
            return 0, f"{name} did not run: {_reason(name, state)}"
        pid = int(state["MainPID"] or "0")
        if pid and is_ready(_read(said)):
            return pid, ""
        time.sleep(0.05)
    return 0, f"{name} was not there within {READY_SECONDS:g} s"


def _wait_until_ended(systemctl: Systemctl, name: str) -> str:
    deadline = time.monotonic() + TRY_SECONDS
    while time.monotonic() < deadline:
        if _ended(systemctl.show([name], _STATE)[name]):
            return ""
        time.sleep(0.1)
    return f"{name} did not end within {TRY_SECONDS:g} s"


def _ended(state: Mapping[str, str]) -> bool:
    """Whether it runs no more; before its job is done it is inactive, too."""
    return state["ActiveState"] in {"inactive", "failed"} and state["Job"] in {"", "0"}


def _reason(name: str, state: Mapping[str, str]) -> str:
    if state["LoadState"] != "loaded":
        return f"systemd calls it {state['LoadState']}"
    if state["Result"] != "success":
        return state["Result"]
    return f"see journalctl -u {name}"


def _end(systemctl: Systemctl, name: str) -> None:
    """Leave nothing of it behind, whatever it does."""
    if not _ended(systemctl.show([name], _STATE)[name]):
        systemctl.kill_all([name])
        systemctl.stop([name])


def _named(pid: int) -> frozenset[str]:
    """The socket files that are bound in its own network namespace: proc_pid_net(5)."""
    try:
        text = Path(f"/proc/{pid}/net/unix").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    paths = (line.split(maxsplit=7)[7:] for line in text.split("\n")[1:4096])
    return frozenset(each[0] for each in paths if each)
