"""Ports of confined services, from the machine and from its LAN, and what the wire says of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Flow, World, assert_confined, boot_container
from tests import lan
from tests.matrix import ends, first
from tests.programs import NGINX, TRANSMISSION
from tests.scenario import HOST, PROBE, printed, wgconfine, write_service, write_tunnel

pytestmark = pytest.mark.container

FILES, OTHER, OPEN = "files.service", "other.service", "open.service"
LOOK, PAIR, SENDING = "look.service", "pair.service", "probe.service"

# What the server says of whoever asks is the whole answer.
SITE = """\
server {
    listen 8088;
    listen [::1]:8088;
    root /srv/web;
    client_header_timeout 300s;
    location = /client { return 200 "$remote_addr\\n"; }
}
"""
PYTHON = """\
[Service]
DynamicUser=yes
WorkingDirectory=/srv/{folder}
ExecStart=/usr/bin/python3 -u -m http.server --bind {address} {port}
[Install]
WantedBy=multi-user.target
"""
LATE = "198.51.100.12"
"""An address that the machine gets later."""

PUBLISH = f"""\
publish = [
  "9091",
  "8090",
  "8081:8088",
  "127.0.0.1:8082:8088",
  "[::1]:8083:8088",
  {{ listen = "[::1]:8085", to = "[::1]:8088" }},
  {{ listen = "{HOST["v4"]}:8084", to = 8088, from = ["{lan.FROM["v4"]}"] }},
  {{ listen = "[{HOST["v6"]}]:8084", to = "[::1]:8088", from = ["{lan.FROM["v6"]}"] }},
  {{ listen = "{LATE}:8084", to = 8088, from = ["{lan.FROM["v4"]}"], free-bind = true }},
  {{ listen = "unix:/run/page.sock", to = 8088, group = "www-data" }},
]
"""
LAN_PORT, OPEN_PORT = 8084, 8099

LOGIN = "transmission:transmission"  # as Debian ships it
FORMS = {
    "a port alone, IPv4": (f"http://{LOGIN}@127.0.0.1:9091/transmission/web/", "Transmission"),
    "a port alone, IPv6": (f"http://{LOGIN}@[::1]:9091/transmission/web/", "Transmission"),
    "a DynamicUser= service": ("http://127.0.0.1:8090/page", "files"),
    "another port, IPv4": ("http://127.0.0.1:8081/client", "127.0.0.1"),
    "another port, IPv6": ("http://[::1]:8081/client", "127.0.0.1"),
    "one IPv4 address": ("http://127.0.0.1:8082/client", "127.0.0.1"),
    "one IPv6 address": ("http://[::1]:8083/client", "127.0.0.1"),
    "to IPv6 inside": ("http://[::1]:8085/client", "::1"),
    "its own LAN address": (f"http://{HOST['v4']}:{LAN_PORT}/client", "127.0.0.1"),
}
"""How the machine itself asks: the URL, and what is in the answer. The server sees loopback."""

FLOWS = (
    *lan.flows(LAN_PORT),
    *lan.flows(LAN_PORT, LATE),
    Flow(client=lan.STRANGER["v4"], server=HOST["v4"], port=OPEN_PORT),
)

# A connection that is silent for longer than a proxy without any waits before it ends.
SILENT = """
import socket, time
connection = socket.create_connection(("127.0.0.1", 8081), 60)
time.sleep(90)
connection.sendall(b"GET /client HTTP/1.0\\r\\n\\r\\n")
print(b"".join(iter(lambda: connection.recv(4096), b"")).decode().splitlines()[-1])
"""

# So many connections at once, held open until each is there, also on the far side of the proxy.
CROWD = """
import socket, subprocess
connections = [socket.create_connection(("127.0.0.1", 8081), 240) for _ in range(500)]
inside = "nsenter --net=/run/netns/vpn ss -Htn state established sport = :8088"
count = 0
while count < 500:
    count = len(subprocess.check_output(inside.split()).splitlines())
for each in connections:
    each.sendall(b"GET /client HTTP/1.0\\r\\n\\r\\n")
