"""The sockets and proxies of published ports: what may go wrong with them, on every systemd."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import DENY_SETNS, World, boot_container
from lab.fixtures import BootContainer
from tests.matrix import ends, first
from tests.scenario import wgconfine, write_service, write_tunnel
from tests.watching import look_away, tick_by_hand

pytestmark = pytest.mark.container

SERVER = """\
import asyncio, sys

def page(name):
    async def serve(reader, writer):
        while (line := await reader.readline()).strip():
            pass
        writer.write(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + name.encode())
        await writer.drain()
        writer.close()
    return serve

async def main():
    name, *ports = sys.argv[1:]
    for port in ports:
        host, _, number = port.rpartition(":")
        await asyncio.start_server(page(name), host, int(number), backlog=4096)
    await asyncio.Event().wait()

asyncio.run(main())
"""
"""A web server that says its name: `NAME ADDRESS:PORT…`."""

PYTHON = "/usr/bin/python3 /usr/local/lib/server.py"
WEB = f"""\
[Service]
DynamicUser=yes
LimitNOFILE=20000
ExecStart={PYTHON} inside 127.0.0.1:8080 127.0.0.1:8081 ::1:8082
[Install]
WantedBy=multi-user.target
"""

CLIENTS = "198.51.100.0/28"
LAN = "198.51.100.2"
PORTS = f"""
publish = [
  "8080",
  "8090:8091",
  "unix:/run/x.sock:8080",
  {{ listen = "unix:/run/web/y.sock", to = 8080, user = "games", group = "nogroup" }},
  {{ listen = "127.0.0.2:8080", to = "[::1]:8082" }},
  {{ listen = "{LAN}:8080", to = 8080, from = ["{CLIENTS}"] }},
  {{ listen = "0.0.0.0:8081", to = 8081, from = ["198.51.100.0/24"] }},
  {{ listen = "203.0.113.9:8080", to = 8080, from = ["{CLIENTS}"], free-bind = true }},
]
reach = ["127.0.0.1:7000:{LAN}:7001"]
"""
"""On 8091 nobody listens inside, but the host does."""

PLAIN = "wgconfine-publish@vpn.8080"
CROSSED = "wgconfine-publish@vpn.8090"
FILTERED = f"wgconfine-publish@vpn.{LAN}:8080.socket"
REACH = "wgconfine-reach@vpn.127.0.0.1:7000"

MANY = """\
import socket, sys
port, count = map(int, sys.argv[1:])
got = 0
all = [socket.create_connection(("127.0.0.1", port), 240) for _ in range(count)]
for each in all:
    each.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
for each in all:
    got += each.recv(12) == b"HTTP/1.0 200"
print(got)
"""


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a confined web server and every kind of port."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        look_away(world)
        set_up(world)
        # In the open it has the port that its socket is going to have: no reason to refuse it.
        page = "http://127.0.0.1:8080"
        world.machine.systemctl("start", "web.service")
        world.machine.wait_for(lambda: get(world, page) == "inside", "it serves in the open")
        wgconfine(world, "check")
        wgconfine(world, "apply")
        world.machine.wait_for(lambda: get(world, page) == "inside", "it is published")
        yield world


def set_up(world: World) -> None:
    """Put servers inside and outside in place, and settings that nobody has applied yet."""
    tick_by_hand(world)  # it starts what has failed
    world.machine.write("/usr/local/lib/server.py", SERVER)
    world.machine.write("/usr/local/lib/many.py", MANY)
    write_service(world, "web.service", WEB)
    installed = "[Install]\nWantedBy=multi-user.target\n"
    hosts_own = f"{installed}[Service]\nExecStart={PYTHON} host 127.0.0.1:8091 {LAN}:7001\n"
    write_service(world, "own.service", hosts_own)
    world.machine.systemctl("start", "own.service")
    write_tunnel(world, ["web.service"])
    world.machine.sh(f"cat >> /etc/wgconfine/vpn.toml <<'END'\n{PORTS}\nEND")


@pytest.fixture(autouse=True)
def mended(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test of the shared machine begins with all of it running."""
    yield
    if "world" in request.fixturenames:
        machine = request.getfixturevalue("world").machine
        machine.sh("""
            while [ $(grep -c ' /run/netns/vpn ' /proc/self/mountinfo) -gt 1 ]; do
              umount -l /run/netns/vpn
            done
            rm -rf /etc/systemd/system/*.slice.d /etc/systemd/system/wgconfine-*.d/zz-*.conf
            systemctl daemon-reload
            systemctl reset-failed
            systemctl start wgconfine@vpn.service web.service
            until nsenter --net=/run/netns/vpn curl -so /dev/null http://127.0.0.1:8080; do
              sleep 0.1
            done
        """)


