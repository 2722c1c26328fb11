# ruff: noqa: INP001, a script
"""Run a program and kill it, with every process it started, at the N-th step of the whole run.

kill-at.py N LOG PROGRAM ARGUMENTS...   A step lies before and after each system call of SYSCALLS,
counted over all processes in the order in which they happen. With N = 0 it runs to its end. LOG
gets one line for each step that was come to. Exits as the program does; 137 when it was killed.
strace(1) can't do that: its `inject=…:when=N` counts for each process anew.
"""

import ctypes
import os
import platform
import shutil
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

# What changes the machine, or asks somebody else to. Names and numbers are from asm/unistd_64.h
# (x86_64) and asm-generic/unistd.h (aarch64).
SYSCALLS = {
    "x86_64": {
        59: "execve", 322: "execveat", 82: "rename", 264: "renameat", 316: "renameat2",
        165: "mount", 166: "umount2", 428: "open_tree", 429: "move_mount", 432: "fsmount",
        308: "setns", 272: "unshare", 46: "sendmsg", 44: "sendto", 307: "sendmmsg",
        87: "unlink", 263: "unlinkat", 84: "rmdir", 83: "mkdir", 258: "mkdirat",
        88: "symlink", 266: "symlinkat", 18: "pwrite64", 77: "ftruncate",
    },
    "aarch64": {
        221: "execve", 281: "execveat", 38: "renameat", 276: "renameat2",
        40: "mount", 39: "umount2", 428: "open_tree", 429: "move_mount", 432: "fsmount",
        268: "setns", 97: "unshare", 211: "sendmsg", 206: "sendto", 269: "sendmmsg",
        35: "unlinkat", 34: "mkdirat", 36: "symlinkat", 68: "pwrite64", 46: "ftruncate",
    },
}[platform.machine()]  # fmt: skip

# linux/ptrace.h
PTRACE_SYSCALL, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_LISTEN = 24, 0x4206, 0x4207, 0x4208
PTRACE_GET_SYSCALL_INFO, ENTRY = 0x420E, 1
SYSGOOD, FORK, VFORK, CLONE, EXEC, EXITKILL = 1, 2, 4, 8, 16, 1 << 20
EVENT_STOP = 128
STOPS = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
WALL = 0x40000000

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
LIBC.ptrace.restype = ctypes.c_long


def ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> bool:
    """Ask for something; False where the process has been killed meanwhile."""
    if LIBC.ptrace(request, pid, address, data) != -1:
        return True
    if ctypes.get_errno() == 3:  # ESRCH
        return False
    raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


def start(argv: list[str]) -> int:
    """Give a process that is traced from its exec on."""
    program = shutil.which(argv[0])
    if program is None:
        raise FileNotFoundError(argv[0])
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)  # until we trace it
        os.execv(program, argv)  # noqa: S606, no shell is meant
    os.close(reading)
    options = SYSGOOD | FORK | VFORK | CLONE | EXEC | EXITKILL
    ptrace(PTRACE_SEIZE, pid, 0, options)
    ptrace(PTRACE_INTERRUPT, pid)
    os.waitpid(pid, WALL)
    ptrace(PTRACE_SYSCALL, pid)
    os.close(writing)
    return pid


def stops() -> Iterator[tuple[int, int]]:
    """Give what each process reports, until none is left."""
    while True:
        try:
            yield os.waitpid(-1, WALL)
        except ChildProcessError:
            return


class Run:
    """The processes of a run, and how many steps they have come to."""

    def __init__(self, argv: list[str]) -> None:
        self.steps: list[str] = []
        self.main = start(argv)
        self.status = 0
        self._alive = {self.main}
        self._inside: dict[int, int] = {}
        self._buffer = ctypes.create_string_buffer(88)

    def until(self, number: int) -> bool:
        """Let it run until step `number`; False where it came to its end before."""
        for pid, status in stops():
            if not os.WIFSTOPPED(status):
                self._alive.discard(pid)
                if pid == self.main:
                    self.status = os.waitstatus_to_exitcode(status)
                continue
            self._alive.add(pid)
            request, forwarded = self._judge(pid, status)
            if len(self.steps) == number > 0:
                return True
            ptrace(request, pid, 0, forwarded)
        return False

    def _judge(self, pid: int, status: int) -> tuple[int, int]:
        """Take notice of a stop; gives how the process goes on, and with which signal."""
        stopped_by, event = os.WSTOPSIG(status), status >> 16
        if stopped_by == signal.SIGTRAP | 0x80:
            self._count(pid)
            return PTRACE_SYSCALL, 0
        if event == EVENT_STOP and stopped_by in STOPS:
            return PTRACE_LISTEN, 0
        return PTRACE_SYSCALL, 0 if event else stopped_by

    def _count(self, pid: int) -> None:
        length = len(self._buffer)
        if not ptrace(PTRACE_GET_SYSCALL_INFO, pid, length, ctypes.addressof(self._buffer)):
            return
        if self._buffer.raw[0] == ENTRY:
            (number,) = struct.unpack_from("Q", self._buffer.raw, 24)
            self._inside[pid] = number
        else:
            number = self._inside.get(pid, -1)
        if number in SYSCALLS:
            when = "before" if self._buffer.raw[0] == ENTRY else "after"
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            self.steps.append(f"{when} {SYSCALLS[number]} of {name}")

    def kill(self) -> None:
        """Kill all of it. A call that was about to begin is not begun: ptrace(2), syscall-entry."""
        for pid in self._alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for _ in stops():
            pass


def main() -> int:
    number, log, *argv = sys.argv[1:]
    run = Run(argv)
    killed = run.until(int(number))
    if killed:
        run.kill()
    Path(log).write_text("".join(f"{step}\n" for step in run.steps))
    if killed:
        return 137
    return run.status if run.status >= 0 else 128 - run.status


if __name__ == "__main__":
    sys.exit(main())
