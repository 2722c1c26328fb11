"""Edits of a settings file that keep its comments and its order. Text in, text out."""

import tomllib
from collections.abc import MutableMapping

import tomlkit
from tomlkit.items import Array

__all__ = ["remove_refinement", "remove_service", "set_enable"]


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
    if not _has_services(edited, left):
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


def _has_services(text: str, services: list[str]) -> bool:
    try:
        return bool(tomllib.loads(text)["services"] == services)
    except tomllib.TOMLDecodeError:
        return False
