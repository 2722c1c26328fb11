"""A JSON Schema of NAME.toml, for editors: what a schema can say of each key, and docs' words.

Nothing of wgconfine reads it. `check` knows more: what stands beside what, and what of the
machine is opened.
"""

import json
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from wgconfine.model.settings import Backend, EndpointOrder, Hardening, OnLeak, Ready

__all__ = ["PLACE", "SETTINGS", "build", "text"]

PLACE = "wgconfine/settings.schema.json"
SETTINGS = Path(__file__).parents[1] / "docs/settings.md"

Schema = dict[str, Any]

PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
BOOLEAN: Schema = {"type": "boolean"}
# What has '..', a '.', or an empty piece is no plain path.
PATH: Schema = {"type": "string", "pattern": r"^(/(?!\.{1,2}(/|$))[^/\u0000-\u001f]+)+$"}
RUN_PATH: Schema = {"type": "string", "pattern": r"^/run(/(?!\.{1,2}(/|$))[^/ \u0000-\u001f]+)+$"}
OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
V4 = rf"{OCTET}(\.{OCTET}){{3}}"
V6 = "[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*"
ADDRESS: Schema = {"type": "string", "pattern": f"^({V4}|{V6})$"}
NETWORK: Schema = {
    "type": "string",
    "pattern": f"^({V4}(/(3[0-2]|[12]?[0-9]))?|{V6}(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$",
}
ENDPOINT: Schema = {
    "type": "string",
    "pattern": r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]):[1-9][0-9]{0,4}$",
}
KEY: Schema = {"type": "string", "pattern": "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"}
SPAN = "[1-9][0-9]{0,5}(s|min|h|d)"
NUMBER = "[1-9][0-9]{0,4}"
ACCOUNT: Schema = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,30}$"}
SERVICE = r"^(?!wgconfine)[A-Za-z0-9:_\\-][A-Za-z0-9:_.\\-]*(@[A-Za-z0-9:_.\\@-]+)?\.service$"
PORTS: Schema = {
    "type": "array",
    "items": {
        "anyOf": [PORT, {"type": "string", "pattern": "^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$"}]
    },
}


def each_of(items: Schema, *, least: int = 0) -> Schema:
    return {"type": "array", "items": items} | ({"minItems": least} if least else {})


def one_of(choices: type[StrEnum]) -> Schema:
    return {"enum": [str(each) for each in choices]}


CREDENTIAL: Schema = {"type": "string", "pattern": r"^(?!\.{1,2}$)[A-Za-z0-9._+@,=~-]{1,255}$"}


def span(*, off: bool) -> Schema:
    return {"type": "string", "pattern": f"^({SPAN}{'|off' if off else ''})$"}


def table(needed: Iterable[str] = (), **properties: Schema) -> Schema:
    """Give a table that has these keys and no other; `_` stands for `-`."""
    found = {name.strip("_").replace("_", "-"): each for name, each in properties.items()}
    said: Schema = {"type": "object", "properties": found, "additionalProperties": False}
    return said | ({"required": [*needed]} if needed else {})


def build() -> Schema:
    """Give the schema; a file of NAME.d is one, too, so that no key of the file is required."""
    whole = table(**{name.replace("-", "_"): each for name, each in top().items()})
    describe(whole)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Settings of wgconfine: /etc/wgconfine/NAME.toml",
        **whole,
    }


