"""docs/json.md names each key of each JSON that is printed or kept, with the type of its value."""

import json
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from tests.golden.test_doctor_words import FINDINGS
from tests.golden.test_status import STATUS
from tests.golden.test_verify_words import GREEN, LEAKING
from tests.unit.test_docs import read
from wgconfine.model.doctor import Grade
from wgconfine.model.status import ServiceStatus, Status
from wgconfine.model.verify import Area, Check, Verdict, Verification
from wgconfine.report import doctor, status, verify
from wgconfine.verify import periodic

PLAIN = {str: "text", int: "number", float: "number", bool: "true or false"}
Keys = dict[str, str]

SERVICE = "tunnels[].services[]"
CHECK = "tunnels[].checks[]"


def documented(heading: str) -> Keys:
    """Give each key of a table, in the order in which it has them, and its type."""
    _, _, rest = read("docs/json.md").partition(f"\n## `{heading}`\n")
    rows = re.findall(r"^\| `(\S+)` \| ([^|]+) \|", rest.partition("\n## ")[0], re.MULTILINE)
    return dict(rows)


def declared(kind: Any, at: str) -> Iterator[tuple[str, str]]:
    """Give each key of a value of this type, as its type says."""
    if get_origin(kind) in {Union, types.UnionType}:
        (inner,) = (each for each in get_args(kind) if each is not type(None))
        (_, word), *rest = declared(inner, at)
        yield at, f"{word} or null"
        yield from rest
    elif is_dataclass(kind):
        yield at, "object"
        hints = get_type_hints(kind)
        for field in fields(kind):
            yield from declared(hints[field.name], f"{at}.{field.name}")
    elif get_origin(kind) is tuple:
        yield from of_a_list(get_args(kind)[0], at)
    elif get_origin(kind) is Mapping:
        yield at, "object"
        yield from declared(get_args(kind)[1], f"{at}.NAME")
    else:
        yield at, PLAIN[kind]


def of_a_list(kind: Any, at: str) -> Iterator[tuple[str, str]]:
    if kind in PLAIN:
        yield at, f"list of {PLAIN[kind]}"
    else:
        yield at, "list"
        (_, *rest) = declared(kind, f"{at}[]")
        yield from rest


def seen(value: object, at: str) -> Iterator[tuple[str, str]]:
    """Give each key of what JSON has."""
    if isinstance(value, dict):
        if at:
            yield at, "object"
        for key, each in value.items():
            yield from seen(each, f"{at}.{key}" if at else key)
    elif isinstance(value, list):
        yield at, "list"
        for each in value:
            yield from [pair for pair in seen(each, f"{at}[]") if pair[0] != f"{at}[]"]
    else:
        yield at, PLAIN[type(value)]


def test_keys_of_status() -> None:
    """As the types of what is shown have them; of a closed service those of any."""
    keys = {"schema": "number"} | {
        key.removeprefix("."): word for key, word in declared(Status, "") if key
    }
    closed = {key: word for key, word in keys.items() if key.startswith("closed[]")}
    alike = {key.replace("closed[]", SERVICE): word for key, word in closed.items()}

    assert alike.items() <= keys.items()
    assert {key: word for key, word in keys.items() if key not in closed} == documented(
        "wgconfine status --json"
    )


def test_a_status_has_these_keys() -> None:
    """The types say what is printed: a key of the object is a field of the value."""
    printed = json.loads(status.as_json(STATUS))
    service = printed["tunnels"][0]["services"][0]

    assert ["schema", *(each.name for each in fields(Status))] == [*printed]
    assert [each.name for each in fields(ServiceStatus)] == [*service]


def test_keys_of_verify() -> None:
    """As they are printed of a tunnel with findings, and of a closed service."""
    keys = dict(seen(json.loads(verify.as_json([GREEN, LEAKING], LEAKING, seconds=1.5)), ""))
    closed = {key: word for key, word in keys.items() if key.startswith("closed[]")}
    alike = {key.replace("closed[]", CHECK): word for key, word in closed.items()}

    assert alike.items() <= keys.items()
    assert {key: word for key, word in keys.items() if key not in closed} == documented(
        "wgconfine verify --json"
    )


def test_keys_of_the_periodic_verify() -> None:
    """As they are kept."""
    keys = dict(seen(json.loads(periodic.as_json(LEAKING, 1.0)), ""))
    checks = {key: word for key, word in keys.items() if key.startswith("checks[]")}

    assert checks.keys() == {
        key.removeprefix("tunnels[].")
        for key in documented("wgconfine verify --json")
        if key.startswith(CHECK)
    }
    assert {key: word for key, word in keys.items() if key not in checks} == documented(
        "/run/wgconfine/verify/NAME.json"
    )


def test_keys_of_doctor() -> None:
    """As they are printed; every grade is in the table."""
    keys = dict(seen(json.loads(doctor.as_json(FINDINGS)), ""))
    expected = documented("wgconfine doctor --json")

    assert keys == {key: word.replace("list of text", "list") for key, word in expected.items()}
    assert [] == [each for each in Grade if f"`{each}`" not in read("docs/json.md")]


@pytest.mark.parametrize("verdict", Verdict)
def test_words_of_verify(verdict: Verdict) -> None:
    """Each sum that a verdict gives a tunnel, and each area, is in the table."""
    check = Check(area=Area.WORKS, name="dns", verdict=verdict, evidence="")
    found = Verification(tunnel="vpn", checks=(check,))
    word = json.loads(verify.as_json([found], None, seconds=0))["tunnels"][0]["sum"]

    text = read("docs/json.md").partition("\n## `wgconfine verify --json`\n")[2]
    assert f"`{word}`" in text
    assert [] == [area for area in Area if f"`{area}`" not in text]
