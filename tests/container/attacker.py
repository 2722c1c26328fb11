"""A hostile confined service: `attacker.py WAY`, as its own user, with a state directory.

It knows wgconfine and wants to be called well while it is not, to hold `verify` up, or to crash it.
"""

import array
import ctypes
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

STATE = Path("/var/lib/attacker")
LIBC = ctypes.CDLL(None, use_errno=True)
FILES, NEWNS, NEWUSER = 0x400, 0x20000, 0x10000000
TRACEME, SET_NAME = 0, 15
SWARMING = 30


def ready() -> None:
    """Say so, by a file that is whole as soon as it is there."""
    (STATE / "written").write_text(str(os.getpid()), encoding="utf-8")
    (STATE / "written").rename(STATE / "ready")


def child(begin: Callable[[], None]) -> None:
    """Have a child that begins so, and waits for ever; it has begun when this returns, or ended."""
    heard, told = os.pipe()
    if os.fork() == 0:
        os.close(heard)
        begin()
        os.close(told)
        while True:
            signal.pause()
    os.close(told)
    os.read(heard, 1)
    os.close(heard)


def stopped(begin: Callable[[], None]) -> None:
    """Have a child that begins so and stops; it has when this returns."""
    pid = os.fork()
    if pid == 0:
        begin()
        os.kill(os.getpid(), signal.SIGSTOP)
        while True:
            signal.pause()
    os.waitpid(pid, os.WUNTRACED)


def taken() -> int:
    """A socket of the host's namespace, handed over by somebody who was talked into it."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    os.umask(0)
    door.bind(f"{STATE}/door")
    _, ancillary, _, _ = door.recvmsg(9, socket.CMSG_SPACE(4))
    door.close()
    return array.array("i", ancillary[0][2])[0]


def hop() -> None:
    """Hold it in a process that lives for a moment, and its child after it, and so on."""
    held, first = taken(), os.getpid()
    ready()
    while os.fork() == 0:
        os.fstat(held)
    if os.getpid() == first:
        os.close(held)
        signal.pause()
    os._exit(0)


def pose() -> None:
    """Hold it in a process that looks as those of systemd do while they set a unit up."""
    held = taken()
    os.set_inheritable(held, True)
    executor, manager = Path("/usr/lib/systemd/systemd-executor"), Path("/usr/lib/systemd/systemd")
    guise = STATE / "(x)"
    guise.symlink_to(executor if executor.exists() else manager)
    if os.fork() == 0:
        LIBC.ptrace(TRACEME, 0, 0, 0)  # it stops when it has become that program
        os.execv(guise, ["(x)"])  # noqa: S606 — this is the attack
    os.close(held)
    os.waitpid(-1, os.WUNTRACED)
    ready()
    signal.pause()


def thread() -> None:
    """Hold it in the table of descriptors that one thread has for itself."""

    def hold() -> None:
        if LIBC.unshare(FILES) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        taken()
        ready()
        signal.pause()

    threading.Thread(target=hold).start()
    signal.pause()


def rotate() -> None:
    """Move it from number to number, so that it is never where it was listed."""
    held = taken()
    os.dup2(held, 700)
    os.close(held)
    ready()
    while True:
        for number in range(700, 900):
            os.dup2(number, number + 1)
            os.close(number)
        os.dup2(900, 700)
        os.close(900)


def descriptors() -> None:
    """Have 10,000 sockets, and then the one that counts."""
    kept = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(10_000)]
    held = taken()
    ready()
    signal.pause()
    del kept, held


def innocent() -> None:
    """Have 10,000 sockets and pipes, odd names, zombies, stopped, traced and busy processes."""
    kept = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(9_000)]
    os.mkfifo(f"{STATE}/fifo")
    pipes = [os.open(f"{STATE}/fifo", os.O_RDWR) for _ in range(900)]
    LIBC.prctl(SET_NAME, b"\x1b[31m\nPid: 1)", 0, 0, 0)
    for name in (b"systemd-executo", b") R 1 1 1", b"\xff\xfe"):
        child(partial(LIBC.prctl, SET_NAME, name, 0, 0, 0))
    stopped(partial(LIBC.prctl, SET_NAME, b"(systemd)", 0, 0, 0))
    stopped(partial(LIBC.ptrace, TRACEME, 0, 0, 0))
    child(partial(os._exit, 0))
    if os.fork() == 0:
        while True:  # a busy server: what is open now is closed a moment later
            with socket.socket():
                time.sleep(0.001)
    ready()
    signal.pause()
    del kept, pipes


def swarm() -> None:
    """Many processes, of which some make another and end, all the time."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for number in range(int(sys.argv[2])):
        if os.fork() == 0:
            while number >= SWARMING:
                signal.pause()
            break
    else:
        ready()
        signal.pause()
    while True:
        time.sleep(0.01)
        if os.fork() != 0:
            os._exit(0)


def own_view() -> None:
    """See files of its own, in namespaces of its own, where the host's say what is looked up."""
    (STATE / "resolv.conf").write_text("nameserver 192.0.2.1\n", encoding="utf-8")
    uid, gid = os.getuid(), os.getgid()
    if LIBC.unshare(NEWUSER | NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for path, text in (
        ("uid_map", f"0 {uid} 1"),
        ("setgroups", "deny"),
        ("gid_map", f"0 {gid} 1"),
    ):
        Path("/proc/self", path).write_text(text, encoding="utf-8")
    bind = 4096
    assert LIBC.mount(f"{STATE}/resolv.conf".encode(), b"/etc/resolv.conf", None, bind, None) == 0
    assert LIBC.mount(b"tmpfs", b"/run", b"tmpfs", 0, None) == 0
    os.mkfifo("/run/dbus")
    Path("/run/systemd").symlink_to("/proc/1/root/run/systemd")
    hung = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={hung},rootmode=100000,user_id=0,group_id=0".encode()
    assert LIBC.mount(b"f", b"/etc/nsswitch.conf", b"fuse", 0, options) == 0
    ready()
    signal.pause()


def deleted() -> None:
    """Run a program that is no file any more."""
    program = STATE / "sleep"
    shutil.copy("/bin/sleep", program)
    # The end that it inherits is closed when it has become that program.
    child(partial(os.execv, program, ["sleep", "300"]))
    program.unlink()
    ready()
    signal.pause()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
