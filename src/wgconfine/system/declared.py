"""What is declared, as `status` asks for it: quickly where nothing has changed since `apply`."""

from __future__ import annotations

import json
import os

from wgconfine.config.digest import settings_digest
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.names import TunnelName, UnitName
from wgconfine.model.status import Declared
from wgconfine.render.places import record_path
from wgconfine.system.sources import LIVE, PLACE, fragments_of, listed, read_text

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["applied", "read_record"]


def applied() -> list[Declared] | None:
    """Give every tunnel that is declared; None where not all were applied as they are now.

    NAME.json has the digest of the settings that it was made from. Where that is theirs still, all
    that is asked of them stands there: they were read by `apply`, which found nothing wrong.
    Raises NeedsRoot where this user may not read a file.
    """
    found = []
    for path in listed(LIVE, PLACE):
        try:
            texts = [read_text(LIVE, each) for each in (path, *fragments_of(LIVE, path))]
        except ProblemsFound:
            return None
        declared = recorded(TunnelName(path.stem), texts)
        if declared is None:
            return None
        found.append(declared)
    return found


def recorded(name: TunnelName, texts: list[str]) -> Declared | None:
    """Give what NAME.json has of these settings; None if it is of others, or names are not theirs.

    A service that the settings list by an alias is there by its real name: another one, once the
    alias has moved.
    """
    record = read_record(name) or {}
    digest, services = settings_digest(texts), record.get("services")
    if record.get("settings-digest") != digest or not isinstance(services, list):
        return None
    if not all(any(is_named(unit, text) for text in texts) for unit in map(str, services)):
        return None
    return Declared(name=name, digest=digest, services=tuple(map(UnitName, map(str, services))))


def is_named(unit: str, text: str) -> bool:
    """Tell whether settings have this name; between double quotes TOML doubles a backslash."""
    return unit in text or unit.replace("\\", r"\\") in text


def read_record(name: TunnelName) -> Mapping[str, object] | None:
    """Give NAME.json; None where there is none, or what is no such thing."""
    try:
        with open(os.fspath(record_path(name)), encoding="utf-8") as file:  # noqa: PTH123 — no Path for it
            values = json.load(file)
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None
