"""The schema that editors get agrees with what reads the settings, as far as a schema can."""

import tomllib  # noqa: TID253 — a test
from pathlib import Path

import pytest
from hypothesis import given
from jsonschema import Draft7Validator

from pages import schema
from tests.unit.config.test_settings_any import TEXTS, TUNNELS, outcome, written
from tests.unit.config.test_wrong_values import KEY, PEER, PEER_KEY, SERVICE, SETTINGS, VERIFY, rows
from tests.unit.test_docs import FENCE, TABLES, read
from wgconfine.config.schema import KEYS
from wgconfine.model.settings import Settings

TOP = Path(__file__).parents[2]
VALIDATOR = Draft7Validator(schema.build())
BEYOND = {
    f'"{KEY}"': "a name that looks like a key is one by mistake",
    f'"/{KEY[1:]}"': "so is a path",
    '"/etc/\\u202e"': "which characters can't be seen changes with Unicode",
    '"a\\n"': "the end of a text is also before its last newline, to Python alone",
    **dict.fromkeys(
        ['"59s"', '"32d"', '"2h"', '{handshake-max-age = "2min"}'], "which time spans are too long"
    ),
    "1380.0": "to JSON it is a whole number",
    '{"x.service" = {}}': "that it is not in the list of services",
    '["127.0.0.1:1:127.0.0.1:53"]': "which ports are those of look-ups",
    '["/run/nscd"]': "what leads out of the tunnel",
    '["org.freedesktop.resolve1"]': "what leads out of the tunnel",
}
"""Wrong values that a schema lets through, and why. `check` refuses them."""
HUGE = f"0x{'f' * 5000}"
"""A number that Python does not print, so that its validator does not say what is wrong."""

Row = tuple[str, str]


def wrong() -> list[Row]:
    """Give a text with each wrong value that the tests of the settings know, and that value."""
    found = [(f"{key} = {value}\n", value) for key, value, _ in rows(SETTINGS)]
    for table, known in (("verify", VERIFY), ('service."x.service"', SERVICE)):
        found += [(f"[{table}]\n{key} = {value}\n", value) for key, value, _ in rows(known)]
    for key, value, _ in rows(PEER):
        peer = {"public-key": f'"{PEER_KEY}"', key: value}
        lines = "".join(f"{name} = {each}\n" for name, each in peer.items())
        found.append((f"[[peer]]\n{lines}", value))
    return [(text, value) for text, value in found if value != HUGE]


def is_valid(text: str) -> bool:
    return bool(VALIDATOR.is_valid(tomllib.loads(text)))


def test_the_schema_is_one() -> None:
    """By the schema of its own language."""
    Draft7Validator.check_schema(schema.build())


@pytest.mark.parametrize(("text", "value"), wrong())
def test_wrong_values_are_marked(text: str, value: str) -> None:
    """What `check` refuses the editor marks, but for what a schema can't tell."""
    assert (value in BEYOND) == is_valid(text)


@given(TUNNELS)
def test_right_settings_are_not_marked(tunnel: Settings) -> None:
    """Whatever they say."""
    assert is_valid(written(tunnel))


@given(TEXTS)
def test_what_is_read_is_not_marked(text: str) -> None:
    """A text that some settings begin with, of whatever keys and values."""
    if outcome(text).startswith("Settings("):
        assert is_valid(text)


@pytest.mark.parametrize("text", [text for _, text in FENCE.findall(read("docs/settings.md"))])
def test_examples_are_not_marked(text: str) -> None:
    """Each example of docs/settings.md, fragments too."""
    assert is_valid(text)


@pytest.mark.parametrize(
    "text",
    [
        'publish = ["8080", "8081:80", "127.0.0.1:8081:80", "[::1]:8081:80"]',
        'publish = ["unix:/run/x.sock:80", {listen = "unix:/run/x/y.sock", to = "[::1]:80"}]',
        'publish = [{listen = "[::]:80", from = ["fd00::/8"], free-bind = true, user = "me"}]',
        'reach = ["127.0.0.1:5432:192.168.1.10:5432", "[::1]:25:[fd00::1]:25"]',
        'endpoints = ["a.example:1", "[::1]:1", "192.0.2.1:1", {endpoint = "a:1"}]',
        "[inbound]\ntcp = [80, '6881-6889', '7']",
        "[outbound]\ndeny = ['10.0.0.0/8', 'fc00::/7', '192.0.2.1']",
        "[health]\nhandshake-max-age = 'off'",
        "ready = 'handshake'\nready-timeout = '90s'\nendpoint-order = 'random'\nvia = 'a-1'",
    ],
)
def test_forms_are_not_marked(text: str) -> None:
    """Every form in which ports, endpoints and time spans are written."""
    assert is_valid(text)


def test_every_key_has_a_place_and_words() -> None:
    """Those of the file and those of its tables."""
    tables = schema.tables_of(schema.build())
    assert {*KEYS, *TABLES} <= {name for each in tables for name in each["properties"]}
    assert [] == [
        name
        for each in tables
        for name, said in each["properties"].items()
        if not said["description"]
    ]


@pytest.mark.parametrize("key", KEYS)
def test_an_unknown_key_is_marked(key: str) -> None:
    """A letter too much is."""
    assert not is_valid(f"{key}x = 1\n")