def get(world: World, *arguments: str, seconds: int = 60) -> str:
    """Give the page, empty where there is none: a proxy takes its time to start."""
    done = world.machine.run("curl", "-s", "-m", str(seconds), *arguments, check=False)
    return done.stdout


def inside(world: World, *arguments: str) -> str:
    """Give what a command says in the tunnel's namespace."""
    done = world.machine.run("nsenter", "--net=/run/netns/vpn", *arguments, check=False)
    return done.stdout


def reached(world: World) -> str:
    """Give the page of the host's that is reached from inside."""
    return inside(world, "curl", "-s", "-m", "60", "http://127.0.0.1:7000")


def starts(world: World, unit: str) -> int:
    """Count the starts of a proxy."""
    return world.machine.journal(f"{unit}.service").count("Starting ")


def most_starts(began: float) -> float:
    """Give how many starts of a proxy are no busy loop: it is tried again after a second."""
    return time.monotonic() - began + 2


def says_where_it_is(world: World) -> bool:
    words = "this is not the namespace of tunnel vpn"
    return words in world.machine.journal(f"{CROSSED}.service")


def state(world: World, unit: str) -> tuple[str, str]:
    return world.machine.show(unit, "ActiveState"), world.machine.show(unit, "SubState")


def put_namespace(world: World, path: str) -> None:
    """Put another namespace on the tunnel's name."""
    world.machine.run("mount", "--bind", path, "/run/netns/vpn")


@pytest.mark.parametrize(
    "address",
    [
        ("http://127.0.0.1:8080",),
        ("http://[::1]:8080",),
        ("http://127.0.0.2:8080",),
        (f"http://{LAN}:8080",),
        ("--unix-socket", "/run/x.sock", "http://x"),
        ("--unix-socket", "/run/web/y.sock", "http://x"),
    ],
    ids=lambda address: address[-2] if len(address) > 1 else address[0],
)
def test_each_form_leads_inside(world: World, address: tuple[str, ...]) -> None:
    """A port alone by both families; to `::1` inside; a unix socket with and without an owner."""
    assert "inside" == get(world, *address)


def test_a_reached_port_leads_to_the_one_thing(world: World) -> None:
    """It listens inside and not in the host's namespace."""
    assert "host" == reached(world)
    assert "" == get(world, "http://127.0.0.1:7000")
    assert "127.0.0.1:7000" in inside(world, "ss", "-Hltn")
    assert "127.0.0.1:7000" not in world.machine.sh("ss -Hltn")


def test_only_clients_in_from_can_connect(world: World) -> None:
    """A neighbour in the network and one outside; the other entry has both as the control."""
    expected = {
        ("198.51.100.7", 8080): "inside",
        ("198.51.100.7", 8081): "inside",
        ("198.51.100.77", 8080): "",
        ("198.51.100.77", 8081): "inside",
    }
    found = {}
    for neighbour in ("198.51.100.7", "198.51.100.77"):
        world.internet.run("ip", "address", "replace", f"{neighbour}/24", "dev", "uplink")
        for port in (8080, 8081):
            url = f"http://{LAN}:{port}"
            # The one that gets no answer waits for none.
            seconds = "60" if expected[neighbour, port] else "2"
            curl = ("curl", "-s", "-m", seconds, "--interface", neighbour, url)
            found[neighbour, port] = world.internet.run("sh", "-c", f"{' '.join(curl)} || true")

    assert expected == found


