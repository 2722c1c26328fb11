# ruff: noqa: INP001, a script
"""Run a program under a seccomp filter in which joining a network namespace gives EPERM.

deny-setns.py one|both PROGRAM ARGUMENTS...   both: unshare is refused, too.
PID 1 started like this meets the error at which it runs a unit in the host's namespace.
"""

import ctypes
import os
import platform
import struct
import sys

SETNS, UNSHARE = {"x86_64": (308, 272), "aarch64": (268, 97)}[platform.machine()]
CLONE_NEWNET = 0x40000000
EPERM = 1

LOAD, JUMP_EQUAL, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06  # BPF, linux/bpf_common.h
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # linux/seccomp.h
SYSCALL, ARGUMENT_0, ARGUMENT_1 = 0, 16, 24  # offsets in struct seccomp_data
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2


def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def refuse(syscall: int, argument: int, test: int) -> list[bytes]:
    """If it is `syscall` and `argument` passes `test` against CLONE_NEWNET: EPERM."""
    return [
        step(LOAD, SYSCALL),
        step(JUMP_EQUAL, syscall, 0, 3),
        step(LOAD, argument),
        step(test, CLONE_NEWNET, 0, 1),
        step(RETURN, ERRNO | EPERM),
    ]


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def main() -> None:
    how, *command = sys.argv[1:]
    steps = refuse(SETNS, ARGUMENT_1, JUMP_EQUAL)
    if how == "both":
        steps += refuse(UNSHARE, ARGUMENT_0, JUMP_ANY_BIT)
    steps.append(step(RETURN, ALLOW))
    code = ctypes.create_string_buffer(b"".join(steps))
    program = Program(len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
    os.execv(command[0], command)  # noqa: S606, no shell is meant


main()
