"""Is the rule of `pin-endpoint` in force, and is every peer where it is pinned to?"""

from functools import partial

from wgconfine.model.state import ALIVE
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.runtime import pin
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import load
from wgconfine.runtime.switch import Table
from wgconfine.verify.subject import Subject

__all__ = ["check_pin", "judge_pin"]

check = partial(Check, area=Area.STRUCTURE, name="pin-endpoint")


def check_pin(subject: Subject) -> list[Check]:
    """Give what is to be said of the rule; nothing of a tunnel that has none, or is down."""
    name = subject.name
    tunnel = subject.states[f"wgconfine@{name}.service"]
    try:
        if tunnel.active not in ALIVE or not load(name).pin_endpoint:
            return []
        return [judge_pin(name, pin.read_pins(name), pin.look(name))]
    except (Failure, OSError, ValueError) as error:
        return [check(verdict=Verdict.UNKNOWN, evidence=str(error))]


def judge_pin(name: str, pins: pin.Pins | None, table: Table | None) -> Check:
    """Compare the rule with what the tunnel was configured with, to the letter."""
    where = f"table inet {pin.table_name(name)}"
    mend = f"systemctl reload wgconfine@{name}.service"
    if pins is None:
        evidence = "the tunnel was configured without it"
        return check(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)
    if table is None:
        evidence = f"{where} is not there"
        return check(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)
    lines = table.chains.get(pin.CHAIN, [])
    if lines != pin.chain_lines(pins):
        said = " / ".join(lines) or "is not there"
        evidence = f"chain {pin.CHAIN} of {where}: {said}"
        return check(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)
    dropped = table.counted.get(pin.COUNTER, 0)
    evidence = f"encrypted packets go to {pins} alone; {dropped} to others dropped"
    return check(verdict=Verdict.OK, evidence=evidence)
