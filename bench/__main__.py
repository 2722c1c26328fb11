"""`make bench`: how long a tunnel takes to start, what the tick and often typed commands cost, and
what a published port.

In a virtual machine with the kernel's WireGuard; what is compared is done by turns, and medians
are. Bringing a tunnel up stands beside the recipe and wg-quick, the tick, which runs once a minute
for ever, and the look, which runs after each change, beside a Python that does nothing, and a
published port beside the same server in the open and behind a veth.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import lab
from lab import Machine, World

HERE = Path(__file__).parent
ROUNDS = 20
BUDGET = 1.0
"""`up`, with firewall and resolver, is to take no longer than the recipe's script without them."""
REGULAR = ("wgconfine tick (nothing is due)", "wgconfine look (nothing is missing)")
REGULAR_BUDGET = 5.0
"""Of what is done again and again, with a tunnel that is up: of the time of a bare `python3 -I -c
pass`. Each runs ip(8), nft(8), and systemctl(1) or wg(8)."""
TYPED = {"wgconfine --help": 3.0, "wgconfine status --json": 8.0}
"""Of the time of a bare `python3 -I -c pass`; `status` on one tunnel with one service."""
SERVICE = "[Service]\nDynamicUser=yes\nExecStart=/bin/sleep infinity\n"
OPEN = "unconfined"
PUBLISH = "wgconfine publish"
CONNECT = "new connection and request"
PUBLISHED_BUDGETS = {
    CONNECT: 3.0,
    "request on an open connection": 3.0,
    "download of 64 MiB": 4.0,
}
"""Of a published port: of the time that the same server takes in the open. Client, proxy and server
share one processor."""
PUBLISHED = """\
config = "/etc/wireguard/reach.conf"
backend = "kernel"
services = ["served.service"]
publish = [{ listen = "198.51.100.2:8082", to = 8080, from = ["198.51.100.0/24"] }]
"""

Figures = Mapping[str, float]


def main() -> int:
    wheelhouse = lab.build_wheelhouse(HERE.parent)
    with lab.boot_vm("bookworm", wheelhouse=wheelhouse) as world:
        started = measure_start(world)
        typed = measure_typed(world)
        reached = measure_reach(world)
    kept = [print_start(started), print_typed(typed)]
    kept.append(print_reach(reached))
    return 0 if all(kept) else 1


def measure_start(world: World) -> Figures:
    machine = world.machine
    machine.write("/etc/wireguard/bench.conf", world.internet.provider_conf(), mode=0o600)
    settings = 'config = "/etc/wireguard/bench.conf"\nbackend = "kernel"\n'
    machine.write("/etc/wgconfine/bench.toml", settings)
    machine.run("wgconfine", "apply", timeout=180)
    machine.write("/root/recipe", (HERE / "recipe.sh").read_text(), mode=0o755)
    machine.write("/root/contest.py", (HERE / "contest.py").read_text())
    medians: Figures = json.loads(run(machine, "/root/contest.py", str(ROUNDS)))
    machine.run("wgconfine", "remove", "bench", "--purge", timeout=180)
    return medians


def measure_typed(world: World) -> Figures:
    machine = world.machine
    machine.write("/etc/systemd/system/typed.service", SERVICE)
    machine.systemctl("daemon-reload")
    machine.write("/etc/wireguard/typed.conf", world.internet.provider_conf(), mode=0o600)
    settings = 'config = "/etc/wireguard/typed.conf"\nservices = ["typed.service"]\n'
    machine.write("/etc/wgconfine/typed.toml", settings)
    machine.run("wgconfine", "apply", timeout=180)
    machine.systemctl("start", "typed.service")
    machine.write("/root/typed.py", (HERE / "typed.py").read_text())
    medians: Figures = json.loads(run(machine, "/root/typed.py", str(ROUNDS)))
    machine.run("wgconfine", "remove", "typed", "--release", "--purge", "--yes", timeout=180)
    return medians


def measure_reach(world: World) -> Mapping[str, Figures]:
    machine = world.machine
    machine.write("/root/reach.py", (HERE / "reach.py").read_text())
    run(machine, "/root/reach.py", "prepare")
    machine.write("/etc/wireguard/reach.conf", world.internet.provider_conf(client=3), mode=0o600)
    machine.write("/etc/wgconfine/reach.toml", PUBLISHED)
    machine.run("wgconfine", "apply", timeout=180)
    machine.systemctl("start", "open.service", "behind.service", "served.service")
    medians: Mapping[str, Figures] = json.loads(run(machine, "/root/reach.py", "measure"))
    return medians


def run(machine: Machine, *script: str) -> str:
    return machine.run("python3", *script, timeout=900).stdout


def print_start(medians: Figures) -> bool:
    base = medians["recipe's script"]
    print(
        f"bringing a tunnel up, median of {ROUNDS}, interleaved, as a ratio to the recipe's script"
    )
    for name, seconds in medians.items():
        print_line(name, seconds, base)
    ratio = medians["wgconfine up (with firewall, resolver)"] / base
    kept = verdict("up", ratio, BUDGET)
    bare = medians["python3 -I -c pass"]
    ratios = {name: medians[name] / bare for name in REGULAR}
    said = [
        verdict(f"{name}, to python3 -I -c pass", ratio, REGULAR_BUDGET)
        for name, ratio in ratios.items()
    ]
    return kept and all(said)


def print_typed(medians: Figures) -> bool:
    base = medians["python3 -I -c pass"]
    print(f"commands, median of {ROUNDS}, interleaved, as a ratio to python3 -I -c pass")
    for name, seconds in medians.items():
        print_line(name, seconds, base)
    kept = [verdict(name, medians[name] / base, budget) for name, budget in TYPED.items()]
    return all(kept)


def print_reach(measures: Mapping[str, Figures]) -> bool:
    print("a web server, asked from its own machine, as a ratio to the same in the open")
    for measure, medians in measures.items():
        print(f" {measure}")
        base = medians.get(OPEN, measures[CONNECT][OPEN])
        for name, seconds in medians.items():
            print_line(name, seconds, base)
    kept = [
        verdict(f"publish, {each}", measures[each][PUBLISH] / measures[each][OPEN], budget)
        for each, budget in PUBLISHED_BUDGETS.items()
    ]
    return all(kept)


def print_line(name: str, seconds: float, base: float) -> None:
    print(f"  {name:<44} {seconds / base:5.2f}   ({seconds * 1000:.1f} ms here)")


def verdict(what: str, ratio: float, budget: float) -> bool:
    kept = ratio <= budget
    print(f"budget: {what} <= {budget:.2f}: {'kept' if kept else 'NOT KEPT'} ({ratio:.2f})")
    return kept


if __name__ == "__main__":
    sys.exit(main())
