"""The confined service: sends TCP, UDP and look-ups without pause, and writes down each success.

A line for each: channel, and when the attempt began and ended, in seconds since the machine's boot,
which no change of the date moves. Arguments: the file, and the two addresses of an echo server.
SIGUSR2 has it take memory until it is killed.
"""

import itertools
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

PORT = 7
PAUSE = 0.3  # seconds between attempts of a channel
PATIENCE = 1.5  # seconds for an answer
LOOKUPS = threading.BoundedSemaphore(40)  # libc waits longer than we do: so many at a time
PATH, V4, V6 = sys.argv[1:]
TOKEN = secrets.token_hex(4)


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


LOG = os.open(PATH, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def note(channel: str, began: float) -> None:
    os.write(LOG, f"{channel} {began:.3f} {now():.3f}\n".encode())


def tcp(host: str) -> None:
    with socket.create_connection((host, PORT), timeout=PATIENCE) as connection:
        exchange(connection)


def udp(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect((host, PORT))
        exchange(connection)


def exchange(connection: socket.socket) -> None:
    connection.sendall(TOKEN.encode())
    if connection.recv(64) != TOKEN.encode():
        raise ConnectionError("not what was sent")


def repeat(channel: str, attempt: Callable[[], None]) -> None:
    while True:
        began = now()
        try:
            attempt()
        except OSError:
            pass
        else:
            note(channel, began)
        time.sleep(PAUSE)


def look_up(name: str) -> None:
    began = now()
    try:
        socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
    except OSError:
        pass
    else:
        note("dns", began)
    finally:
        LOOKUPS.release()


def look_up_all() -> None:
    for number in itertools.count():
        if LOOKUPS.acquire(timeout=1):
            name = f"sender-{TOKEN}-{number}.example.net"
            threading.Thread(target=look_up, args=(name,), daemon=True).start()
        time.sleep(PAUSE)


def stream() -> None:
    """One connection as long as it lasts; each time it is opened is written down."""
    with socket.create_connection((V4, PORT), timeout=PATIENCE) as connection:
        note("opened", now())
        connection.settimeout(15)
        while True:
            began = now()
            exchange(connection)
            note("stream", began)
            time.sleep(PAUSE)


def take_memory(*_: object) -> None:
    taken = []
    while True:
        taken.append(bytearray(1 << 20))


signal.signal(signal.SIGUSR2, take_memory)
for channel, attempt in (
    ("tcp4", lambda: tcp(V4)),
    ("tcp6", lambda: tcp(V6)),
    ("udp4", lambda: udp(V4)),
    ("udp6", lambda: udp(V6)),
    ("stream", stream),
):
    threading.Thread(target=repeat, args=(channel, attempt), daemon=True).start()
threading.Thread(target=look_up_all, daemon=True).start()
while True:
    signal.pause()
