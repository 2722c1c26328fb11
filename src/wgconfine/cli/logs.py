"""`wgconfine logs`: the journal of a tunnel, its namespace and its services, as one."""

import os
import shutil
from collections.abc import Sequence
from typing import NoReturn

from wgconfine.cli.named import tunnel_name
from wgconfine.cli.status import known_facts
from wgconfine.config.words import name_tunnels
from wgconfine.model.errors import OperationFailed
from wgconfine.model.settings import Settings
from wgconfine.plan.aliases import resolve
from wgconfine.render.places import command_prefix
from wgconfine.system.installed import LIVE
from wgconfine.system.sources import read_all

__all__ = ["journal_units", "run_logs"]

KINDS = (
    *("netns", "reload", "rebind", "next", "relink", "endpoint", "wireguard", "look", "name"),
    *("ready", "changed", "switch", "verify", "paths", "repath"),
)
PER_ENTRY = ("publish", "reach", "paths", "watch")


def run_logs(name: str, options: Sequence[str]) -> NoReturn:
    """Become journalctl(1), which knows pagers, terminals and what a user may read.

    Raises OperationFailed where there is no such tunnel or no journalctl.
    """
    wanted = tunnel_name(name)
    tunnels, problems = read_all(LIVE)
    known = {settings.name: settings for settings in resolve(tunnels, known_facts(tunnels)).tunnels}
    if wanted not in known:
        if problems:
            what = "there is no such tunnel, or its settings are wrong"
            raise OperationFailed(name, what, "See what is wrong: wgconfine check")
        raise OperationFailed(name, "there is no such tunnel", name_tunnels(known))
    program = shutil.which("journalctl")
    if program is None:
        raise OperationFailed("journalctl", "it is not there", "Install systemd")
    units = (f"--unit={unit}" for unit in journal_units(known[wanted]))
    os.execv(program, ["journalctl", *options, *units])  # noqa: S606 - no shell


def journal_units(settings: Settings) -> list[str]:
    """Give the units of a tunnel as journalctl takes them: names, and patterns of ours."""
    name = settings.name
    stems = [unit.removesuffix(".service") for unit in settings.services]
    return [
        f"wgconfine@{name}.service",
        *(f"wgconfine-{kind}@{name}.service" for kind in KINDS),
        *(f"wgconfine-{kind}@{name}.*" for kind in PER_ENTRY),
        *settings.services,
        *(f"wgconfine-{kind}@{stem}.service" for stem in stems for kind in ("probe", "bus")),
        # A backslash, as in an escaped name, is an escape in patterns.
        command_prefix(name).replace("\\", "\\\\") + "*.service",
    ]
