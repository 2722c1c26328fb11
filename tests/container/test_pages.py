"""Web pages of confined programs, opened through `publish` in a browser of their own machine."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import World, boot_container
from tests import programs
from tests.png import read_png
from tests.programs import HASH, QBITTORRENT, TRANSMISSION
from tests.scenario import wgconfine, write_tunnel

pytestmark = [pytest.mark.container, pytest.mark.long]

BROWSER = Path(__file__).with_name("browser.py")
ARTEFACTS = Path(__file__).parents[2] / "artefacts"
"""Where the screenshots are left, to be looked at."""

LOGIN = base64.b64encode(b"transmission:transmission").decode()  # as Debian ships it
TEXT = {"title": "document.title", "text": "document.body.innerText"}


@pytest.fixture(scope="module")
def world(wheelhouse: Path) -> Iterator[World]:
    """A machine with a browser, and two confined programs that have a web page and one torrent."""
    with boot_container("trixie", wheelhouse=wheelhouse, extra_packages=["chromium"]) as world:
        programs.set_up(world)
        world.machine.write("/root/browser.py", BROWSER.read_text(encoding="utf-8"))
        write_tunnel(world, [TRANSMISSION, QBITTORRENT], extra='publish = ["9091", "8085"]\n')
        wgconfine(world, "apply")
        world.machine.systemctl("start", TRANSMISSION, QBITTORRENT)
        # Ordered by the published port, as whoever opens the page would.
        for unit in (TRANSMISSION, QBITTORRENT):
            order = ("sh", "-c", programs.order(unit))
            world.machine.wait_for(
                lambda: world.machine.run(*order, check=False).returncode == 0,  # noqa: B023 — called within this turn
                f"{unit} takes a torrent",
            )
        yield world


def look_at(world: World, name: str, **question: object) -> dict[str, Any]:
    """Open a page, and leave its picture in ARTEFACTS; gives what was asked of it."""
    there = f"/root/{name}.png"
    question = {"headers": {}, "picture": there, **question}
    argv = ("python3", "/root/browser.py", json.dumps(question))
    with world.capture_uplink() as uplink:
        answer: dict[str, Any] = json.loads(world.machine.run(*argv, timeout=300).stdout)
    assert () == uplink.traffic.foreign()
    picture = base64.b64decode(world.machine.run("base64", there).stdout)
    ARTEFACTS.mkdir(exist_ok=True)
    (ARTEFACTS / f"{name}.png").write_bytes(picture)
    return answer | {"picture": read_png(picture)}


def assert_drawn(page: dict[str, Any]) -> None:
    """The picture has the window's width, many colours, and is not nearly all of one."""
    width, height, colours = page["picture"]
    assert 1280 == width
    assert height > 600
    assert len(colours) > 100
    assert colours.most_common(1)[0][1] < 0.95 * width * height


def test_the_page_of_transmission(world: World) -> None:
    """It shows its tools, and by requests of its own the torrent that was added."""
    page = look_at(
        world,
        "transmission",
        url="http://127.0.0.1:9091/transmission/web/",
        headers={"Authorization": f"Basic {LOGIN}"},
        until="document.querySelectorAll('#torrent-list .torrent').length > 0",
        ask=TEXT
        | {
            "torrents": "[...document.querySelectorAll('#torrent-list .torrent-name')]"
            ".map(each => each.textContent)",
            "buttons": "document.querySelectorAll('button').length",
        },
    )

    assert page["there"]
    assert "Transmission Web Interface" == page["title"]
    assert [HASH] == page["torrents"]
    assert page["buttons"] >= 5
    assert "1 Transfer" in page["text"]
    assert_drawn(page)


def test_the_page_of_qbittorrent(world: World) -> None:
    """It shows menu, filters and the torrent that was added; the browser speaks IPv6 to it."""
    page = look_at(
        world,
        "qbittorrent",
        url="http://[::1]:8085/",
        until="document.querySelectorAll('#torrentsTableDiv tbody tr').length > 0",
        ask=TEXT
        | {
            "torrents": "[...document.querySelectorAll('#torrentsTableDiv tbody tr')]"
            ".map(each => each.innerText)",
            "menus": "[...document.querySelectorAll('#desktopNavbar > ul > li > a')]"
            ".map(each => each.textContent.trim())",
        },
    )

    assert page["there"]
    assert page["title"].startswith("qBittorrent")
    assert "WebUI" in page["title"]
    assert 1 == len(page["torrents"])
    assert HASH in page["torrents"][0]
    assert {"File", "Edit", "View", "Tools", "Help"} <= set(page["menus"])
    assert "Downloading (1)" in page["text"]
    assert_drawn(page)