@pytest.mark.parametrize(
    ("place", "text", "words"),
    [
        (f"{FILTERED}.d", "[Socket]\nIPAddressAllow=10.0.0.0/8", "10.0.0.0 and 10.255.255.255"),
        (f"{FILTERED}.d", "[Socket]\nIPAddressAllow=any", "0.0.0.0 and 198.51.99.255"),
        (f"{FILTERED}.d", "[Socket]\nIPAddressDeny=\nIPAddressAllow=", "is not in force"),
        ("system.slice.d", "[Slice]\nIPAddressAllow=203.0.113.7", "203.0.113.7 could connect"),
        ("-.slice.d", "[Slice]\nIPAddressAllow=fd00::/8", "fd00:: and fdff:"),
    ],
    ids=["drop-in", "any", "none", "slice", "root"],
)
def test_a_filter_that_lets_others_in_fails_the_socket(
    world: World, place: str, text: str, words: str
) -> None:
    """Before it listens, and with what to do about it."""
    machine = world.machine
    machine.write(f"/etc/systemd/system/{place}/zz-spoiled.conf", f"{text}\n")
    machine.sh(f"systemctl daemon-reload; systemctl stop {FILTERED}")
    before = machine.journal(FILTERED).count(words)

    assert 0 != machine.systemctl("start", FILTERED, check=False).returncode
    assert "failed" == machine.show(FILTERED, "ActiveState")
    assert before < machine.journal(FILTERED).count(words)
    assert f"{LAN}:8080" not in machine.sh("ss -Hltn")

    machine.sh("rm /etc/systemd/system/*/zz-spoiled.conf")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", FILTERED)
    assert "inside" == get(world, f"http://{LAN}:8080")


def test_a_proxy_that_is_not_inside_never_runs(world: World) -> None:
    """With the host's namespace on the name it would publish the host's own port: the control."""
    machine = world.machine
    put_namespace(world, "/proc/1/ns/net")
    before, began = starts(world, CROSSED), time.monotonic()

    assert "" == get(world, "http://127.0.0.1:8090", seconds=5)
    # Tried again, in the hope of better, but not without end.
    assert 1 <= starts(world, CROSSED) - before <= most_starts(began)
    machine.wait_for(lambda: says_where_it_is(world), "it says why")
    assert "active" == state(world, f"{CROSSED}.socket")[0]

    spoiled = f"/etc/systemd/system/{CROSSED}.service.d/zz-spoiled.conf"
    machine.write(spoiled, "[Service]\nExecStartPre=\n")
    machine.sh(f"systemctl daemon-reload; systemctl stop {CROSSED}.service")
    assert "host" == get(world, "http://127.0.0.1:8090")
    machine.sh(f"rm {spoiled}; systemctl daemon-reload; systemctl stop {CROSSED}.service")


@pytest.mark.parametrize("broken", ["another", "nothing"])
def test_connections_wait_until_the_name_is_mended(world: World, broken: str) -> None:
    """A hundred at once, and every one of them is answered in the end; no busy loop meanwhile."""
    machine = world.machine
    machine.sh(f"rm -f /many; systemctl stop {PLAIN}.service")
    before, began = starts(world, PLAIN), time.monotonic()
    if broken == "another":
        put_namespace(world, "/proc/1/ns/net")
    else:
        machine.run("umount", "-l", "/run/netns/vpn")
    unit = ("systemd-run", "--quiet", "--unit=many", "--collect", "-p", "StandardOutput=file:/many")
    machine.run(*unit, "python3", "/usr/local/lib/many.py", "8080", "100")
    machine.wait_for(lambda: starts(world, PLAIN) > before, "the proxy is started")
    machine.sh("sleep 4")

    assert starts(world, PLAIN) - before <= most_starts(began)
    assert "active" == state(world, f"{PLAIN}.socket")[0]
    if broken == "another":
        machine.run("umount", "-l", "/run/netns/vpn")
    else:
        put_namespace(world, "/run/wgconfine/netns/vpn")
    machine.wait_for(lambda: not machine.is_active("many.service"), "all were answered", 300)
    assert "100" == machine.read("/many").strip()