answers = [b"".join(iter(lambda: each.recv(4096), b"")) for each in connections]
print(sum(each.endswith(b"\\r\\n\\r\\n127.0.0.1\\n") for each in answers))
"""


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with three published services in one tunnel and one in another, and a LAN."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        lan.add_neighbours(world)
        set_up(world)
        wgconfine(world, "apply")
        world.machine.systemctl("enable", "--now", NGINX, TRANSMISSION, FILES, OTHER)
        wait_until_it_answers(world)
        yield world


def set_up(world: World) -> None:
    """Write services and settings as their owner would; nothing is applied yet."""
    machine = world.machine
    machine.sh("mkdir -p /srv/web /srv/other; echo files >/srv/web/page; echo other >/srv/other/x")
    machine.write("/etc/nginx/sites-enabled/default", SITE)
    write_service(world, FILES, PYTHON.format(folder="web", address="127.0.0.1", port=8090))
    write_service(world, OTHER, PYTHON.format(folder="other", address="127.0.0.1", port=7070))
    write_service(world, OPEN, PYTHON.format(folder="other", address="::", port=OPEN_PORT))
    write_service(world, SENDING, PROBE)
    write_service(world, PAIR, look("8088/client"))
    write_service(world, LOOK, look("7070/"))
    write_tunnel(world, [NGINX, TRANSMISSION, FILES, PAIR, LOOK, SENDING], extra=PUBLISH)
    write_tunnel(world, [OTHER], name="other", client=3, extra='publish = ["7070"]\n')


def look(page: str) -> str:
    """Give a service that asks the loopback that it sees for a page."""
    command = f"/usr/bin/curl -s -f -m 30 http://127.0.0.1:{page}"
    return f"[Service]\nType=oneshot\nDynamicUser=yes\nExecStart={command}\n"


@pytest.fixture(autouse=True)
def _nothing_else_on_the_uplink(world: World) -> Iterator[None]:
    """Whatever a test does, on the uplink is WireGuard, and what was published for the LAN."""
    with world.capture_uplink(beacons="world") as uplink:
        yield
    assert () == uplink.traffic.foreign(flows=FLOWS)


def fetch(world: World, url: str, *options: str) -> str:
    return world.machine.run("curl", "-s", "-f", "-m", "20", *options, url, check=False).stdout


def answers(world: World) -> bool:
    """Tell whether each form gives what it is to give, now."""
    return all(expected in fetch(world, url) for url, expected in FORMS.values())


def wait_until_it_answers(world: World) -> None:
    """Of so many programs each takes its time to start."""
    world.machine.wait_for(lambda: answers(world), "every form answers", 180)


@pytest.mark.parametrize("form", FORMS)
def test_the_machine_reaches_each_form(world: World, form: str) -> None:
    """Through each form of publish the machine gets the page, and the service sees loopback."""
    url, expected = FORMS[form]
    assert expected in fetch(world, url)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_neighbour_within_from_reaches_it(world: World, family: str) -> None:
    """A machine of the LAN gets the page, and the service takes it for its own machine."""
    expected = {"v4": "127.0.0.1", "v6": "::1"}[family]
    assert (0, expected) == lan.ask_from(world, lan.FRIEND[family], url_of(HOST[family]))


def url_of(address: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{LAN_PORT}/client"


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_neighbour_outside_of_from_gets_no_answer(world: World, family: str) -> None:
    """The kernel drops what another machine of the LAN sends there: not even a refusal goes out."""
    url = url_of(HOST[family])
    assert lan.TIMED_OUT == lan.ask_from(world, lan.STRANGER[family], url, seconds=2)[0]
    assert 0 == lan.ask_from(world, lan.FRIEND[family], url)[0]


def test_the_neighbour_outside_of_from_can_send(world: World) -> None:
    """The control: what the machine serves in the open it does reach."""
    world.machine.systemctl("start", OPEN)
    url = f"http://{HOST['v4']}:{OPEN_PORT}/x"
    stranger = lan.STRANGER["v4"]
    world.machine.wait_for(lambda: lan.ask_from(world, stranger, url) == (0, "other"), "it answers")
    world.machine.systemctl("stop", OPEN)


def test_an_address_that_appears_late_is_listened_on(world: World) -> None:
    """With free-bind the socket was there before the address, and works as soon as it comes."""
    ask = (world, lan.FRIEND["v4"], url_of(LATE))
    assert 0 != lan.ask_from(*ask, seconds=2)[0]
    world.machine.sh(f"ip address add {LATE}/24 dev eth0")
    try:
        world.machine.wait_for(lambda: lan.ask_from(*ask) == (0, "127.0.0.1"), "it answers")
    finally:
        world.machine.sh(f"ip address delete {LATE}/24 dev eth0")


def test_a_unix_socket_is_for_its_group(world: World) -> None:
    """It is 0660 with the owner that was named; others cannot connect."""
    machine = world.machine
    ask = ("curl", "-s", "-m", "9", "--unix-socket", "/run/page.sock", "http://localhost/client")
    group = ("setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups")
    other = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    assert "660 root:www-data" == machine.sh("stat -c '%a %U:%G' /run/page.sock")
    assert "127.0.0.1\n" == machine.run(*group, *ask).stdout
    assert 7 == machine.run(*other, *ask, check=False).returncode


def test_no_link_is_made_for_it(world: World) -> None:
    """The namespaces have lo and wg0, and the machine what it had."""
    names = "-o link show up | cut -d: -f2 | cut -d@ -f1 | tr -d ' ' | sort"
    found = [world.machine.sh(f"ip {where} {names}") for where in ("-n vpn", "-n other", "")]
    assert ["lo\nwg0", "lo\nwg0", "eth0\nlo"] == found


def test_services_of_one_tunnel_see_each_other(world: World) -> None:
    """A service reaches the port of another one of its tunnel on their loopback."""
    world.machine.systemctl("start", PAIR)
    assert "127.0.0.1" == said(world, PAIR)


def test_services_of_different_tunnels_never_do(world: World) -> None:
    """The port of a service of another tunnel, which the machine reaches, is nobody's here."""
    assert "other" in fetch(world, "http://127.0.0.1:7070/x")
    world.machine.systemctl("start", LOOK, check=False)
    assert "7" == world.machine.show(LOOK, "ExecMainStatus")  # could not connect


