"""A bus that is none: what answers may be anything, and is said in words."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wgconfine.verify.bus import Bus

OK = b"OK 1234\r\n"


@contextmanager
def answering(path: Path, said: bytes) -> Iterator[None]:
    """Have somebody listen there who says this, whatever he is told, and hangs up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connected, _ = listener.accept()
            with connected:
                connected.recv(1000)
                connected.sendall(said)
                connected.shutdown(socket.SHUT_WR)
                while connected.recv(1000):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"REJECTED EXTERNAL\r\n", "the bus takes no such user"),
        (b"", "the bus hung up"),
        (OK, "the bus hung up"),
        (OK + b"B" + bytes(15), "the bus speaks another byte order"),
        (OK + struct.pack("<cBBBIII", b"l", 2, 0, 1, 1 << 20, 1, 0), "the bus says too much"),
        (OK + struct.pack("<cBBBIII", b"l", 2, 0, 1, 0, 1, 1 << 20), "the bus says too much"),
    ],
)
def test_what_is_no_bus_is_said(tmp_path: Path, said: bytes, why: str) -> None:
    """And no more of it is read than a bus would say."""
    with answering(tmp_path / "bus", said), pytest.raises(OSError, match=why):
        Bus(str(tmp_path / "bus"))
