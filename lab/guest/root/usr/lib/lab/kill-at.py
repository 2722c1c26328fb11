# ruff: noqa: INP001, a script
"""Run a program and kill it, with every process it started, at the N-th step of the whole run.

kill-at.py N LOG PROGRAM ARGUMENTS...   A step lies before and after each system call of SYSCALLS,
counted over all processes in the order in which they happen. With N = 0 it runs to its end. LOG
gets one line for each step that was come to. Exits as the program does; 137 when it was killed.
kill-at.py "STEP#N" …   The N-th of those that LOG calls STEP: for a place in the program, which
has another number in each run, since messages to a bus are one more or less.
strace(1) can't do that: its `inject=…:when=N` counts for each process anew.

A seccomp filter stops the processes at those calls alone, as `strace --seccomp-bpf` does: the rest
of a run is as fast as without us.
"""

import ctypes
import os
import platform
import shutil
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
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
PTRACE_CONT, PTRACE_SYSCALL = 7, 24
PTRACE_SEIZE, PTRACE_LISTEN = 0x4206, 0x4208
PTRACE_GET_SYSCALL_INFO = 0x420E
OPTIONS = 1 | 2 | 4 | 8 | 16 | 1 << 7 | 1 << 20  # SYSGOOD FORK VFORK CLONE EXEC SECCOMP EXITKILL
EVENT_SECCOMP, EVENT_STOP = 7, 128
STOPS = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
WALL = 0x40000000
# linux/bpf_common.h, linux/seccomp.h
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, TRACE = 0x7FFF0000, 0x7FF00000
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

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


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def filter_calls() -> None:
    """Have this process, and all that come of it, stop at the calls of SYSCALLS."""
    numbers = sorted(SYSCALLS)
    steps = [struct.pack("HBBI", LOAD, 0, 0, 0)]
    for index, number in enumerate(numbers):
        steps.append(struct.pack("HBBI", JUMP_EQUAL, len(numbers) - index, 0, number))
    steps += [struct.pack("HBBI", RETURN, 0, 0, value) for value in (ALLOW, TRACE)]
    code = ctypes.create_string_buffer(b"".join(steps))
    program = Program(len(steps), ctypes.addressof(code))
    if LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


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
        filter_calls()
        os.execv(program, argv)  # noqa: S606, no shell is meant
    os.close(reading)
    ptrace(PTRACE_SEIZE, pid, 0, OPTIONS)
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
        self._inside: dict[int, str] = {}
        self._buffer = ctypes.create_string_buffer(88)

    def until(self, number: int, name: str = "") -> bool:
        """Let it run until step `number` (of that name); False where it came to its end before."""
        for pid, status in stops():
            if not os.WIFSTOPPED(status):
                self._alive.discard(pid)
                if pid == self.main:
                    self.status = os.waitstatus_to_exitcode(status)
                continue
            self._alive.add(pid)
            before = len(self.steps)
            request, forwarded = self._judge(pid, status)
            for step in self.steps[before:]:
                number -= name in {"", step}
                if number == 0:
                    return True
            ptrace(request, pid, 0, forwarded)
        return False

    def _judge(self, pid: int, status: int) -> tuple[int, int]:
        """Take notice of a stop; gives how the process goes on, and with which signal."""
        stopped_by, event = os.WSTOPSIG(status), status >> 16
        if event == EVENT_SECCOMP:
            self._inside[pid] = self._call_of(pid)
            self._count("before", pid)
        elif stopped_by == signal.SIGTRAP | 0x80:
            self._count("after", pid)
            del self._inside[pid]
        elif event == EVENT_STOP and stopped_by in STOPS:
            return PTRACE_LISTEN, 0
        onwards = PTRACE_SYSCALL if pid in self._inside else PTRACE_CONT
        signalled = stopped_by != signal.SIGTRAP | 0x80 and not event
        return onwards, stopped_by if signalled else 0

    def _call_of(self, pid: int) -> str:
        length = len(self._buffer)
        ptrace(PTRACE_GET_SYSCALL_INFO, pid, length, ctypes.addressof(self._buffer))
        (number,) = struct.unpack_from("Q", self._buffer.raw, 24)
        return SYSCALLS[number]

    def _count(self, when: str, pid: int) -> None:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        self.steps.append(f"{when} {self._inside[pid]} of {name}")

    def kill(self) -> None:
        """Kill all of it. A call that was about to begin is not begun: ptrace(2), syscall-entry."""
        for pid in self._alive:
            kill(pid)
        for pid, status in stops():
            if os.WIFSTOPPED(status):  # one that was born at the last moment
                kill(pid)


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main() -> int:
    at, log, *argv = sys.argv[1:]
    name, _, number = at.rpartition("#")
    run = Run(argv)
    killed = run.until(int(number), name)
    if killed:
        run.kill()
    Path(log).write_text("".join(f"{step}\n" for step in run.steps))
    if killed:
        return 137
    return run.status if run.status >= 0 else 128 - run.status


if __name__ == "__main__":
    sys.exit(main())
