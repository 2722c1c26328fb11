"""A port scan by nmap(1), and what answered; `run` runs a program where the scanner stands."""

import re
from collections.abc import Callable, Iterable
from xml.etree import ElementTree as ET

Run = Callable[..., str]

ALL = "1-65535"
FAST = ("-n", "-Pn", "--send-ip", "--min-rate=30000", "--max-retries=1", "--host-timeout=60s")
SILENT = {"filtered", "open|filtered"}


def answering(run: Run, kind: str, target: str, ports: str = ALL) -> dict[str, set[int]]:
    """Give the ports that answered by their state, `open` or `closed`. `kind` is tcp or udp.

    A port whose packets are dropped does not answer: nmap calls it filtered.
    """
    scan = {"tcp": "-sS", "udp": "-sU"}[kind]
    family = ("-6",) if ":" in target else ()
    text = run("nmap", *family, *FAST, scan, "-p", ports, "-oX", "-", target)
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
