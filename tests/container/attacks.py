"""Ways out of a network namespace beside packets; runs on the machine, prints what each came to.

`attacks.py root|user`: one JSON object, a word for each attack: "out", or what stopped it. Nothing
is changed on the machine for good, and no kernel setting is written, only opened.
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import stat
import struct
import subprocess  # noqa: TID253 — no module of ours: a program
import sys
import tempfile
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
IO_URING_SETUP, IO_URING_ENTER = 425, 426
PIDFD_OPEN, PIDFD_GETFD = 434, 438
REQUEST_KEY = 249  # x86-64
SOCKET_OPERATION = 45  # IORING_OP_SOCKET, Linux 5.19


def system_call(number: int, *arguments: object) -> int:
    """Raise OSError as the kernel says."""
    result = int(LIBC.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def succeeds(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(errno.EPERM, done.stderr.strip())


def enter() -> None:
    """Enter PID 1's namespace."""
    succeeds("nsenter", "--target", "1", "--net", "true")


def veth() -> None:
    """Put one end of a link into PID 1's namespace."""
    succeeds("ip", "link", "add", "inner", "type", "veth", "peer", "name", "outer")
    try:
        succeeds("ip", "link", "set", "outer", "netns", "1")
    finally:
        succeeds("ip", "link", "delete", "inner")


def steal() -> None:
    """Take a descriptor of PID 1's."""
    os.close(system_call(PIDFD_GETFD, system_call(PIDFD_OPEN, 1, 0), 0, 0))


def device() -> None:
    """Make a disk's device node."""
    with tempfile.TemporaryDirectory() as place:
        os.mknod(f"{place}/disk", 0o600 | stat.S_IFBLK, os.makedev(254, 0))


def kernel() -> None:
    """Open a setting of the tunnel's network; others name programs that run in the host."""
    os.close(os.open("/proc/sys/net/ipv4/ip_forward", os.O_WRONLY))


def manager() -> None:
    """Have systemd 262 start a program in the host, by the socket that tells names of users."""
    command = {"path": "/bin/true", "arguments": ["true"]}
    unit = {"ID": f"by-user-names-{os.getpid()}.service", "Service": {"ExecStart": [command]}}
    call = {"method": "io.systemd.Unit.StartTransient", "parameters": {"context": unit}}
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(60)
        end.connect("/run/systemd/userdb/io.systemd.DynamicUser")
        end.sendall(json.dumps(call).encode() + b"\0")
        answer = end.recv(1 << 16)
    if b'"error"' in answer or b'"parameters"' not in answer:
        raise OSError(errno.EPERM, answer[:200].decode())


def control_group() -> None:
    """Leave the unit's control group, and with it whoever looks for the unit's processes."""
    path = "/sys/fs/cgroup/system.slice/dbus.service/cgroup.procs"
    succeeds("sh", "-c", f"echo $$ > {path}")


def io_uring(family: int) -> None:
    """Open a socket without socket(2)."""
    parameters = ctypes.create_string_buffer(120)
    ring = system_call(IO_URING_SETUP, 4, parameters)
    entries, completions = struct.unpack_from("<II", parameters, 0)
    submission = struct.unpack_from("<8I", parameters, 40)
    completion = struct.unpack_from("<8I", parameters, 80)
    queue = mmap.mmap(ring, submission[6] + entries * 4, offset=0)
    done = mmap.mmap(ring, completion[5] + completions * 16, offset=0x8000000)
    requests = mmap.mmap(ring, entries * 64, offset=0x10000000)
    struct.pack_into("<BBHiQ", requests, 0, SOCKET_OPERATION, 0, 0, family, socket.SOCK_STREAM)
    struct.pack_into("<I", queue, submission[6], 0)
    struct.pack_into("<I", queue, submission[1], 1)
    system_call(IO_URING_ENTER, ring, 1, 1, 1, None, 0)
    (result,) = struct.unpack_from("<i", done, completion[5] + 8)
    if result < 0:
        raise OSError(-result, os.strerror(-result))


def vsock_by_io_uring() -> None:
    io_uring(socket.AF_VSOCK)


def vsock() -> None:
    socket.socket(socket.AF_VSOCK).close()


def key() -> None:
    """Have the kernel start the host's program that looks a key up, such as a name's address.

    Where there is no such program the kernel says so, and not that it may not be asked.
    """
    try:
        system_call(REQUEST_KEY, b"dns_resolver", b"key.example.net", b"", -3)
    except OSError as error:
        if error.errno == errno.EPERM:
            raise


def ask(path: str) -> None:
    """Ask a daemon of the host's, which does what it is asked for."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        assert client.recv(16) == b"at your service"


def incus() -> None:
    ask("/var/lib/incus/unix.socket")


def sssd() -> None:
    ask("/var/lib/sss/pipes/nss")


def display() -> None:
    ask("/tmp/.X11-unix/X0")  # noqa: S108 — where X servers listen


def temporary() -> None:
    ask("/tmp/daemon.socket")  # noqa: S108 — a daemon of the test's


def crontab() -> None:
    """Write what cron will run in the host."""
    with open(f"/var/spool/cron/crontabs/{os.getpid()}", "x", encoding="ascii"):  # noqa: PTH123
        pass


def user_namespace() -> None:
    """From a user namespace of one's own, with all capabilities in it, into PID 1's network."""
    succeeds("unshare", "--user", "--map-root-user", "nsenter", "--net=/proc/1/ns/net", "true")


def nested_unmount() -> None:
    """Take our /run off in a user and mount namespace of one's own."""
    command = ("--user", "--map-root-user", "--mount", "umount", "--lazy", "/run")
    succeeds("unshare", *command)


def nested_link() -> None:
    """Move the tunnel's link out from within a user namespace."""
    command = ("--user", "--map-root-user", "ip", "link", "set", "wg0", "netns", "1")
    succeeds("unshare", *command)


def setuid() -> None:
    """Become root by a program with a setuid bit (a copy of id)."""
    done = subprocess.run(["/opt/setuid-id", "-u"], capture_output=True, text=True, check=False)
    if done.stdout.strip() != "0":
        raise OSError(errno.EPERM, "stays who it is")


ROOT = (enter, veth, steal, device, kernel, control_group, manager)
EVERYBODY = (
    *(vsock, vsock_by_io_uring, key, incus, sssd, display, temporary),
    *(crontab, user_namespace, nested_unmount, nested_link),
)
ATTACKS = {"root": (*ROOT, *EVERYBODY), "user": (*EVERYBODY, setuid)}


def outcome(attack: Callable[[], None]) -> str:
    try:
        attack()
    except OSError as error:
        return f"{errno.errorcode.get(error.errno or 0)}: {error.strerror}"
    return "out"


if __name__ == "__main__":
    json.dump({each.__name__: outcome(each) for each in ATTACKS[sys.argv[1]]}, sys.stdout)