def test_it_works_again_after_everything_that_restarts(world: World) -> None:
    """Namespace, tunnel, service and proxy; a hundred connections while the service is stopped."""
    machine = world.machine
    web = "http://127.0.0.1:8080"
    for unit in ("wgconfine-netns@vpn.service", "wgconfine@vpn.service", "web.service"):
        machine.systemctl("restart", unit)
        machine.wait_for(lambda: get(world, web) == "inside", f"after {unit}")
    machine.systemctl("kill", "--signal=KILL", f"{PLAIN}.service")
    assert "inside" == get(world, web)
    machine.systemctl("stop", "web.service")
    machine.sh(f"for i in $(seq 100); do curl -s -m 5 {web} & done; wait; :", timeout=600)
    machine.systemctl("start", "web.service")
    machine.wait_for(lambda: get(world, web) == "inside", "after a stop of the service")

    assert "active" == state(world, f"{PLAIN}.socket")[0]
    machine.wait_for(lambda: reached(world) == "host", "it reaches the host's")
    links = json.loads(inside(world, "ip", "-j", "link", "show", "up"))
    assert ["lo", "wg0"] == sorted(each["ifname"] for each in links)


def test_what_cannot_listen_is_refused_by_name(world: World) -> None:
    """A service, a socket of systemd's, another tunnel, a path: all at once."""
    machine = world.machine
    machine.write("/etc/wireguard/late.conf", world.internet.provider_conf(client=4), 0o600)
    lan = '{ listen = "10.1.1.1:80", to = 80, from = ["10.0.0.0/8"] }'
    ports = f'publish = ["8091", "9002", "8080", "unix:/run/systemd/notify:1", {lan}]\n'
    config = 'config = "/etc/wireguard/late.conf"\n'
    machine.write("/etc/wgconfine/late.toml", config + ports)
    machine.run(
        *("systemd-run", "--quiet", "--unit=byhand"),
        *("--socket-property=ListenStream=127.0.0.1:9002", "true"),
    )
    pid = machine.show("own.service", "MainPID")
    done = wgconfine(world, "plan", check=False)
    machine.systemctl("stop", "byhand.socket")
    machine.run("rm", "/etc/wgconfine/late.toml")

    said = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    expected = {
        f"8091 is taken: own.service (python3, process {pid}) listens on 127.0.0.1:8091",
        "9002 is taken: byhand.socket (systemd, process 1) listens on 127.0.0.1:9002",
        "8080 is published by tunnel late already, as 8080 in /etc/wgconfine/late.toml",
        "/run/systemd/notify exists already, and is a socket that wgconfine did not make",
        f"10.1.1.1:80: this machine has no address 10.1.1.1; it has {LAN}",
    }
    assert 78 == done.returncode
    assert expected == {line.partition(": publish: ")[2].partition(". ")[0] for line in said}


