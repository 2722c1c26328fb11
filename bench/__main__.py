"""`make bench`: time from start to finish of bringing a tunnel up, beside the recipe and wg-quick.

In a virtual machine with the kernel's WireGuard, interleaved, the median of 20.
"""

import json
import sys
from pathlib import Path

import lab

HERE = Path(__file__).parent
ROUNDS = 20
BUDGET = 1.0
"""`up`, with firewall and resolver, is to take no longer than the recipe's script without them."""


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
    print(f"budget: up <= {BUDGET:.2f}: {'kept' if ratio <= BUDGET else 'NOT KEPT'} ({ratio:.2f})")
    return 0 if ratio <= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
