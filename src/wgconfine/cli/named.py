"""Services as a person names them on the command line, and the units that they are."""

from collections.abc import Collection, Sequence
from pathlib import Path

from wgconfine.config.escape import quote
from wgconfine.config.unitwords import find_services
from wgconfine.config.values import WrongValueError, read_tunnel_name
from wgconfine.config.words import suggest_services
from wgconfine.model.errors import Refused
from wgconfine.model.settings import TunnelName, UnitName
from wgconfine.model.units import UnitFacts
from wgconfine.system.installed import unit_facts

__all__ = ["fitting", "refusal", "there", "tunnel_name"]

LISTED = "To see which there are: systemctl list-unit-files --type=service"


def fitting(
    words: Sequence[str], known: Collection[UnitName], kind: str = "service"
) -> list[UnitName]:
    """Give the services that names and patterns stand for. Raises Refused for what is no name."""
    try:
        return find_services(words, known, kind)
    except WrongValueError as error:
        raise refusal(error) from None


def there(
    root: Path, units: Sequence[UnitName], known: Collection[UnitName]
) -> dict[UnitName, UnitFacts]:
    """Give services by their real names. Raises Refused for all that are not there."""
    facts = unit_facts(root, units)
    missing = [unit for unit in units if facts[unit].load_state == "not-found"]
    if missing:
        hints = {unit: suggest_services(unit, known) or LISTED for unit in missing}
        lines = [f"There is no service {quote(unit)}. {hints[unit]}" for unit in missing]
        raise Refused("\n".join(lines))
    return {facts[unit].name: facts[unit] for unit in units}


def tunnel_name(word: str) -> TunnelName:
    """Read the name of a tunnel. Raises Refused."""
    try:
        return read_tunnel_name(word)
    except WrongValueError as error:
        raise refusal(error) from None


def refusal(error: WrongValueError, option: str = "") -> Refused:
    """Give what is wrong with a word of the command line, as the error that it is there."""
    end = "" if not error.hint or error.hint.endswith("?") else "."
    return Refused(f"{option} {error.what}. {error.hint}{end}".strip())
