"""What one area of `wgconfine verify` says of a service, asked on the machine as the command asks.

All of it takes seconds, and most tests are about one area: the others are left out, and nothing
else is done in another way.
"""

import json
from dataclasses import dataclass

from lab import World

PYTHON = "/opt/wgconfine/bin/python3"
PROGRAM = """\
import sys
from wgconfine.report.verify import as_json
from wgconfine.system.systemctl import RealSystemctl
from wgconfine.verify.run import AREAS, verify_all
areas = [each for each in AREAS if each[0] == sys.argv[1]]
report = verify_all(RealSystemctl(), sys.argv[2:], areas)
print(as_json(report.tunnels, report.closed, seconds=report.seconds))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One check: its verdict, what was seen, and what mends it."""

    verdict: str
    evidence: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The checks of one service, by name; `seconds` is how long the checks of all took."""

    checks: dict[str, Found]
    seconds: float

    def __getitem__(self, name: str) -> str:
        return self.checks[name].verdict

    def evidence(self, name: str) -> str:
        return self.checks[name].evidence

    def mend(self, name: str) -> str:
        return self.checks[name].mend

    @property
    def not_well(self) -> dict[str, str]:
        """The verdict of each check that is not *ok*."""
        return {name: each.verdict for name, each in self.checks.items() if each.verdict != "ok"}


def ask(world: World, unit: str, *, area: str = "processes") -> Said:
    """Ask as root, in the host's namespaces."""
    answer = world.machine.run(PYTHON, "-I", "-c", PROGRAM, area, "vpn", timeout=600).stdout
    (found,) = json.loads(answer)["tunnels"]
    return Said(
        checks={
            each["name"]: Found(
                verdict=each["verdict"], evidence=each["evidence"], mend=each["mend"]
            )
            for each in found["checks"]
            if (each["area"], each["unit"]) == (area, unit)
        },
        seconds=found["seconds"],
    )


def try_escapes(world: World, unit: str) -> dict[str, Found]:
    """Give what was found of each channel of a service, by the name of the channel."""
    return ask(world, unit, area="escapes").checks
