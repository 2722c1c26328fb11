"""The pictures in docs/pictures: of a real run, and whole without anything from elsewhere."""

import re
import shlex
import xml.etree.ElementTree as ET
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.screenshots.__main__ import PICTURE, STORY, TITLE, shortened
from tests.screenshots.svg import Run, drawn, read_lines
from tests.unit.test_docs import read
from wgconfine.cli.main import build_parser

PICTURES = sorted(PICTURE.parent.iterdir())
SVG = "{http://www.w3.org/2000/svg}"
MADE_UP = tuple(
    map(ip_network, ("198.51.100.0/24", "10.66.0.0/16", "127.0.0.0/8", "fd66::/16", "::1/128"))
)
"""The lab's addresses: private ones, and those that are there for documentation."""


def rows(path: Path) -> list[str]:
    """Give what stands in the picture, row by row."""
    found: dict[str, str] = {}
    for element in ET.fromstring(path.read_text("utf-8")).iter(f"{SVG}text"):  # noqa: S314 — our own
        found[element.attrib["y"]] = found.get(element.attrib["y"], "") + (element.text or "")
    return list(found.values())


def test_each_is_made_and_shown() -> None:
    """By `make screenshots`, and by README."""
    assert [PICTURE] == PICTURES
    assert f"](docs/pictures/{PICTURE.name})" in read("README.md")


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_nothing_is_fetched_for_it(path: Path) -> None:
    """No font, no script, no picture; its namespace is a name."""
    text = path.read_text("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "", 1)

    assert [] == re.findall(r"\w+://|url\(|@import|@font-face|href|<script|<image|<foreign", text)
    assert [] == [each for each in text if not each.isprintable() and each != "\n"]


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_its_addresses_are_made_up(path: Path) -> None:
    """Those of the lab."""
    words = re.findall(
        r"(?<![\w.:])(?:\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:]*:[0-9a-f]*)", " ".join(rows(path))
    )
    addresses = [ip_address(each) for each in words]

    assert addresses
    assert [] == [each for each in addresses if not any(each in net for net in MADE_UP)]


def test_its_commands_are_there() -> None:
    """Each that somebody types in it, with its options, and each that it names."""
    shown = rows(PICTURE)
    typed = [line.removeprefix("# ") for line in shown if line.startswith("# ")]
    named = [line.strip().partition("  ")[0] for line in shown if line.startswith("  wgconfine ")]

    assert [each.words for each in STORY] == typed
    assert named
    for each in (*typed, *named):
        build_parser().parse_args(shlex.split(each)[1:])


def test_it_ends_well() -> None:
    """It is a picture of a service that is confined, and proved to be."""
    shown = "\n".join(rows(PICTURE))

    assert 2 == shown.count("vpn: confined. ")
    assert "qbittorrent-nox@torrent.service: confined" in shown


def test_a_picture_has_the_colours_and_rows_of_a_terminal() -> None:
    """A line that is too long goes on in the next row; what is markup is text."""
    lines = read_lines("a\x1b[32mok\x1b[0m: <b>\r\n  123456789\r\n")
    picture = drawn(lines, columns=8, title=TITLE)

    assert [
        (Run(text="a"), Run(text="ok", classes=("green",)), Run(text=": <b>")),
        (Run(text="  123456789"),),
    ] == lines
    assert '<text class="green"' in picture
    assert ": &lt;b&gt;" in picture
    assert ">  123456</text>" in picture
    assert ">789</text>" in picture


def test_a_code_that_is_no_colour_of_ours_is_none() -> None:
    """It would be drawn wrong."""
    with pytest.raises(ValueError, match="'5' is no colour of ours"):
        read_lines("\x1b[5mx")


def test_many_steps_are_few_and_counted() -> None:
    """The first two, and how many more."""
    lines = read_lines("a\n" + "".join(f"[#] {number}\n" for number in range(6)) + "b")

    assert ["a", "[#] 0", "[#] 1", "… 4 more steps", "b"] == [
        "".join(run.text for run in line) for line in shortened(lines)
    ]
