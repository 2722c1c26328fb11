"""What `status` takes from NAME.json instead of reading the settings: what is of them, no more."""

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.config.digest import settings_digest
from wgconfine.config.settings import parse_settings
from wgconfine.model.names import TunnelName, UnitName
from wgconfine.model.settings import Backend
from wgconfine.model.status import Declared
from wgconfine.render.record import record_file
from wgconfine.system import declared as module
from wgconfine.system import sources

VPN = TunnelName("vpn")
TEXT = 'config = "/etc/wireguard/vpn.conf"\nservices = ["a.service"]\n'
MORE = 'services = ["b.service"]\n'
Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file of /etc/wgconfine, of which what is tested reads."""
    place = tmp_path / "etc/wgconfine"
    place.mkdir(parents=True)
    monkeypatch.setattr(sources, "LIVE", tmp_path)
    monkeypatch.setattr(module, "LIVE", tmp_path)
    monkeypatch.setattr(module, "record_path", lambda name: PurePosixPath(place, f"{name}.json"))

    def write_file(name: str, text: str) -> None:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")

    return write_file


def record(*texts: str) -> str:
    """Give NAME.json as it is rendered of these settings."""
    named = [(PurePosixPath(f"/{at}.toml"), text) for at, text in enumerate(texts)]
    return record_file(parse_settings("vpn", named), Backend.KERNEL).text


def test_what_was_applied_is_taken(write: Write) -> None:
    """Fragments included."""
    write("vpn.toml", TEXT)
    write("vpn.d/more.toml", MORE)
    write("vpn.json", record(TEXT, MORE))

    services = (UnitName("a.service"), UnitName("b.service"))
    digest = settings_digest([TEXT, MORE])
    assert [Declared(name=VPN, digest=digest, services=services)] == module.applied()


@pytest.mark.parametrize("written", [r"'a\x2db.service'", r'"a\\x2db.service"'])
def test_a_name_with_a_backslash_is_known_again(write: Write, written: str) -> None:
    """In either kind of quotes."""
    text = TEXT.replace('"a.service"', written)
    write("vpn.toml", text)
    write("vpn.json", record(text))

    found = module.applied()
    assert found is not None
    assert [(UnitName(r"a\x2db.service"),)] == [each.services for each in found]


@pytest.mark.parametrize(
    "changed",
    [
        {"vpn.toml": f"{TEXT}# \n"},
        {"vpn.d/more.toml": MORE},
        {"two.toml": TEXT},
        {"vpn.json": record(TEXT).replace("a.service", "real.service")},
        {"vpn.json": record(TEXT).replace('"services"', '"servers"')},
        *({"vpn.json": text} for text in ("", "[", "[]", '"x"')),
    ],
)
def test_what_was_not_is_to_be_read(write: Write, changed: dict[str, str]) -> None:
    """A character, a fragment, a tunnel, a name that an alias stands for, a damaged record."""
    for name, text in ({"vpn.toml": TEXT, "vpn.json": record(TEXT)} | changed).items():
        write(name, text)

    assert module.applied() is None


def test_the_digest_is_that_of_the_settings() -> None:
    """As they are read in full."""
    named = [(PurePosixPath("/vpn.toml"), TEXT), (PurePosixPath("/more.toml"), MORE)]

    assert settings_digest([TEXT, MORE]) == parse_settings("vpn", named).digest
    assert settings_digest([TEXT, MORE]) == json.loads(record(TEXT, MORE))["settings-digest"]
    assert settings_digest([TEXT + MORE]) != settings_digest([TEXT, MORE])


@pytest.mark.parametrize("text", ["", "[", "[]", '"x"'])
def test_a_damaged_record_is_none(write: Write, text: str) -> None:
    """`status` still shows the rest."""
    write("vpn.json", text)

    assert module.read_record(VPN) is None
