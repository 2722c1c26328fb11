"""The machine's LAN: two neighbours, one of them among those whom `publish` lets in by `from`."""

from lab import Flow, World
from lab.internet import UPLINK
from lab.requirements import require
from tests.scenario import HOST

FRIEND = {"v4": "198.51.100.10", "v6": "2001:db8:51::a"}
STRANGER = {"v4": "198.51.100.200", "v6": "2001:db8:51::c8"}
FROM = {"v4": "198.51.100.0/28", "v6": "2001:db8:51::/124"}
"""Networks that FRIEND is in, and the machine itself, but not STRANGER."""

TIMED_OUT = 28
"""curl's exit code: no answer came."""


def add_neighbours(world: World) -> None:
    """Give the world two more addresses on the machine's link."""
    require("curl")
    for neighbour in (FRIEND, STRANGER):
        world.internet.run("ip", "address", "add", f"{neighbour['v4']}/24", "dev", UPLINK)
        world.internet.run("ip", "address", "add", f"{neighbour['v6']}/64", "dev", UPLINK, "nodad")


def flows(port: int, server: str | None = None) -> tuple[Flow, ...]:
    """What may pass where FRIEND may connect to a port of the machine: its TCP, and knocking."""
    return tuple(
        Flow(client=neighbour[family], server=server or HOST[family], port=port, answered=answered)
        for neighbour, answered in ((FRIEND, True), (STRANGER, False))
        for family in ("v4", "v6")
    )


def ask_from(
    world: World, address: str, url: str, *, seconds: int = 10, knock: int | None = None
) -> tuple[int, str]:
    """Fetch a page of the machine from an address of a neighbour; gives curl's code and the page.

    A page that is an error of the server's has code 22. `knock` is how many of the seconds there
    are until the kernel itself has taken the connection, which a busy server does not hold up.
    """
    knock = knock or seconds
    limits = ("-m", f"{seconds}", "--connect-timeout", f"{knock}")
    curl = ("curl", "-s", "-f", *limits, "--interface", address, url)
    page, _, code = world.internet.run("sh", "-c", '"$@"; echo " $?"', "sh", *curl).rpartition(" ")
    return int(code), page.strip()
