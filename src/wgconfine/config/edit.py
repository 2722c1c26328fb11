"""Edits of a settings file that keep its comments and its order. Text in, text out."""

import tomllib
from collections.abc import Mapping, MutableMapping
from typing import Any

import tomlkit
from tomlkit.items import AoT, Array, Table

from wgconfine.config.starter import PUBLISH_OFFER

__all__ = [
    "add_publish",
    "add_refinement",
    "add_service",
    "remove_refinement",
    "remove_service",
    "set_enable",
    "take_refinement",
]


def add_service(text: str, unit: str) -> str:
    """Put `unit` at the end of `services`; a text that lists it stays as it is.

    Raises ValueError if the text is not TOML, or its `services` no list.
    """
    return _add(text, "services", unit)


def add_publish(text: str, entry: str) -> str:
    """Put `entry` at the end of `publish`; the rest as `add_service`."""
    return _add(text, "publish", entry, offer=PUBLISH_OFFER)


def take_refinement(text: str, unit: str) -> str:
    """Give the table `[service."UNIT"]` as a text of its own, with its comments; else empty.

    Raises ValueError if the text is not TOML.
    """
    tables = tomlkit.parse(text.removeprefix("\ufeff")).get("service")
    if not isinstance(tables, Mapping) or unit not in tables:
        return ""
    taken = tables[unit]
    document, parent = tomlkit.document(), tomlkit.table(is_super_table=True)
    whole = isinstance(taken, Table) and not taken.is_super_table() and taken.display_name
    parent.append(unit, taken if whole else tomlkit.item(taken.unwrap()))
    document.append("service", parent)
    return tomlkit.dumps(document).strip() + "\n"


def add_refinement(text: str, unit: str, table: str) -> str:
    """Put a table that `take_refinement` has given to the end; the empty one changes nothing.

    Raises ValueError if the text is not TOML.
    """
    if not table:
        return text
    plain = text.removeprefix("\ufeff")
    values = tomllib.loads(table)["service"][unit]
    edited = plain.rstrip("\n") + "\n\n" + table
    if _says(edited, "service", {**_values(plain).get("service", {}), unit: values}):
        return edited
    document = tomlkit.parse(plain)  # where its tables are written in one line
    document.setdefault("service", tomlkit.table())[unit] = values
    return tomlkit.dumps(document)


def _add(text: str, key: str, value: str, *, offer: str = "") -> str:
    plain = text.removeprefix("\ufeff")
    document = tomlkit.parse(plain)
    array = document.get(key)
    if array is None:
        return _with_new_list(plain, document, key, value, offer)
    if not isinstance(array, Array):
        raise ValueError(f"{key} is no list")  # noqa: TRY004 — as for any other wrong text
    wanted = [*array.unwrap(), value]
    if value in wanted[:-1]:
        return text
    array.append(value)
    edited = tomlkit.dumps(document)
    if not _says(edited, key, wanted):
        # tomlkit forgets the comma behind a last entry that has a comment on the next line.
        document = tomlkit.parse(plain)
        document[key] = wanted
        edited = tomlkit.dumps(document)
    return edited


def _with_new_list(
    plain: str, document: tomlkit.TOMLDocument, key: str, value: str, offer: str
) -> str:
    line = f"{key} = [\n  {tomlkit.item(value).as_string()},\n]\n"
    if offer and f"\n{offer}\n" in plain:
        edited = plain.replace(f"\n{offer}\n", f"\n{line}", 1)
        if _says(edited, key, [value]):  # it could stand in a text of several lines
            return edited
    if any(isinstance(each, (Table, AoT)) for each in document.values()):
        # Behind a table it would be that one's; any place between may part a comment from what it
        # is about.
        return line + plain
    return plain + ("" if plain.endswith("\n") or not plain else "\n") + line


def _values(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def _says(text: str, key: str, value: object) -> bool:
    try:
        return bool(_values(text).get(key) == value)
    except tomllib.TOMLDecodeError:
        return False


def remove_service(text: str, unit: str) -> str:
    """Take `unit` out of `services`; a text that does not list it stays as it is.

    The comment on the unit's own line goes with it. Raises ValueError if the text is not TOML.
    """
    plain = text.removeprefix("\ufeff")
    document = tomlkit.parse(plain)
    services = document.get("services")
    if not isinstance(services, Array) or unit not in services:
        return text
    left = [each for each in services.unwrap() if each != unit]
    for _ in range(services.count(unit)):
        services.remove(unit)
    edited = tomlkit.dumps(document)
    if not _says(edited, "services", left):
        # tomlkit before 0.13.3 loses commas beside some comments: then the comments are the price.
        document = tomlkit.parse(plain)
        document["services"] = left
        edited = tomlkit.dumps(document)
    return edited


def remove_refinement(text: str, unit: str) -> str:
    """Take the table `[service."UNIT"]` away; a text without it stays as it is.

    Comments within the table go with it. Raises ValueError if the text is not TOML.
    """
    document = tomlkit.parse(text.removeprefix("\ufeff"))
    tables = document.get("service")
    if not isinstance(tables, MutableMapping) or unit not in tables:
        return text
    del tables[unit]
    if not tables:
        del document["service"]
    return tomlkit.dumps(document)


def set_enable(text: str, *, enable: bool) -> str:
    """Set `enable`; a text that says so already, by its silence for true, stays as it is.

    Raises ValueError if the text is not TOML.
    """
    document = tomlkit.parse(text.removeprefix("\ufeff"))
    if document.get("enable", True) is enable:
        return text
    if "enable" not in document:
        # As the first line: any other place may part a comment from what it is about.
        return "enable = false\n" + text.removeprefix("\ufeff")
    document["enable"] = enable
    return tomlkit.dumps(document)