def test_what_is_going_to_be_confined_holds_no_port(world: World) -> None:
    """Neither `check` nor `plan` takes a service for an obstacle that stops before."""
    machine = world.machine
    write_service(world, "early.service", f"[Service]\nExecStart={PYTHON} x 127.0.0.1:9003\n")
    machine.systemctl("start", "early.service")
    machine.wait_for(lambda: ":9003 " in machine.sh("ss -Hltn"), "it listens")
    write_tunnel(world, ["early.service"], name="late", client=4, extra='publish = ["9003"]\n')
    found = [wgconfine(world, each, check=False) for each in ("check", "plan")]
    machine.systemctl("stop", "early.service")
    machine.run("rm", "/etc/wgconfine/late.toml", "/etc/systemd/system/early.service")

    assert [0, 5] == [each.returncode for each in found], found


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
def test_five_hundred_connections_at_once(world: World) -> None:
    """More than twice of what systemd-socket-proxyd takes by itself."""
    done = world.machine.run("python3", "/usr/local/lib/many.py", "8080", "500", timeout=600)

    assert "500" == done.stdout.strip()


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
def test_a_unix_socket_is_its_owners(world: World) -> None:
    """0660, root's where no other is named; gone with the namespace, and back with it."""
    machine = world.machine
    look = "stat -c '%a %U %G' /run/x.sock /run/web/y.sock"
    expected = ["660 root root", "660 games nogroup"]

    assert expected == machine.sh(look).splitlines()
    machine.systemctl("stop", "wgconfine-netns@vpn.service")
    assert 0 != machine.run("test", "-e", "/run/x.sock", check=False).returncode
    machine.systemctl("start", "wgconfine@vpn.service")
    machine.wait_for(
        lambda: machine.sh(f"{look} || true").splitlines() == expected, "both are there again"
    )


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
def test_it_listens_on_addresses_that_come_later(world: World) -> None:
    """`free-bind`, and of a port alone that of IPv6, which the host may switch off."""
    machine = world.machine
    machine.sh(f"sysctl -qw net.ipv6.conf.lo.disable_ipv6=1; systemctl restart {PLAIN}.socket")
    assert "inside" == get(world, "http://127.0.0.1:8080")
    machine.sh("sysctl -qw net.ipv6.conf.lo.disable_ipv6=0")
    machine.run("ip", "address", "add", "203.0.113.9/32", "dev", "lo")

    assert "inside" == get(world, "http://[::1]:8080")
    assert "inside" == get(world, "--interface", LAN, "http://203.0.113.9:8080")
    machine.run("ip", "address", "del", "203.0.113.9/32", "dev", "lo")


HELD = """
import os, socket, time
connection = socket.create_connection(("127.0.0.1", 8080))
connection.sendall(b"GET / HTTP/1.0\\r\\n")
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(1e6)
"""
"""A client that has not asked yet."""


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
def test_an_apply_ends_no_connection_that_it_is_not_about(world: World) -> None:
    """Only a port that changes listens anew; one that is gone is gone; one that is new is there."""
    machine = world.machine
    file = "/etc/wgconfine/vpn.toml"
    before = machine.read(file)
    assert "inside" == get(world, "http://127.0.0.1:8080")
    # A proxy without a connection ends after a minute.
    run = ("systemd-run", "--quiet", "--unit=held", "-p", "Type=notify")
    machine.run(*run, "python3", "-c", HELD)
    pid = machine.show(f"{PLAIN}.service", "MainPID")
    wgconfine(world, "apply")
    changed = before.replace('"8090:8091"', '"8090:8080"').replace("127.0.0.2:8080", "127.0.0.3:80")
    machine.write(file, changed)
    wgconfine(world, "apply")

    assert pid == machine.show(f"{PLAIN}.service", "MainPID")
    machine.systemctl("stop", "held.service")
    assert "inside" == get(world, "http://127.0.0.1:8090")
    assert "inside" == get(world, "http://127.0.0.3")
    assert "" == get(world, "http://127.0.0.2:8080")
    machine.write(file, before)
    wgconfine(world, "apply")
    assert "inside" == get(world, "http://127.0.0.2:8080")


