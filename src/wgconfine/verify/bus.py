"""As much of D-Bus as one call takes: it runs in any sandbox, without a library.

The D-Bus specification, "Authentication protocol" and "Message protocol".
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from wgconfine.verify.attempt import BLOCKED, SECONDS, refusals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from wgconfine.verify.attempt import Outcome

SYSTEM_BUS = ("/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket")

_CALL, _RETURN, _ERROR = 1, 2, 3
_NO_AUTO_START = 2
_FIELDS = {
    "path": 1,
    "interface": 2,
    "member": 3,
    "error": 4,
    "reply": 5,
    "destination": 6,
    "signature": 8,
}
_ENOUGH = 1 << 16
_SIZES = {"i": 4, "u": 4, "t": 8, "s": 4, "o": 4, "g": 1, "y": 1}


class BusError(Exception):
    """An error came back; `name` is the D-Bus name of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


class Bus:
    """A connection to a message bus. Raises OSError where it can't be reached or hangs up."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._serial = 0
        self._unread = b""
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._end.settimeout(SECONDS)
            self._end.connect(path)
            self._end.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode())
            self._end.sendall(b"\r\n")
            self._begin()
            name = "org.freedesktop.DBus"
            self.call(name, "/org/freedesktop/DBus", name, "Hello")
        except BaseException:
            self._end.close()
            raise

    def _begin(self) -> None:
        if not self._line().startswith(b"OK"):
            raise PermissionError(errno.EACCES, "the bus takes no such user")
        self._end.sendall(b"BEGIN\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.close()

    def pack(self, signature: str, *values: object) -> bytes:
        """Give arguments of simple types as they stand in a message."""
        packed = b""
        for kind, each in zip(signature, values, strict=True):
            packed += b"\0" * (-len(packed) % _SIZES[kind]) + _simple(kind, each)
        return packed

    def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        *,
        signature: str = "",
        body: bytes = b"",
    ) -> bytes:
        """Call, without starting anybody, and give the body of the answer. Raises BusError."""
        self._serial += 1
        fields = [("path", "o", path), ("destination", "s", destination)]
        fields += [("interface", "s", interface), ("member", "s", member)]
        fields += [("signature", "g", signature)] if signature else []
        array = b""
        for name, kind, text in fields:
            array += b"\0" * (-len(array) % 8)
            array += bytes([_FIELDS[name], 1, ord(kind), 0])
            array += _simple(kind, text)
        head = struct.pack("<cBBBII", b"l", _CALL, _NO_AUTO_START, 1, len(body), self._serial)
        message = head + struct.pack("<I", len(array)) + array
        self._end.sendall(message + b"\0" * (-len(message) % 8) + body)
        return self._answer()

    def _answer(self) -> bytes:
        while True:
            head = self._bytes(16)
            if head[:1] != b"l":
                raise ConnectionError("the bus speaks another byte order")
            _, kind, _, _, body_length, _, array_length = struct.unpack("<cBBBIII", head)
            if max(body_length, array_length) > _ENOUGH:
                raise ConnectionError("the bus says too much")
            array = self._bytes(array_length + -array_length % 8)[:array_length]
            body = self._bytes(body_length)
            fields = _parse(array)
            if fields.get(_FIELDS["reply"]) != self._serial:
                continue  # a signal
            if kind == _ERROR:
                raise BusError(str(fields.get(_FIELDS["error"], "")))
            if kind == _RETURN:
                return body

    def _line(self) -> bytes:
        while b"\r\n" not in self._unread:
            self._more()
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line

    def _bytes(self, count: int) -> bytes:
        while len(self._unread) < count:
            self._more()
        got, self._unread = self._unread[:count], self._unread[count:]
        return got

    def _more(self) -> None:
        more = self._end.recv(4096)
        if not more or len(self._unread) > 4 * _ENOUGH:
            raise ConnectionError("the bus hung up")
        self._unread += more


def ask_system_bus(question: Callable[[Bus], Outcome]) -> Outcome:
    """Give what `question` gives on the first path by which the host's bus takes us for a client.

    Raises BusError where it takes nobody.
    """
    errors: list[OSError] = []
    for path in SYSTEM_BUS:
        try:
            with Bus(path) as bus:
                return question(bus)
        except OSError as error:
            errors.append(error)
    return BLOCKED, refusals(errors)


def _simple(kind: str, value: object) -> bytes:
    if kind in "so":
        text = str(value).encode()
        return struct.pack("<I", len(text)) + text + b"\0"
    if kind == "g":
        text = str(value).encode()
        return bytes([len(text)]) + text + b"\0"
    return struct.pack("<" + {"i": "i", "u": "I", "t": "Q"}[kind], value)


def _parse(array: bytes) -> dict[int, object]:
    """Header fields: structs of a byte and a variant of a string, a signature or a number."""
    fields: dict[int, object] = {}
    at = 0
    while at + 4 < len(array):
        at += -at % 8
        code, kind = array[at], chr(array[at + 2])
        at += 4
        if kind in "so":
            (length,) = struct.unpack_from("<I", array, at)
            fields[code] = array[at + 4 : at + 4 + length].decode(errors="replace")
            at += 4 + length + 1
        elif kind == "g":
            at += 2 + array[at]
        elif kind == "u":
            (fields[code],) = struct.unpack_from("<I", array, at)
            at += 4
        else:
            break
    return fields
