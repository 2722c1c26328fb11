"""Run ip, wg, nft and systemctl: argument lists, a fixed environment, secrets on stdin only."""

from __future__ import annotations

import os

from wgconfine.config.escape import HIDDEN, holds_key
from wgconfine.runtime.failure import Failure

# NixOS has its system's programs in the last of these.
SEARCH = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/run/current-system/sw/bin")
ENVIRONMENT = {"PATH": ":".join(SEARCH), "LC_ALL": "C"}


def find(program: str) -> str:
    """Give the absolute path of `program`; raises Failure where this machine lacks it."""
    for directory in SEARCH:
        path = f"{directory}/{program}"
        if os.access(path, os.X_OK):
            return path
    raise Failure(f"{program}: not found in {':'.join(SEARCH)}. Install the package that has it.")


def memory_file(content: bytes = b"") -> int:
    """Give a descriptor of an anonymous file: unlike a pipe it takes any size and never blocks."""
    descriptor = os.memfd_create("wgconfine", os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def read_all(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read()


class Running:
    """A program that was started and whose end is still to be waited for."""

    __slots__ = ("argv", "pid", "stderr", "stdout")

    def __init__(self, *argv: str, text: str = "") -> None:
        program = find(argv[0])
        stdin = memory_file(text.encode())
        self.argv = argv
        self.stdout, self.stderr = memory_file(), memory_file()
        self.pid = os.posix_spawn(
            program,
            argv,
            ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, stdin, 0),
                (os.POSIX_SPAWN_DUP2, self.stdout, 1),
                (os.POSIX_SPAWN_DUP2, self.stderr, 2),
            ],
        )
        os.close(stdin)

    def wait(self) -> tuple[int, str, str]:
        """Give exit status (negative: a signal), stdout and stderr."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return status, read_all(self.stdout), read_all(self.stderr)

    def succeed(self) -> str:
        """Give stdout; raises Failure where it failed. Never quotes stdin: that may be secret.

        Nor what a program says of its stdin: wg(8) repeats a line that it does not understand.
        """
        status, output, complaint = self.wait()
        if status != 0:
            lines = [" ".join(map(hide_key, line.split(" "))) for line in complaint.split("\n")]
            said = "; ".join(lines).strip("; ") or "it said nothing"
            raise Failure(f"{' '.join(self.argv)}: exit {status}: {said}")
        return output


def hide_key(word: str) -> str:
    return HIDDEN if holds_key(word) else word


def run(*argv: str, text: str = "") -> str:
    """Run a program that must succeed, `text` on its stdin; gives its stdout. Raises Failure."""
    return Running(*argv, text=text).succeed()