def top() -> dict[str, Schema]:
    return {
        "enable": BOOLEAN,
        "config": PATH,
        "config-credential": CREDENTIAL,
        "address": each_of(NETWORK, least=1),
        "private-key-file": PATH,
        "private-key-credential": CREDENTIAL,
        "peer": each_of(peer(), least=1),
        "services": each_of({"type": "string", "pattern": SERVICE}),
        "backend": one_of(Backend),
        "dns": each_of(ADDRESS),
        "mtu": {"type": "integer", "minimum": 576, "maximum": 65535},
        "listen-port": PORT,
        "fwmark": {"type": "integer", "minimum": 0, "maximum": 0xFFFFFFFF},
        "verify": table(every=span(off=True), on_leak=one_of(OnLeak)),
        "service": {
            "type": "object",
            "patternProperties": {SERVICE: rights()},
            "additionalProperties": False,
        },
        "publish": each_of(
            {"anyOf": [{"type": "string", "pattern": r"^(unix:/.*:)?[^/]*[0-9]$"}, publish()]}
        ),
        "reach": each_of({"type": "string", "pattern": r"^[^/]*:[0-9]+:[^/]*:[0-9]+$"}),
        "inbound": table(tcp=PORTS, udp=PORTS),
        "outbound": table(deny=each_of(NETWORK)),
        "health": table(handshake_max_age=span(off=True)),
        "ready": one_of(Ready),
        "ready-timeout": span(off=False),
        "reload-on-change": BOOLEAN,
        "encrypted-credentials": BOOLEAN,
        "endpoints": each_of(
            {"anyOf": [ENDPOINT, table(["endpoint"], endpoint=ENDPOINT, public_key=KEY)]}
        ),
        "endpoint-order": one_of(EndpointOrder),
        "pin-endpoint": BOOLEAN,
        "via": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,30}$"},
    }


def peer() -> Schema:
    return table(
        ["public-key"],
        public_key=KEY,
        endpoint=ENDPOINT,
        allowed_ips=each_of(NETWORK, least=1),
        preshared_key_file=PATH,
        preshared_key_credential=CREDENTIAL,
        persistent_keepalive={
            "anyOf": [{"type": "integer", "minimum": 0, "maximum": 65535}, {"const": "off"}]
        },
    )


def rights() -> Schema:
    bus = r"^[A-Za-z_-][A-Za-z0-9_-]*(\.[A-Za-z_-][A-Za-z0-9_-]*)+$"
    return table(
        allow_paths=each_of(RUN_PATH),
        allow_bus=each_of({"type": "string", "pattern": bus, "maxLength": 255}),
        hardening=one_of(Hardening),
    )


def publish() -> Schema:
    return table(
        ["listen"],
        listen={"type": "string", "pattern": r"^(unix:/run/.+|[^/]*[0-9])$"},
        to={"anyOf": [PORT, {"type": "string", "pattern": r"^[0-9.\[\]:]+:[0-9]+$"}]},
        from_=each_of(NETWORK, least=1),
        user=ACCOUNT,
        group=ACCOUNT,
        free_bind=BOOLEAN,
    )


def describe(schema: Schema) -> None:
    """Put the words of docs/settings.md to each key of its tables."""
    words = dict(rows())
    for holder in tables_of(schema):
        for name, each in holder["properties"].items():
            # One that several keys share must not get the words of the last.
            holder["properties"][name] = {"description": words[name], **each}


def tables_of(schema: object) -> list[Schema]:
    """Give every table within, itself included."""
    if isinstance(schema, list):
        return [found for each in schema for found in tables_of(each)]
    if not isinstance(schema, dict):
        return []
    inner = [found for each in schema.values() for found in tables_of(each)]
    return [schema, *inner] if "properties" in schema else inner


def rows() -> list[tuple[str, str]]:
    """Give each key that a table of docs/settings.md has, with its type and what it says."""
    found = []
    for line in SETTINGS.read_text(encoding="utf-8").splitlines():
        cells = [each.strip() for each in line.strip("|").split(" |")]
        if line.startswith("| `") and len(cells) >= 3:  # noqa: PLR2004 — key, type, words
            said = "\n\n".join(filter(None, (plain(each) for each in (cells[2], cells[1]))))
            # `tcp`, `udp` of `[inbound]`: the first words are the keys.
            names = re.findall("`([a-z-]+)`", cells[0].partition(" of ")[0])
            found += [(name, said) for name in names]
    return found


def plain(markdown: str) -> str:
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown).replace("`", "").replace("**", "")


def text() -> str:
    return json.dumps(build(), indent=2, ensure_ascii=False) + "\n"
