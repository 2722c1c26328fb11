"""What every attempt of the probe is given and gives. Standard library, and little of that."""

from __future__ import annotations

import errno
import os
import select
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Outcome = tuple[str, str]
    Attempt = Callable[["Targets"], Outcome]

BLOCKED = "blocked"
"""The kernel or the view that the service is given refused it."""
SENT = "sent"
"""It was let go, somewhere: who watches from the host's side knows where it went."""
OPEN = "open"
"""Within reach, and no proof that anything got out by it."""
OUT = "out"
"""It got out, or somebody of the host answered."""

SPOOLS = (
    *("/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/at", "/var/spool/cron/atjobs"),
    *("/etc/cron.d", "/etc/crontab", "/etc/systemd/system", "/usr/local/lib/systemd/system"),
)
PROGRAMS = ("/usr/bin/crontab", "/usr/bin/at")
"""Places from where the host runs commands, and programs that put some there."""

SECONDS = 1.0
"""How long an answer is waited for."""


class Targets:
    """Where a channel tries to get to, and the word by which it is known again outside.

    `addresses` are the host's own, each with the ports at which the host listens for it.
    """

    def __init__(self, told: dict[str, object], token: str) -> None:
        self.token = token
        self.addresses = [_address(each) for each in _list(told, "addresses")]
        self.resolvers = [str(each) for each in _list(told, "resolvers")]
        self.links = [str(each) for each in _list(told, "links")]
        self.abstract = str(told.get("abstract", ""))
        self.host_namespace = str(told.get("host-namespace", ""))

    @property
    def outside(self) -> str:
        """An address of 192.0.2.0/24 (RFC 5737, nobody's), the token's own as far as that goes."""
        return outside_address(self.token)

    @property
    def outside_port(self) -> int:
        return outside_port(self.token)

    def own(self, family: int) -> Iterator[tuple[str, int, int]]:
        """The host's addresses of a family, without those of one link."""
        for address, tcp, udp in self.addresses:
            if not is_link_local(address) and (":" in address) == (family == socket.AF_INET6):
                yield address, tcp, udp


def _address(told: object) -> tuple[str, int, int]:
    address, tcp, udp = told if isinstance(told, list) else ("", 0, 0)
    return str(address), int(tcp), int(udp)


def _list(told: dict[str, object], key: str) -> list[object]:
    value = told.get(key, [])
    return value if isinstance(value, list) else []


def outside_address(token: str) -> str:
    return f"192.0.2.{1 + int(token[3:7], 16) % 254}"


def outside_port(token: str) -> int:
    return 1024 + int(token[7:15], 16) % 60000


def is_link_local(address: str) -> bool:
    return address.lower().startswith(("fe8", "fe9", "fea", "feb"))


def name_of(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))


def refusals(errors: Iterable[OSError]) -> str:
    return " ".join(sorted({name_of(error) for error in errors})) or "nothing to try"


def interfaces() -> list[tuple[int, str]]:
    """Those of this namespace; their numbers are guessed where they may not be asked for."""
    try:
        return socket.if_nameindex()
    except OSError:
        return [(number, "") for number in range(1, 9)]


def send_datagrams(
    family: int, targets: Iterable[tuple[object, ...]], payload: bytes, options: Iterable[int] = ()
) -> Outcome:
    """Send one to each, and tell whether any was let go."""
    errors: list[OSError] = []
    sent: list[str] = []
    with socket.socket(family, socket.SOCK_DGRAM) as end:
        end.setblocking(False)
        for option in options:
            end.setsockopt(socket.SOL_SOCKET, option, 1)
        for target in targets:
            try:
                end.sendto(payload, target)
                sent.append(str(target[0]))
            except OSError as error:
                errors.append(error)
    return (SENT, f"sent to {' '.join(sent)}") if sent else (BLOCKED, refusals(errors))


def connect_all(
    family: int, targets: Iterable[tuple[object, ...]], payload: bytes
) -> tuple[Outcome, list[bytes]]:
    """Connect to each at once, say `payload`, and give what was answered."""
    errors: list[OSError] = []
    pending: dict[socket.socket, tuple[object, ...]] = {}
    for target in targets:
        end = socket.socket(family, socket.SOCK_STREAM)
        end.setblocking(False)
        number = end.connect_ex(target)
        if number in {0, errno.EINPROGRESS}:
            pending[end] = target
        else:
            errors.append(OSError(number, os.strerror(number)))
            end.close()
    if not pending:
        return (BLOCKED, refusals(errors)), []
    connected, answers = _talk(pending, payload, errors)
    if connected:
        return (SENT, f"connected to {' '.join(connected)}"), answers
    waiting = len(pending)
    return (SENT, "no answer") if waiting else (BLOCKED, refusals(errors)), answers


def _talk(
    pending: dict[socket.socket, tuple[object, ...]], payload: bytes, errors: list[OSError]
) -> tuple[list[str], list[bytes]]:
    deadline = time.monotonic() + SECONDS
    connected: list[str] = []
    answers: list[bytes] = []
    said: set[socket.socket] = set()
    while pending and (left := deadline - time.monotonic()) > 0:
        wait = [end for end in pending if end not in said]
        readable, writable, _ = select.select(list(said), wait, [], left)
        for end in writable:
            number = end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                errors.append(OSError(number, os.strerror(number)))
                pending.pop(end)
                end.close()
                continue
            connected.append(f"{pending[end][0]} from {end.getsockname()[0]}")
            said.add(end)
            _say(end, payload)
        for end in readable:
            try:
                answers.append(end.recv(4096))
            except OSError as error:
                errors.append(error)
            said.discard(end)
            pending.pop(end)
            end.close()
    return connected, answers


def _say(end: socket.socket, payload: bytes) -> None:
    try:
        end.send(payload)
    except OSError:
        return


def ask_unix(path: str, question: bytes) -> bytes:
    """Connect to a socket and say something; gives what is answered, empty for nothing in time.

    Raises OSError where it can't be reached.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.settimeout(SECONDS)
        end.connect(path)
        try:
            end.sendall(question)
            return end.recv(4096)
        except OSError:
            return b""


def ask_each(paths: Iterable[str], question: bytes) -> Outcome:
    """Tell of a daemon that is out of reach under all its paths, or of its answer."""
    errors: list[OSError] = []
    for path in paths:
        try:
            answer = ask_unix(path, question)
        except OSError as error:
            errors.append(error)
            continue
        return OUT, f"{path} {'answered' if answer else 'was reached'}"
    return BLOCKED, refusals(errors)