TRACE = """\
import ctypes, os, sys
pid = sys.argv[1]
user = os.stat(f"/proc/{pid}").st_uid
libc = ctypes.CDLL(None, use_errno=True)
SEIZE = 0x4206
def attempt():
    try:
        os.readlink(f"/proc/{pid}/fd/3")
        return True
    except OSError:
        pass
    try:
        open(f"/proc/{pid}/mem", "rb").close()
        return True
    except OSError:
        pass
    return libc.ptrace(SEIZE, int(pid), 0, 0) == 0
found = [attempt()]
os.setgid(user)
os.setuid(user)
found.append(attempt())
print(*found)
"""


def test_a_confined_root_gets_no_hold_of_a_proxy(world: World) -> None:
    """Not as its user either. A process of that user without the capability is the control."""
    machine = world.machine
    machine.write("/usr/local/lib/trace.py", TRACE)
    # What a confined service is left with in the baseline.
    taken = "CAP_SYS_PTRACE CAP_SYS_ADMIN CAP_SYS_BOOT CAP_CHECKPOINT_RESTORE CAP_DAC_READ_SEARCH"
    root = ("systemd-run", "--quiet", "--pipe", "--wait", "-p", f"CapabilityBoundingSet=~{taken}")
    found = {}
    for number, unit in enumerate((PLAIN, REACH)):
        # Its proxy runs, and without a connection for a minute more.
        get(world, "http://127.0.0.1:8080")
        reached(world)
        pid = machine.show(f"{unit}.service", "MainPID")
        user = machine.sh(f"stat -c %u /proc/{pid}").strip()
        victims = f"victim-{number}.service"
        run = ("systemd-run", "--quiet", f"--unit={victims}", f"--uid={user}", "-p", "Type=exec")
        machine.run(*run, "sleep", "infinity")
        victim = machine.show(victims, "MainPID")
        for name, each in ((unit, pid), ("control", victim)):
            trace = machine.run(*root, "python3", "/usr/local/lib/trace.py", each)
            found[name] = trace.stdout.strip()
        machine.systemctl("stop", victims)

    assert {PLAIN: "False False", REACH: "False False", "control": "False True"} == found


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
def test_a_service_with_a_tunnel_of_ipv6_alone_is_published(world: World) -> None:
    """Its namespace has no IPv4 but 127.0.0.1, which the proxy connects to by number."""
    machine = world.machine
    conf = world.internet.provider_conf(client=3)
    lines = [
        "Address = fd66::3/128" if line.startswith("Address") else line
        for line in conf.splitlines()
        if not line.startswith("DNS")
    ]
    machine.write("/etc/wireguard/six.conf", "\n".join(lines) + "\n", 0o600)
    write_service(world, "six.service", f"[Service]\nExecStart={PYTHON} six 127.0.0.1:8080\n")
    machine.write(
        "/etc/wgconfine/six.toml",
        'config = "/etc/wireguard/six.conf"\nservices = ["six.service"]\ndns = []\n'
        'publish = ["8070:8080"]\n',
    )
    wgconfine(world, "apply")
    machine.systemctl("start", "six.service")
    machine.wait_for(lambda: get(world, "http://127.0.0.1:8070") == "six", "it is published")

    assert "inside" == get(world, "http://127.0.0.1:8080")
    wgconfine(world, "remove", "six", "--release", "--yes")
    machine.run("rm", "/etc/wgconfine/six.toml")
    assert "" == get(world, "http://127.0.0.1:8070")
    assert "" == machine.sh("systemctl list-units --all --no-legend '*six*.socket'")


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
def test_ports_are_there_after_a_reboot(world: World) -> None:
    """No order of theirs makes a cycle, by which systemd would leave out what it likes."""
    machine = world.machine
    machine.systemctl("enable", "web.service", "own.service")
    machine.reboot()
    machine.wait_for(lambda: get(world, "http://127.0.0.1:8080") == "inside", "it is published")

    machine.wait_for(lambda: get(world, f"http://{LAN}:8080") == "inside", "for neighbours too")
    machine.wait_for(lambda: reached(world) == "host", "and the way out is there")
    assert "ordering cycle" not in machine.journal().partition("Startup finished")[0]


