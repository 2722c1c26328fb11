"""`make bench`: time from start to finish of bringing a tunnel up, beside the recipe and wg-quick.

And of the tick, which runs once a minute for ever, beside a Python that does nothing. In a virtual
machine with the kernel's WireGuard, interleaved, the median of 20.
"""

import json
import sys
from pathlib import Path

import lab

HERE = Path(__file__).parent
ROUNDS = 20
BUDGET = 1.0
"""`up`, with firewall and resolver, is to take no longer than the recipe's script without them."""
TICK_BUDGET = 4.0
"""The tick runs systemctl once: of the time of a bare `python3 -I -c pass`."""


def main() -> int:
    wheelhouse = lab.build_wheelhouse(HERE.parent)
    with lab.boot_vm("bookworm", wheelhouse=wheelhouse) as world:
        machine = world.machine
        machine.write("/etc/wireguard/bench.conf", world.internet.provider_conf(), mode=0o600)
        settings = 'config = "/etc/wireguard/bench.conf"\nbackend = "kernel"\n'
        machine.write("/etc/wgconfine/bench.toml", settings)
        machine.run("wgconfine", "apply", timeout=180)
        machine.write("/root/recipe", (HERE / "recipe.sh").read_text(), mode=0o755)
        machine.write("/root/contest.py", (HERE / "contest.py").read_text())
        done = machine.run("python3", "/root/contest.py", str(ROUNDS), timeout=600)
    medians: dict[str, float] = json.loads(done.stdout)
    base = medians["recipe's script"]
    print(
        f"bringing a tunnel up, median of {ROUNDS}, interleaved, as a ratio to the recipe's script"
    )
    for name, seconds in medians.items():
        print(f"  {name:<44} {seconds / base:5.2f}   ({seconds * 1000:.0f} ms here)")
    ratio = medians["wgconfine up (with firewall, resolver)"] / base
    kept = [verdict("up", ratio, BUDGET)]
    ratio = medians["wgconfine tick (nothing is due)"] / medians["python3 -I -c pass"]
    kept.append(verdict("tick, to python3 -I -c pass", ratio, TICK_BUDGET))
    return 0 if all(kept) else 1


def verdict(what: str, ratio: float, budget: float) -> bool:
    kept = ratio <= budget
    print(f"budget: {what} <= {budget:.2f}: {'kept' if kept else 'NOT KEPT'} ({ratio:.2f})")
    return kept


if __name__ == "__main__":
    sys.exit(main())
