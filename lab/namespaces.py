"""Namespaces that live as long as their first process, which lives as long as we do.

They have no name on the real machine: mounts, links and processes vanish with that process.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from lab.requirements import require_namespaces

# The clock and the kernel's modules belong to the real machine.
CONTAINED = ("setpriv", "--bounding-set=-sys_time,-sys_module")
# Dies with us, even when we are killed.
LEASHED = ("setpriv", "--pdeathsig=KILL")

FLAGS = {"net": "-n", "mount": "-m", "pid": "-p", "uts": "-u", "ipc": "-i", "cgroup": "-C"}


class Namespaces:
    """Start `argv` as the first process of new namespaces of the given `kinds`."""

    def __init__(
        self,
        kinds: Sequence[str],
        argv: Sequence[str],
        *,
        output: IO[bytes] | int = subprocess.DEVNULL,
        cgroup: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        require_namespaces()
        self._flags = [FLAGS[kind] for kind in kinds]
        self._cgroup = cgroup
        # unshare ignores SIGTERM while it waits for its child: it is ended by SIGKILL.
        unshare = ["unshare", *(f"--{kind}" for kind in kinds), "--fork", "--kill-child=SIGKILL"]
        self._process = subprocess.Popen(
            [*LEASHED, *CONTAINED, *_in_cgroup(cgroup), *unshare, *argv],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        self.pid = self._first_child()

    def _first_child(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            if pids := children.read_text().split():
                return int(pids[0])
            time.sleep(0.005)
        self.kill()
        raise ChildProcessError(f"unshare did not start its process: {self._process.args!r}")

    def go(self) -> None:
        """Close the standard input of the first process: what it waited for is there."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def command(self, argv: Sequence[str], *, kinds: Sequence[str] | None = None) -> list[str]:
        """The command line that runs `argv` inside, or inside some kinds of the namespaces only."""
        flags = self._flags if kinds is None else [FLAGS[kind] for kind in kinds]
        enter = ["nsenter", f"--target={self.pid}", *flags, "--"]
        cgroup = self._cgroup / "lab.commands" if self._cgroup else None
        if cgroup is not None:
            cgroup.mkdir(exist_ok=True)
        return [*CONTAINED, *_in_cgroup(cgroup), *enter, *argv]

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout: float) -> None:
        """Wait for the end of the first process; raises subprocess.TimeoutExpired."""
        self._process.wait(timeout)

    def kill(self) -> None:
        """End every process inside. The kernel takes the rest down."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.go()


def _in_cgroup(cgroup: Path | None) -> list[str]:
    if cgroup is None:
        return []
    return ["sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', os.fspath(cgroup)]
