"""`wgconfine status`: tunnels and services as they are."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from wgconfine.cli.dialogue import coloured, columns, complain
from wgconfine.config.words import refuse_strangers
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

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wgconfine.model.names import UnitName
    from wgconfine.model.settings import Settings
    from wgconfine.model.state import UnitState
    from wgconfine.model.status import Status, TunnelStatus
    from wgconfine.model.units import UnitFacts

__all__ = ["current_status", "known_facts", "narrowed", "run_status"]


def run_status(names: Sequence[str], *, as_json: bool) -> ExitCode:
    """Print the state of the named tunnels, or of all.

    7 where a leak was counted, or found by the last verify; 3 where a service runs outside of its
    tunnel.

    Wrong settings are said on stderr and do not keep the rest from being shown.
    """
    status = narrowed(current_status(), names)
    text = words.as_json if as_json else partial(words.as_text, width=columns(), colour=coloured())
    print(text(status))
    return code_of(status)


def code_of(status: Status) -> ExitCode:
    states = [service.state for tunnel in status.tunnels for service in tunnel.services]
    states += [command.state for tunnel in status.tunnels for command in tunnel.commands]
    states += [service.state for service in status.closed]
    if any(has_leaked(tunnel) for tunnel in status.tunnels):
        return ExitCode.LEAK
    return ExitCode.NOT_CONFINED if "NOT CONFINED" in states else ExitCode.OK


def has_leaked(tunnel: TunnelStatus) -> bool:
    found = tunnel.verify is not None and tunnel.verify.verdict == Verdict.LEAK
    return found or bool(tunnel.leaked)


def current_status(say: Callable[[str], None] = complain) -> Status:
    """Look at the machine; what of the settings is wrong is said, and the rest is given."""
    installed = read_installed(LIVE, (*SERVICES, TEMPLATES))

    def changed(states: Mapping[str, UnitState]) -> set[UnitName]:
        try:
            return changed_units(installed, states)
        except OperationFailed as error:  # a file is root's alone
            say(str(error))
            return set()

    declared = applied()  # of which nothing can be wrong
    tunnels, wrong = (declared, False) if declared is not None else read_anew(say)
    return observe(
        RealSystemctl(),
        tunnels,
        closed_services(installed),
        changed=changed,
        other_templates=has_other_templates(installed),
        settings_wrong=wrong,
    )


def read_anew(say: Callable[[str], None]) -> tuple[Sequence[Settings], bool]:
    """Read all settings, services by their real names; say what is wrong, give whether it is."""
    from wgconfine.plan.aliases import resolve  # noqa: PLC0415 — not needed as a rule

    tunnels, problems = read_all(LIVE)
    for problem in problems:
        say(str(problem))
    return resolve(tunnels, known_facts(tunnels, say)).tunnels, bool(problems)


def known_facts(
    tunnels: Iterable[Settings], say: Callable[[str], None] = complain
) -> dict[UnitName, UnitFacts]:
    """Give what is known of each service; nothing, with a word, where a file is root's alone."""
    from wgconfine.plan.aliases import enabled_services  # noqa: PLC0415 — not needed as a rule

    try:
        return unit_facts(LIVE, enabled_services(tunnels))
    except OperationFailed as error:
        say(str(error))
        return {}


def narrowed(status: Status, names: Sequence[str]) -> Status:
    """Give the named tunnels alone; everything for none. Raises OperationFailed for a stranger."""
    if not names:
        return status
    refuse_strangers(names, {tunnel.name for tunnel in status.tunnels})
    chosen = tuple(tunnel for tunnel in status.tunnels if tunnel.name in names)
    return replace(status, tunnels=chosen, closed=())
