"""A machine in namespaces: a root's systemd as PID 1 under this kernel, up in a second."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lab.cache import orphans, scratch_folder
from lab.internet import Internet
from lab.layers import GUEST, Root
from lab.machine import ENVIRONMENT, Completed, Machine
from lab.namespaces import Namespaces

# PID 1 then cannot join a network namespace.
DENY_SETNS = ("/usr/bin/python3", "/usr/lib/lab/deny-setns.py", "one")
KINDS = ("cgroup", "mount", "pid", "uts", "ipc", "net")


class Container(Machine):
    """Boot `root` with its uplink in `internet`.

    `init_prefix` is the program inside that starts init, such as DENY_SETNS. A container has no
    clock, no kernel modules, no udev, no cgroup controllers, and of /proc/sys only net.
    """

    def __init__(self, root: Root, internet: Internet, *, init_prefix: Sequence[str] = ()) -> None:
        self._root = root
        self._internet = internet
        self._init = (*init_prefix, "/sbin/init")
        self._folder = scratch_folder()
        self._cgroup = _new_cgroup(self._folder.name)
        for name in ("upper", "work", "root", "net"):
            (self._folder / name).mkdir()
        self._namespaces: Namespaces | None = None
        try:
            self._boot()
        except BaseException:
            self.close()
            raise

    @property
    def namespaces(self) -> Namespaces:
        if self._namespaces is None:
            raise ValueError("the container is closed")
        return self._namespaces

    @property
    def pid(self) -> int:
        """PID 1, as the real machine counts: `/proc/PID/root` is the container's root."""
        return self.namespaces.pid

    def _boot(self) -> None:
        start = os.fspath(GUEST / "start-container")
        with (self._folder / "start.log").open("wb") as log:
            self._namespaces = Namespaces(
                KINDS,
                ["bash", start, os.fspath(self._folder), self._root.lowerdir, *self._init],
                output=log,
                cgroup=self._cgroup,
            )
        self._internet.attach_container(self.pid, self.uplink)
        self.namespaces.go()
        try:
            self._wait_until_booted()
        except AssertionError as error:
            error.add_note(self._last_words())
            raise

    def _assert_alive(self) -> None:
        if not self.namespaces.alive:
            raise AssertionError("the container has ended")

    def _last_words(self) -> str:
        words = [self._folder / "start.log", Path(f"/proc/{self.pid}/root/dev/console")]
        return "\n".join(path.read_text(errors="replace") for path in words if path.exists())

    def _execute(
        self,
        argv: Sequence[str],
        *,
        input: bytes,  # noqa: A002, the name subprocess gives it
        timeout: float,
        env: Mapping[str, str],
    ) -> Completed:
        # nsenter is found by our PATH, the command by the machine's.
        clean = ["env", "-i", *(f"{name}={value}" for name, value in env.items())]
        command = self.namespaces.command(
            [*clean, "timeout", "--kill-after=1", str(timeout), *argv]
        )
        try:
            result = subprocess.run(
                command, input=input, capture_output=True, timeout=timeout + 5, check=False
            )
            returncode, stdout, stderr = result.returncode, result.stdout, result.stderr
        except subprocess.TimeoutExpired as error:
            # The command has ended, but a process it left in the background holds the pipes.
            returncode, stdout, stderr = 124, error.stdout or b"", error.stderr or b""
        return Completed(
            argv=tuple(argv),
            returncode=returncode,
            stdout=stdout.decode(errors="backslashreplace"),
            stderr=stderr.decode(errors="backslashreplace"),
        )

    def shell(self) -> list[str]:
        """The command line of a login shell on this terminal."""
        environment = [f"{name}={value}" for name, value in ENVIRONMENT.items() if name != "TERM"]
        term = f"TERM={os.environ.get('TERM', 'dumb')}"
        return self.namespaces.command(["env", "-i", *environment, term, "bash", "--login"])

    def reboot(self) -> None:
        """As on a real machine, the network namespace is a new one: only files stay."""
        # It may be killed by what it has asked for, before it has said so.
        self.systemctl("reboot", "--no-block", check=False)
        with suppress(subprocess.TimeoutExpired):
            self.namespaces.wait(120)
        self.namespaces.kill()
        self._boot()

    def close(self) -> None:
        if self._namespaces:
            self._namespaces.kill()
            self._namespaces = None
        _remove_cgroup(self._cgroup, patience=60)
        shutil.rmtree(self._folder, ignore_errors=True)


def _new_cgroup(name: str) -> Path:
    """A cgroup to boot in, made below the machine's own; leftovers of killed runs are removed."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    top = Path(next(fields[1] for fields in mounts if fields[2] == "cgroup2"))
    for stale in orphans(top):
        _remove_cgroup(stale, patience=2)
    cgroup = top / name
    cgroup.mkdir()
    return cgroup


def _remove_cgroup(cgroup: Path, *, patience: float) -> None:
    """Remove it with all below, waiting so many seconds for processes that are still dying."""
    deadline = time.monotonic() + patience
    while cgroup.exists() and time.monotonic() < deadline:
        for folder, _, _ in os.walk(cgroup, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        time.sleep(0.01)
