"""Time what is typed often, by turns with a bare Python, and print the median seconds as JSON."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

COMMANDS: dict[str, Sequence[str]] = {
    "python3 -I -c pass": ("/usr/bin/python3", "-I", "-c", "pass"),
    "wgconfine --help": ("wgconfine", "--help"),
    "wgconfine status --json": ("wgconfine", "status", "--json"),
}


def run(argv: Sequence[str]) -> float:
    begin = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    taken = time.perf_counter() - begin
    if done.returncode != 0:
        sys.exit(f"{argv}: {done.stderr.decode()}")
    return taken


def main(rounds: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(rounds + 2):  # the first two warm caches
        for name, argv in COMMANDS.items():
            seconds = run(argv)
            if turn >= 2:
                taken[name].append(seconds)
    print(json.dumps({name: statistics.median(each) for name, each in taken.items()}))


os.environ["PATH"] = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
main(int(sys.argv[1]))