@pytest.mark.long
def test_no_connection_is_lost_when_a_proxy_is_idle(world: World) -> None:
    """It ends while others connect: who comes in between starts the next one."""
    machine = world.machine
    proxy = "/usr/lib/systemd/systemd-socket-proxyd --exit-idle-time=100ms 127.0.0.1:8080"
    machine.write(
        f"/etc/systemd/system/{PLAIN}.service.d/zz-short.conf",
        f"[Service]\nExecStart=\nExecStart={proxy}\n",
    )
    machine.sh(f"systemctl daemon-reload; systemctl stop {PLAIN}.service")
    before = starts(world, PLAIN)
    answers = machine.sh(
        "for i in $(seq 300); do curl -s -m 5 http://127.0.0.1:8080; echo;"
        " sleep 0.$(printf %03d $((100 + i % 40))); done | sort | uniq -c",
        timeout=120,
    )

    assert ["300", "inside"] == answers.split()
    assert starts(world, PLAIN) - before >= 5


@pytest.mark.parametrize("release", first("trixie"))
def test_where_systemd_may_not_join_nothing_listens_or_runs_outside(
    wheelhouse: Path, boot_container: BootContainer, release: str
) -> None:
    """setns(2) gives EPERM: an unguarded unit would run in the host's namespace, with rc 0."""
    world = boot_container(release, wheelhouse=wheelhouse, init_prefix=DENY_SETNS)
    set_up(world)
    machine = world.machine
    wgconfine(world, "apply", check=False)  # the tunnel itself may not enter its namespace
    machine.systemctl("start", "wgconfine-netns@vpn.service", f"{CROSSED}.socket")
    machine.systemctl("start", f"{REACH}.socket", check=False)

    assert "" == get(world, "http://127.0.0.1:8090", seconds=3)
    machine.wait_for(lambda: says_where_it_is(world), "it says why")
    assert "failed" == machine.show(f"{REACH}.socket", "ActiveState")
    assert ":7000" not in machine.sh("ss -Hltn")


DENY_BPF = """
import ctypes, platform, struct, sys, os
number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
assert ctypes.CDLL(None).prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a program under a filter in which bpf(2) gives EPERM, as some containers have it."""


@pytest.mark.parametrize("release", first("trixie"))
def test_where_systemd_can_make_no_filter_only_loopback_is_published(
    wheelhouse: Path, boot_container: BootContainer, release: str
) -> None:
    """It says nothing of that itself, and would let everybody in: the control."""
    prefix = ("/usr/bin/python3", "-I", "-c", DENY_BPF)
    world = boot_container(release, wheelhouse=wheelhouse, init_prefix=prefix)
    set_up(world)
    machine = world.machine
    wgconfine(world, "apply", check=False)
    machine.systemctl("start", "web.service")
    machine.wait_for(lambda: get(world, "http://127.0.0.1:8080") == "inside", "loopback is there")
    stranger = f"curl -s -m 60 --interface 198.51.100.77 http://{LAN}:8080 || true"
    ask = ("sh", "-c", stranger)
    world.internet.run("ip", "address", "replace", "198.51.100.77/24", "dev", "uplink")

    assert "" == world.internet.run(*ask)  # it is refused at once
    assert "failed" == machine.show(FILTERED, "ActiveState")
    words = (
        "whether its filter of addresses is in force can't be seen: bpf: Operation not permitted."
    )
    assert f"{words} Anybody could connect. Publish to 127.0.0.1" in machine.journal(FILTERED)

    spoiled = f"/etc/systemd/system/{FILTERED}.d/zz-spoiled.conf"
    machine.write(spoiled, "[Socket]\nExecStartPre=\n")
    machine.sh(f"systemctl daemon-reload; systemctl start {FILTERED}")
    assert "inside" == world.internet.run(*ask)