def said(world: World, unit: str) -> str:
    return printed(world, unit).splitlines()[-1]


@pytest.mark.parametrize(
    "command",
    [
        ("systemctl", "restart", "wgconfine-netns@vpn.service"),
        ("systemctl", "restart", "wgconfine@vpn.service"),
        ("systemctl", "restart", NGINX),
        ("systemctl", "reload", "wgconfine@vpn.service"),
        ("systemctl", "kill", "--signal=KILL", "wgconfine-wireguard@vpn.service"),
        ("wgconfine", "apply"),
    ],
    ids=" ".join,
)
def test_it_works_again_by_itself(world: World, command: tuple[str, ...]) -> None:
    """After restarts of the namespace, the tunnel and the service every form works unasked."""
    world.machine.run(*command, timeout=600)
    wait_until_it_answers(world)
    assert (0, "127.0.0.1") == lan.ask_from(world, lan.FRIEND["v4"], url_of(HOST["v4"]))


@pytest.mark.parametrize(
    "unit",
    [
        NGINX,
        "wgconfine-netns@vpn.service",
        pytest.param("wgconfine@vpn.service", marks=pytest.mark.long),
    ],
)
def test_connections_to_what_is_stopped_do_no_harm(world: World, unit: str) -> None:
    """100 connections get no answer; what was stopped is started again, and the next one does."""
    machine = world.machine
    machine.systemctl("stop", unit)
    machine.sh(
        "for n in $(seq 100); do ! curl -s -m 9 http://127.0.0.1:8081/client || exit 1; done",
        timeout=600,
    )
    # The services as well: 252 stops with the tunnel what it is to start again.
    machine.systemctl("start", "wgconfine@vpn.service", NGINX, TRANSMISSION, FILES)
    wait_until_it_answers(world)


def test_500_connections_at_once(world: World) -> None:
    """All of them are open at a time on both sides of the proxy, and each gets its answer."""
    assert "500\n" == world.machine.run("python3", "-c", CROWD, timeout=300).stdout


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
@pytest.mark.parametrize("size", ["8M", pytest.param("1G", marks=pytest.mark.long)])
def test_a_download_arrives_whole(world: World, size: str) -> None:
    """What comes out of the proxy has the hash of what is in the file."""
    machine = world.machine
    machine.sh(f"head -c {size} /dev/urandom >/srv/web/big", timeout=120)
    sums = machine.sh(
        "sha256sum </srv/web/big; curl -s -f http://127.0.0.1:8081/big | sha256sum", timeout=300
    ).splitlines()
    machine.sh("rm /srv/web/big")
    assert 2 == len(sums)
    assert 1 == len(set(sums))


def test_nothing_but_the_published_ports_is_on_the_uplink(world: World) -> None:
    """While all forms are used and a service sends through the tunnel, no packet is foreign."""
    machine = world.machine
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        machine.systemctl("start", SENDING)
        for _ in range(3):
            assert answers(world)
            for family in ("v4", "v6"):
                assert 0 == lan.ask_from(world, lan.FRIEND[family], url_of(HOST[family]))[0]
        machine.systemctl("stop", SENDING)
    assert_confined(uplink.traffic, tunnel.traffic, flows=FLOWS)
    # The control: the capture sees the ports, and none of it passes without being declared.
    assert {LAN_PORT} == {
        packet.source_port if packet.source in HOST.values() else packet.target_port
        for packet in uplink.traffic.foreign()
    }


@pytest.mark.long
def test_a_silent_connection_lives_and_the_proxy_of_none_ends(world: World) -> None:
    """A connection on which nothing is said for 90 s still works; without any the proxy ends."""
    machine = world.machine
    assert "127.0.0.1\n" == machine.run("python3", "-c", SILENT, timeout=150).stdout
    proxy = "wgconfine-publish@vpn.8081.service"
    assert machine.is_active(proxy)
    machine.wait_for(lambda: not machine.is_active(proxy), "the proxy has ended", 100)
    assert "success" == machine.show(proxy, "Result")
    assert "127.0.0.1" in fetch(world, "http://127.0.0.1:8081/client")


def test_after_a_reboot_it_works_by_itself(world: World) -> None:
    """Enabled services are reached again through every form, and no unit of ours makes a cycle."""
    machine = world.machine
    machine.reboot()
    wait_until_it_answers(world)
    assert (0, "127.0.0.1") == lan.ask_from(world, lan.FRIEND["v4"], url_of(HOST["v4"]))
    assert (
        lan.TIMED_OUT == lan.ask_from(world, lan.STRANGER["v4"], url_of(HOST["v4"]), seconds=2)[0]
    )
    assert "" == machine.sh("journalctl -b --no-pager | grep -i 'ordering cycle' || true")
