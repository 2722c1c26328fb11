"""What a test can ask of a machine, be it a container or a virtual machine."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

BOOT_SECONDS = 300
ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": "dumb",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that ran on a machine."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class CommandFailed(AssertionError):
    """A command failed, or took too long (`returncode` 124, as with timeout(1))."""

    def __init__(self, completed: Completed) -> None:
        self.completed = completed
        super().__init__(
            f"exit {completed.returncode}: {' '.join(completed.argv)}\n"
            f"--- stderr\n{in_short(completed.stderr)}\n--- stdout\n{in_short(completed.stdout)}",
        )


def in_short(text: str, most: int = 40) -> str:
    """Give a text whose middle is left out where it has more lines than are read in a report."""
    lines = text.split("\n")
    if len(lines) <= most:
        return text
    left_out = f"[{len(lines) - most} lines]"
    return "\n".join([*lines[: most // 2], left_out, *lines[-most // 2 :]])


class Machine(ABC):
    """A booted machine with systemd as PID 1 and one network interface, `uplink`."""

    uplink = "eth0"
    patience: ClassVar[int] = 1
    """How many times longer than on a container everything may take."""

    @abstractmethod
    def _execute(
        self,
        argv: Sequence[str],
        *,
        input: bytes,  # noqa: A002, the name subprocess gives it
        timeout: float,
        env: Mapping[str, str],
    ) -> Completed:
        """Run a command; a command out of time is killed and has return code 124."""

    @abstractmethod
    def reboot(self) -> None:
        """Reboot in order, and return when the machine is up again. Files stay."""

    def soft_reboot(self) -> None:
        """Have systemd, from 254 on, start userspace anew under the same kernel; files stay."""
        count = ("systemctl", "show", "--value", "--property=SoftRebootsCount")
        before = self.run(*count).stdout
        self.systemctl("soft-reboot", "--no-block")
        self._wait_for_restart()

        def again() -> bool:
            # A command is ended by it, as every process is.
            completed = self.run(*count, check=False)
            return completed.returncode == 0 and completed.stdout != before

        self.wait_for(again, "userspace has started anew", BOOT_SECONDS)
        self._wait_until_booted()

    def _wait_for_restart(self) -> None:  # noqa: B027 — a container has nothing to wait for
        """Wait until commands can be run again after all processes were ended."""

    @abstractmethod
    def close(self) -> None:
        """Throw the machine away."""

    @abstractmethod
    def _assert_alive(self) -> None:
        """Raise AssertionError if the machine has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(
        self,
        *argv: str,
        check: bool = True,
        input: str | None = None,  # noqa: A002, the name subprocess gives it
        timeout: float = 180,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a command as root in the machine's own namespaces; `check`: or CommandFailed."""
        if any("journalctl" in each for each in argv):
            self._sync_journal()
        completed = self._execute(
            argv,
            input=(input or "").encode(),
            timeout=timeout * self.patience,
            env={**ENVIRONMENT, **(env or {})},
        )
        if check and completed.returncode != 0:
            raise CommandFailed(completed)
        return completed

    def _sync_journal(self) -> None:
        """Have journald write down what it was sent so far, which it does in its own time."""
        command = ("journalctl", "--sync")
        self._execute(command, input=b"", timeout=30 * self.patience, env=ENVIRONMENT)

    def sh(self, script: str, *, check: bool = True, timeout: float = 180) -> str:
        """Run a bash script that stops at the first error; gives its output, stripped."""
        return self.run(
            "bash", "-euo", "pipefail", "-c", script, check=check, timeout=timeout
        ).stdout.strip()

    def read(self, path: str) -> str:
        return self.run("cat", "--", path).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file, made with `mode` from the start; missing folders are made."""
        script = 'mkdir -p "$(dirname "$1")"; rm -f "$1"; umask 077; cat >"$1"; chmod "$2" "$1"'
        self.run("sh", "-euc", script, "sh", path, f"{mode:o}", input=text)

    def systemctl(self, *arguments: str, check: bool = True, timeout: float = 85) -> Completed:
        """Ask PID 1, but not for as long as it waits for a unit that hangs, and hides it then."""
        return self.run("systemctl", "--no-pager", *arguments, check=check, timeout=timeout)

    def is_active(self, unit: str) -> bool:
        return self.systemctl("is-active", unit, check=False).stdout.strip() == "active"

    def show(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--value", f"--property={name}", unit).stdout.strip()

    def journal(self, unit: str | None = None) -> str:
        """The messages of this boot, of one unit (also PID 1's about it) or of all."""
        of_unit = [f"--unit={unit}"] if unit else []
        return self.run(
            "journalctl", "--no-pager", "--boot", "--output=short-monotonic", *of_unit
        ).stdout

    def wait_for(self, predicate: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Ask until `predicate` holds; raises AssertionError that names `what`."""
        timeout *= self.patience
        deadline = time.monotonic() + timeout
        late = False
        while not predicate():
            if late:
                raise AssertionError(f"after {timeout:.0f} s still not: {what}")
            time.sleep(0.1)
            # Asked once more after that: the answer to one question may have taken all of the time.
            late = time.monotonic() > deadline

    def _wait_until_booted(self) -> None:
        def booted() -> bool:
            self._assert_alive()
            # Before PID 1 listens this fails at once; after that it waits by itself.
            state = self.systemctl("is-system-running", "--wait", check=False, timeout=BOOT_SECONDS)
            return state.stdout.strip() in {"running", "degraded"}

        self.wait_for(booted, "systemd has booted", BOOT_SECONDS)
