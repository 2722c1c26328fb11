"""Bring a tunnel up in several ways, by turns, and print the median seconds of each as JSON."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PYTHON = "/opt/wgconfine/bin/python3"
# As the units have it.
RUNTIME = (PYTHON, "-I", "-c", "from wgconfine.runtime.__main__ import run; run()")
QUICK = ("nsenter", "--net=/run/netns/quick")
UP, DOWN, NOTHING = (*RUNTIME, "up", "bench"), (*RUNTIME, "down", "bench"), ("true",)
# Without what the verb does besides: it waits for others to look at.
LOOK = """\
from wgconfine.runtime import look, whole
import sys
sys.exit(" ".join(whole.missing_inside("bench").values()) or None)
"""

# Each: its name, what goes before, what is timed, and what takes it down again.
CONTEST: dict[str, tuple[Sequence[str], Sequence[str], Sequence[str]]] = {
    "recipe's script": (NOTHING, ("/root/recipe",), ("ip", "-n", "recipe", "link", "del", "wg0")),
    "wgconfine up (with firewall, resolver)": (NOTHING, UP, DOWN),
    "wg-quick up": (
        NOTHING,
        (*QUICK, "wg-quick", "up", "/root/quick.conf"),
        (*QUICK, "wg-quick", "down", "/root/quick.conf"),
    ),
    "wgconfine tick (nothing is due)": (UP, (*RUNTIME, "tick"), DOWN),
    "wgconfine look (nothing is missing)": (UP, (PYTHON, "-I", "-c", LOOK), DOWN),
    "python3 -I -c pass": (NOTHING, ("/usr/bin/python3", "-I", "-c", "pass"), NOTHING),
}


def run(argv: Sequence[str]) -> float:
    begin = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    taken = time.perf_counter() - begin
    if done.returncode != 0:
        sys.exit(f"{argv}: {done.stderr.decode()}")
    return taken


def prepare() -> None:
    conf = Path("/etc/wireguard/bench.conf").read_text()
    lines = [line for line in conf.splitlines() if not line.startswith("DNS")]
    for name, text in (("quick", lines), ("recipe", [x for x in lines if "Address" not in x])):
        subprocess.run(["ip", "netns", "add", name], check=True)
        path = Path(f"/root/{name}.conf")
        path.touch(mode=0o600)
        path.write_text("\n".join(text) + "\n")
    subprocess.run(["ip", "-n", "quick", "link", "set", "lo", "up"], check=True)
    run((*RUNTIME, "down", "bench"))


def main(rounds: int) -> None:
    prepare()
    taken: dict[str, list[float]] = {name: [] for name in CONTEST}
    for turn in range(rounds + 2):  # the first two warm caches and load modules
        for name, (before, timed, after) in CONTEST.items():
            run(before)
            seconds = run(timed)
            run(after)
            if turn >= 2:
                taken[name].append(seconds)
    print(json.dumps({name: statistics.median(each) for name, each in taken.items()}))


os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
main(int(sys.argv[1]))
