"""`wgconfine status`: tunnels and services as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wgconfine.cli.dialogue import columns, complain
from wgconfine.model.errors import ExitCode, OperationFailed
from wgconfine.model.verdict import Verdict
from wgconfine.report import status as words
from wgconfine.system.declared import applied
from wgconfine.system.installed import (
    LIVE,
    SERVICES,
    TEMPLATES,
    changed_units,
    closed_services,
    has_other_templates,
    unit_facts,
)
from wgconfine.system.observe import observe
from wgconfine.system.sources import read_all
from wgconfine.system.systemctl import RealSystemctl
from wgconfine.system.tree import read_installed
from wgconfine.system.unitstates import unit_digests

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wgconfine.model.names import UnitName
    from wgconfine.model.settings import Settings
    from wgconfine.model.status import Declared, Status, TunnelStatus
    from wgconfine.model.units import UnitFacts

__all__ = ["current_status", "known_facts", "run_status"]


def run_status(names: Sequence[str], *, as_json: bool) -> ExitCode:
    """Print the state of the named tunnels, or of all.

    7 where a leak was counted, or found by the last verify; 3 where a service runs outside of its
    tunnel.

    Wrong settings are said on stderr and do not keep the rest from being shown.
    """
    status = current_status()
    if names:
        status = narrowed(status, names)
    print(words.as_json(status) if as_json else words.as_text(status, width=columns()))
    return code_of(status)


def code_of(status: Status) -> ExitCode:
    states = [service.state for tunnel in status.tunnels for service in tunnel.services]
    states += [service.state for service in status.closed]
    if any(has_leaked(tunnel) for tunnel in status.tunnels):
        return ExitCode.LEAK
    return ExitCode.NOT_CONFINED if "NOT CONFINED" in states else ExitCode.OK


def has_leaked(tunnel: TunnelStatus) -> bool:
    found = tunnel.verify is not None and tunnel.verify.verdict == Verdict.LEAK
    return found or bool(tunnel.leaked)


def current_status() -> Status:
    """Look at the machine; wrong settings are said on stderr and the rest is given."""
    installed = read_installed(LIVE, (*SERVICES, TEMPLATES))
    found = applied_now() or read_anew()
    return observe(
        RealSystemctl(),
        found.tunnels,
        closed_services(installed),
        changed=changed_units(installed, found.digests),
        other_templates=has_other_templates(installed),
        settings_wrong=found.wrong,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The tunnels that are declared, and the digest of the unit of each of their services.

    `wrong` says that there are settings that could not be read.
    """

    tunnels: Sequence[Declared | Settings]
    digests: Mapping[UnitName, str]
    wrong: bool = False


def applied_now() -> Found | None:
    """Give what was applied, where that is what is declared; None else, or if units changed."""
    tunnels = applied()
    if tunnels is None:
        return None
    services = [unit for each in tunnels for unit in each.services]
    try:
        digests = unit_digests(RealSystemctl(), services)
    except OperationFailed as error:
        complain(str(error))
        digests = {}
    else:
        if digests.keys() != set(services):  # systemd has not read one anew: it is searched for
            return None
    return Found(tunnels=tunnels, digests=digests)


def read_anew() -> Found:
    """Read all settings, and all that is known of their services; what is wrong is said."""
    from wgconfine.plan.aliases import resolve  # noqa: PLC0415 — not needed as a rule

    tunnels, problems = read_all(LIVE)
    complain(*map(str, problems))
    resolved = resolve(tunnels, known_facts(tunnels))
    return Found(
        tunnels=resolved.tunnels,
        digests={unit: facts.digest for unit, facts in resolved.facts.items()},
        wrong=bool(problems),
    )


def known_facts(tunnels: Iterable[Settings]) -> dict[UnitName, UnitFacts]:
    """Give what is known of each service; nothing, with a word, where a file is root's alone."""
    from wgconfine.plan.aliases import enabled_services  # noqa: PLC0415 — not needed as a rule

    try:
        return unit_facts(LIVE, enabled_services(tunnels))
    except OperationFailed as error:
        complain(str(error))
        return {}


def narrowed(status: Status, names: Sequence[str]) -> Status:
    known = {tunnel.name for tunnel in status.tunnels}
    if strangers := sorted(set(names) - known):
        raise OperationFailed(", ".join(strangers), "there is no such tunnel")
    chosen = tuple(tunnel for tunnel in status.tunnels if tunnel.name in names)
    return replace(status, tunnels=chosen, closed=())
