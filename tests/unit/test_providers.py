"""The .conf files of tests/providers: each as its provider hands it out, with keys made up."""

import tomllib  # noqa: TID253 — a test may take its time
from pathlib import Path
from typing import Any

import pytest

from wgconfine.config.confcopy import copy_conf
from wgconfine.config.wgquick import parse

PLACE = Path(__file__).parents[1] / "providers"
PAGE = Path(__file__).parents[2] / "docs/providers.md"
READ: dict[str, dict[str, Any]] = tomllib.loads((PLACE / "read.toml").read_text("utf-8"))
FILES = sorted(path.stem for path in PLACE.glob("*.conf"))


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_its_provider_means_it(name: str) -> None:
    """Addresses, resolvers, endpoints, MTU; what does not count is left out and nothing else."""
    copy = copy_conf((PLACE / f"{name}.conf").read_text(encoding="utf-8"))
    conf = parse(copy.text, f"{name}.conf")

    expected = READ[name]
    assert expected["addresses"] == conf.addresses
    assert expected["dns"] == conf.dns
    called = [peer.endpoint for peer in conf.peers]
    assert expected["endpoints"] == [f"{each[0]}:{each[1]}" for each in called if each]
    assert expected.get("mtu") == conf.mtu
    assert expected.get("left-out", []) == [each.key for each in copy.left_out]
    assert [] == conf.warnings


@pytest.mark.parametrize("name", FILES)
def test_a_file_stands_in_the_page(name: str) -> None:
    """What it looks like and lacks, and where its shape is from."""
    rows = [
        line
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if f"(../tests/providers/{name}.conf)" in line
    ]
    assert 1 == len(rows)
    assert "https://" in rows[0] or "wireguard" in rows[0]


def test_there_are_enough() -> None:
    """Eight providers at least, and servers of one's own."""
    assert 8 <= len(FILES)
    assert sorted(READ) == FILES
