"""A port scan by nmap(1), and what answered; `run` runs a program where the scanner stands."""

import re
from collections.abc import Callable, Iterable
from xml.etree import ElementTree as ET

from lab.requirements import require

Run = Callable[..., str]

ALL = "1-65535"
FAST = ("-n", "-Pn", "--send-ip", "--host-timeout=300s")
SILENT = {"filtered", "open|filtered"}

SERVER = """
import selectors, socket, sys
watched = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        opened = socket.socket(socket.AF_INET6, kind)
        opened.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            opened.listen(1024)
        watched.register(opened, selectors.EVENT_READ)
while True:
    for key, _ in watched.select():
        if key.fileobj.type == socket.SOCK_STREAM:
            key.fileobj.accept()[0].close()
        else:
            key.fileobj.sendto(b"here", key.fileobj.recvfrom(2048)[1])
"""
"""Answers on every address of its namespace, by TCP and UDP, IPv4 and IPv6."""


def answering(
    run: Run, kind: str, target: str, ports: str = ALL, *, rate: int = 3000, retries: int = 2
) -> dict[str, set[int]]:
    """Give the ports that answered by their state, `open` or `closed`. `kind` is tcp or udp.

    A port whose packets are dropped does not answer: nmap calls it filtered. `rate` is in packets a
    second; of more than its default wireguard-go may lose some. Who is slow to answer is asked
    `retries` times more.
    """
    require("nmap")
    scan = {"tcp": "-sS", "udp": "-sU"}[kind]
    family = ("-6",) if ":" in target else ()
    how = (*family, *FAST, f"--max-retries={retries}", f"--min-rate={rate}", scan)
    text = run("nmap", *how, "-p", ports, "-oX", "-", target)
    host = ET.fromstring(text).find("host")  # noqa: S314 — nmap's own
    assert host is not None, text
    found: dict[str, set[int]] = {}
    for port in host.iterfind("ports/port"):
        state = port.find("state")
        assert state is not None
        found.setdefault(state.get("state", ""), set()).add(int(port.get("portid", "")))
    for many in host.iterfind("ports/extraports"):
        if many.get("state") not in SILENT:
            listed = many.find("extrareasons")
            assert listed is not None
            found.setdefault(many.get("state", ""), set()).update(spread(listed.get("ports", "")))
    return {state: ports for state, ports in found.items() if state not in SILENT}


def spread(ranges: str) -> Iterable[int]:
    """Give the ports of a list such as `1-3,7`."""
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", ranges):
        yield from range(int(first), int(last or first) + 1)
