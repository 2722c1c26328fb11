"""What a service needs of the host: opened by a line of its owner, and nothing else with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import ends
from tests.scenario import confine, wgconfine, write_service, write_tunnel

pytestmark = pytest.mark.container

# bookworm's systemd-resolved takes the resolver away from the root that is being made.
RESOLVED = ("libnss-resolve", "systemd-resolved")
PACKAGES = {
    "bookworm": ("nscd", "xdg-dbus-proxy"),
    "trixie": ("nscd", "xdg-dbus-proxy", *RESOLVED),
    "forky": ("nscd", "xdg-dbus-proxy", *RESOLVED),
}

# Its directory is deleted when it stops and made anew when it starts: so do redis and mariadb.
OWNER = """\
[Unit]
StartLimitIntervalSec=0
[Service]
RuntimeDirectory=owner
ExecStart=/usr/bin/python3 /usr/local/bin/answer /run/owner/socket
"""
ANSWER = """\
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listener.listen()
while True:
    client = listener.accept()[0]
    client.sendall(str(os.getpid()).encode())
    client.close()
"""
ASK = """\
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(30)
client.connect(sys.argv[1])
print(client.recv(99).decode())
"""
SLEEPER = """\
[Service]
{}
ExecStart=/bin/sleep infinity
"""
# Root in its own /run, it puts a link to the host's directories where a mount is to come.
PLANTER = """\
[Service]
ExecStart=/bin/sh -c 'while :; do rmdir /run/late; ln -sfn /etc /run/late; rm -rf /run/far; \
ln -sfn /usr /run/far; done 2>/dev/null'
"""
# The same line that a hardened unit has on a machine where its database is; it must exist.
NEEDY = """\
[Service]
User=games
ProtectSystem=strict
ReadWritePaths=/run/owner
ExecStart=/bin/sleep infinity
"""

# A name on the bus by hand: no release has a D-Bus library for Python in its base.
NAMED = """\
import os, socket, struct, sys
def text(value): return struct.pack("<I", len(value)) + value.encode() + b"\\0"
def pad(data, size): return data + b"\\0" * (-len(data) % size)
def call(serial, member, signature="", body=b""):
    fields = b""
    for code, kind, value in (
        (1, "o", "/org/freedesktop/DBus"), (6, "s", "org.freedesktop.DBus"),
        (2, "s", "org.freedesktop.DBus"), (3, "s", member), (8, "g", signature),
    ):
        if value:
            fields = pad(fields, 8) + bytes([code, 1]) + kind.encode() + b"\\0"
            fields += bytes([len(value)]) + value.encode() + b"\\0" if kind == "g" else text(value)
    head = b"l\\1\\0\\1" + struct.pack("<III", len(body), serial, len(fields)) + fields
    bus.sendall(pad(head, 8) + body)
bus = socket.socket(socket.AF_UNIX)
bus.connect("/run/dbus/system_bus_socket")
bus.sendall(b"\\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\\r\\n")
assert bus.recv(999).startswith(b"OK")
bus.sendall(b"BEGIN\\r\\n")
call(1, "Hello")
bus.recv(9999)
call(2, "RequestName", "su", pad(text("org.example.Named"), 4) + struct.pack("<I", 0))
while bus.recv(9999):
    pass
sys.exit("the bus is gone")
"""
POLICY = """\
<busconfig><policy user="games"><allow own="org.example.Named"/></policy>
<policy context="default"><allow send_destination="org.example.Named"/></policy></busconfig>
"""
DBUS = """\
[Service]
Type=dbus
BusName=org.example.Named
User=games
ExecStart=/usr/bin/python3 /usr/local/bin/named
"""
SEIZE = """\
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206
ended = libc.ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, None)
print("seized" if ended == 0 else os.strerror(ctypes.get_errno()))
"""

SETTINGS = """
[service."probe.service"]
allow-paths = ["/run/owner", "/run/single/deep/socket", "/run/led", "/run/disks"]
allow-bus = ["org.freedesktop.hostname1"]
[service."needy.service"]
allow-paths = ["/run/owner"]
[service."planter.service"]
allow-paths = ["/run/late", "/run/far/deep"]
[service."named.service"]
allow-bus = ["org.example.Named"]
[service."dynamic.service"]
allow-bus = ["org.freedesktop.hostname1"]
"""
SERVICES = tuple(
    f"{name}.service" for name in ("probe", "needy", "planter", "named", "dynamic", "shut")
)


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with an owner of paths, and confined services that are given some of the host."""
    packages = PACKAGES[request.param]
    with boot_container(request.param, wheelhouse=wheelhouse, extra_packages=packages) as world:
        machine = world.machine
        for name, text in {"answer": ANSWER, "ask": ASK, "named": NAMED, "seize": SEIZE}.items():
            machine.write(f"/usr/local/bin/{name}", text)
        machine.write("/etc/dbus-1/system.d/named.conf", POLICY)
        machine.systemctl("reload", "dbus.service")
        # What NixOS has there, and what is nobody's business.
        machine.sh("mkdir -p /run/wrappers/bin /run/secrets /var/lib/sss/pipes /run/single/deep")
        write_service(world, "owner.service", OWNER)
        for name in ("probe", "shut"):
            write_service(
                world, f"{name}.service", SLEEPER.format("User=games\nNoNewPrivileges=yes")
            )
        write_service(world, "dynamic.service", SLEEPER.format("DynamicUser=yes"))
        write_service(world, "planter.service", PLANTER)
        write_service(world, "needy.service", NEEDY)
        write_service(world, "named.service", DBUS)
        write_tunnel(world, SERVICES, extra=SETTINGS)
        machine.systemctl("start", "owner.service")
        wgconfine(world, "apply")
        machine.systemctl("start", *(each for each in SERVICES if each != "planter.service"))
        yield world


def inside(world: World, unit: str, *command: str) -> str:
    """Run a command as a service would: its mounts, its network, its user. Gives all it says."""
    pid = world.machine.show(unit, "MainPID")
    user = world.machine.sh(f"stat -c %u:%g /proc/{pid}").split(":")
    enter = ("nsenter", f"--target={pid}", "--mount", "--net", "setpriv")
    rights = (f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups", "--no-new-privs")
    done = world.machine.run(*enter, *rights, *command, check=False)
    return f"{done.stdout}{done.stderr}".strip()


def send(name: str, path: str, method: str, *arguments: str) -> tuple[str, ...]:
    """The command of a call on the bus, by libdbus: what bookworm's proxy understands."""
    return ("dbus-send", "--system", "--print-reply", f"--dest={name}", path, method, *arguments)


HOSTNAME = send(
    "org.freedesktop.hostname1",
    "/org/freedesktop/hostname1",
    "org.freedesktop.DBus.Properties.Get",
    "string:org.freedesktop.hostname1",
    "string:Hostname",
)
GAMES = ("setpriv", "--reuid=games", "--regid=games", "--clear-groups")


def has_bus(world: World, unit: str) -> bool:
    return '"lab"' in inside(world, unit, *HOSTNAME)


def ask(world: World, unit: str, path: str) -> str:
    return inside(world, unit, "python3", "/usr/local/bin/ask", path)


def answers(world: World, unit: str) -> bool:
    return ask(world, unit, "/run/owner/socket") == world.machine.show("owner.service", "MainPID")


def test_a_path_is_seen_by_the_service_that_has_the_line_alone(world: World) -> None:
    """Its neighbour in the same tunnel, without one, has no such path."""
    world.machine.wait_for(lambda: answers(world, "probe.service"), "the owner answers")

    assert "FileNotFoundError" in ask(world, "shut.service", "/run/owner/socket")


@pytest.mark.parametrize("unit", ["probe.service", "needy.service"])
def test_a_path_that_is_made_anew_is_seen_again(world: World, unit: str) -> None:
    """Five times: also where the unit's own ReadWritePaths= lies on it; nothing is restarted."""
    before = world.machine.show(unit, "MainPID")
    for _ in range(5):
        world.machine.systemctl("restart", "owner.service")
        world.machine.wait_for(lambda: answers(world, unit), "it answers again")

    assert before == world.machine.show(unit, "MainPID")


def test_a_path_that_is_absent_comes_when_it_is_made(world: World) -> None:
    """One socket in a directory that is there, and then is made anew, too."""
    machine = world.machine
    path = "/run/single/deep/socket"
    for unit in ("single-first", "single-second"):
        machine.sh("rm -rf /run/single; mkdir -p /run/single/deep")
        machine.sh(f"systemd-run -q --unit={unit} /usr/bin/python3 /usr/local/bin/answer {path}")
        pid = machine.show(f"{unit}.service", "MainPID")
        machine.wait_for(lambda: ask(world, "probe.service", path) == pid, "it answers")  # noqa: B023 — is called at once
        machine.systemctl("stop", f"{unit}.service")


def test_what_the_host_mounts_below_a_path_is_seen_and_stays_the_hosts(world: World) -> None:
    """As a disk in /run/media: neither looking again nor the end of the tunnel unmounts it."""
    machine = world.machine
    machine.sh("mkdir -p /run/disks/one; systemctl reload wgconfine-paths@vpn.service")
    machine.sh("mount -t tmpfs disk /run/disks/one; echo kept >/run/disks/one/file")
    machine.systemctl("reload", "wgconfine-paths@vpn.service")
    seen = inside(world, "probe.service", "cat", "/run/disks/one/file")
    machine.systemctl("stop", "wgconfine-paths@vpn.service")
    left = machine.sh("findmnt -nl -o TARGET | grep -c '^/run/wgconfine/run/.*disks' || true")
    kept = machine.sh("cat /run/disks/one/file || true")
    machine.systemctl("start", "wgconfine-paths@vpn.service")
    machine.sh("umount -l /run/disks/one")

    assert ("kept", "0", "kept") == (seen, left.strip(), kept.strip())


def test_a_link_is_followed_within_run_alone(world: World) -> None:
    """Of root; and not to what stays shut."""
    machine = world.machine
    machine.sh("mkdir -p /run/real; echo yes >/run/real/file; ln -sfn real /run/led")

    def seen() -> str:
        return inside(world, "probe.service", "cat", "/run/led/file")

    machine.wait_for(lambda: seen() == "yes", "the link is followed")
    for target in ("/etc", "../etc", "systemd/resolve", "/run/dbus", "/run/systemd/../nscd"):
        machine.sh(f"ln -sfn {target} /run/led")
        machine.wait_for(lambda: "No such file" in seen(), f"{target} is not shown")
        # It was so of the one before, too: now it has been looked at.
        machine.systemctl("reload", "wgconfine-paths@vpn.service")

        assert "" == inside(world, "probe.service", "ls", "-A", "/run/led")
    machine.sh("ln -sfn real /run/led; chown -h games /run/led")
    machine.systemctl("reload", "wgconfine-paths@vpn.service")
    machine.wait_for(lambda: "No such file" in seen(), "a link of another is not followed")


def test_what_a_service_plants_is_not_followed(world: World) -> None:
    """It puts links in the way as fast as it can; nothing of the host is ever mounted over."""
    machine = world.machine
    before = machine.sh("findmnt -nl -o TARGET | sort | grep -v ^/run")

    def refusals() -> int:
        return machine.journal("wgconfine-paths@vpn.service").count("can't be given /run/")

    refused = refusals()
    machine.systemctl("start", "planter.service")
    for number in range(5):
        machine.sh(f"rm -rf /run/late /run/far; mkdir -p /run/late /run/far/deep/{number}")
    machine.wait_for(
        lambda: refusals() > refused or "far/deep" in machine.sh("findmnt -nl -o TARGET"),
        "it has been tried",
    )
    machine.systemctl("stop", "planter.service")

    assert before == machine.sh("findmnt -nl -o TARGET | sort | grep -v ^/run")
    assert "" == machine.sh("findmnt -nl -o TARGET | grep -E '^/(etc|usr)' || true")


def test_the_bus_answers_for_the_listed_name_alone(world: World) -> None:
    """What works unconfined, with the same user, does not inside: names are not looked up."""
    manager = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
    units = send(*manager, "org.freedesktop.systemd1.Manager.ListUnits")
    start = send(
        *manager,
        "org.freedesktop.systemd1.Manager.StartUnit",
        "string:owner.service",
        "string:fail",
    )

    assert has_bus(world, "probe.service")
    assert "dbus.service" in world.machine.run(*GAMES, *units).stdout
    for command in (units, start):
        assert "ServiceUnknown" in inside(world, "probe.service", *command)
    assert "Failed to open connection" in inside(world, "shut.service", *HOSTNAME)


def test_resolved_is_not_reached_by_the_bus(world: World) -> None:
    """ResolveHostname leaves by the host's network unconfined, and is not let through inside."""
    machine = world.machine
    if not machine.sh("command -v resolvectl || true"):
        assert "252" in machine.run("systemctl", "--version").stdout  # its release packs none
        return

    def call(name: str) -> tuple[str, ...]:
        return send(
            "org.freedesktop.resolve1",
            "/org/freedesktop/resolve1",
            "org.freedesktop.resolve1.Manager.ResolveHostname",
            "int32:0",
            f"string:{name}.example.net",
            "int32:2",
            "uint64:0",
        )

    machine.run(*GAMES, *call("bus-open"))
    assert "ServiceUnknown" in inside(world, "probe.service", *call("bus-inside"))
    machine.run(*GAMES, *call("bus-after"))

    asked = {query.name for query in world.internet.dns_queries() if query.resolver == "isp"}
    assert {"bus-open.example.net", "bus-after.example.net"} <= asked
    assert "bus-inside.example.net" not in asked


def test_a_service_with_a_name_of_its_own_starts(world: World) -> None:
    """systemd sees that it has it (Type=dbus), and others reach it."""
    owner = world.machine.run("busctl", "--no-pager", "status", "org.example.Named").stdout

    assert "active" == world.machine.show("named.service", "ActiveState")
    assert "xdg-dbus-proxy" in owner


def test_a_proxy_that_dies_opens_nothing_and_comes_back(world: World) -> None:
    """Without it there is no bus; the host's is behind nothing else."""
    machine = world.machine
    unit = "wgconfine-bus@probe.service"
    machine.systemctl("stop", unit)
    without = inside(world, "probe.service", *HOSTNAME)
    machine.systemctl("start", unit)
    machine.systemctl("kill", "--signal=KILL", unit)
    machine.wait_for(lambda: has_bus(world, "probe.service"), "the bus is back")

    assert "Failed to open connection" in without
    assert machine.is_active("probe.service")


def test_the_proxy_cannot_be_taken_over(world: World) -> None:
    """It has the service's user, who can trace any other process of that user's."""
    machine = world.machine
    proxy = machine.show("wgconfine-bus@probe.service", "MainPID")
    sleeper = machine.show("shut.service", "MainPID")

    def seize(pid: str) -> str:
        return inside(world, "probe.service", "python3", "/usr/local/bin/seize", pid)

    assert ("Operation not permitted", "seized") == (seize(proxy), seize(sleeper))
    assert "Permission denied" in inside(world, "probe.service", "ls", f"/proc/{proxy}/root/")


def test_a_dynamic_user_is_the_proxy_s_too(world: World) -> None:
    """The bus sees the service's own user, whatever number it got.

    dbus-daemon must not ask systemd for dynamic users (SYSTEMD_NSS_DYNAMIC_BYPASS=), and turns away
    who it does not know; nscd tells it.
    """
    machine = world.machine
    units = ("dynamic.service", "wgconfine-bus@dynamic.service")
    users = {machine.sh(f"stat -c %u /proc/{machine.show(unit, 'MainPID')}") for unit in units}
    machine.systemctl("restart", "nscd.service")

    def lets_in() -> bool:
        told = f"nscd -i passwd; getent passwd {min(users)}; systemctl reload dbus.service"
        machine.sh(told, check=False)
        return has_bus(world, "dynamic.service")

    assert 1 == len(users)
    assert users != {"0"}
    # nscd and the bus remember for a while that it was unknown, unless they are told otherwise.
    machine.wait_for(lets_in, "the bus lets it in", timeout=90)


def test_users_and_groups_are_looked_up(world: World) -> None:
    """Those of files and of systemd; nscd runs on the host and is not asked."""
    dynamic = world.machine.sh(
        f"stat -c %u /proc/{world.machine.show('dynamic.service', 'MainPID')}"
    )

    assert world.machine.is_active("nscd.service")
    assert "games" in inside(world, "probe.service", "getent", "passwd", "games")
    assert "60" in inside(world, "probe.service", "getent", "group", "games")
    assert "dynamic" == inside(world, "dynamic.service", "id", "-un")
    assert "dynamic" in inside(world, "probe.service", "getent", "passwd", dynamic)


def test_nobody_who_looks_users_up_elsewhere_is_reached(world: World) -> None:
    """The multiplexer asks whatever the host has for users, and sssd asks its server."""
    machine = world.machine
    for place in ("/run/systemd/userdb/io.systemd.Multiplexer", "/var/lib/sss/pipes/nss"):
        name = place.rpartition("/")[2]
        machine.sh(
            f"systemd-run -q --unit=of-{name} /usr/bin/python3 /usr/local/bin/answer {place};"
            f"until python3 /usr/local/bin/ask {place} 2>/dev/null; do sleep 0.1; done"
        )

    assert "io.systemd.DynamicUser" == inside(world, "probe.service", "ls", "/run/systemd/userdb")
    assert "PermissionError" in ask(world, "probe.service", "/var/lib/sss/pipes/nss")


def test_what_nixos_has_in_run_is_there_and_secrets_are_not(world: World) -> None:
    """Programs and drivers, read only. The rest of the host's /run stays hidden."""
    listed = inside(world, "probe.service", "ls", "/run").split()

    assert "wrappers" in listed
    assert set() == {"secrets", "wgconfine", "netns", "sudo"} & set(listed)


def test_status_lists_every_hole(world: World) -> None:
    """Under each service that has one."""
    lines = wgconfine(world, "status").stdout.splitlines()
    position = next(n for n, line in enumerate(lines) if "probe.service: confined" in line)

    assert (
        "    open: /run/owner, /run/single/deep/socket, /run/led, /run/disks,"
        " org.freedesktop.hostname1 on the bus"
    ) == lines[position + 1]


def test_another_line_is_in_force_at_once(world: World) -> None:
    """A path that is added reaches the service while it runs; one that goes, goes."""
    machine = world.machine
    machine.sh("mkdir -p /run/added")
    settings = machine.read("/etc/wgconfine/vpn.toml")
    before = machine.show("probe.service", "MainPID")
    changed = settings.replace('"/run/led"', '"/run/added"')
    machine.write("/etc/wgconfine/vpn.toml", changed)
    # A confined root (planter.service) may enter what root has without rights: verify says so.
    assert wgconfine(world, "apply", check=False).returncode in {0, 3}

    def others() -> tuple[int, bool]:
        mounts = machine.sh("findmnt -nl -o TARGET")
        return mounts.count("run/probe/added"), "run/probe/led" in mounts

    machine.wait_for(lambda: others() == (1, False), "one is mounted, and the other is not")

    assert before == machine.show("probe.service", "MainPID")


def test_when_the_tunnel_stops_the_mounts_go(world: World) -> None:
    """What the host has there is untouched by what is cleared away, and it comes back."""
    machine = world.machine
    machine.systemctl("start", "owner.service")
    machine.sh("echo kept >/run/owner/file")
    machine.systemctl("stop", "wgconfine@vpn.service")
    left = machine.sh("findmnt -nl -o TARGET | grep wgconfine/run || true")
    machine.systemctl("start", "wgconfine@vpn.service", "probe.service")
    machine.wait_for(lambda: answers(world, "probe.service"), "it is back")
    machine.systemctl("restart", "wgconfine-netns@vpn.service")
    machine.wait_for(lambda: machine.is_active("probe.service"), "it runs again")
    machine.wait_for(lambda: answers(world, "probe.service"), "it is back")

    assert "" == left
    assert "kept" == machine.read("/run/owner/file").strip()


def test_a_stop_that_is_under_way_stays_one(world: World) -> None:
    """Whatever asks for a reload or a start meanwhile: a path that was made anew, the tunnel."""
    machine = world.machine
    slow = "/run/systemd/system/shut.service.d/slow.conf"
    machine.write(slow, "[Service]\nKillSignal=SIGCONT\nTimeoutStopSec=infinity\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "shut.service")
    machine.systemctl("stop", "--no-block", "shut.service", "wgconfine@vpn.service")
    machine.systemctl("start", "wgconfine-repath@vpn.service")
    machine.run("/opt/wgconfine/bin/python3", "-I", "-m", "wgconfine.runtime", "resume", "vpn")
    stopping = machine.show("shut.service", "ActiveState")
    machine.systemctl("kill", "--signal=KILL", "shut.service", check=False)
    tunnel = ("wgconfine@vpn.service", "wgconfine-paths@vpn.service", "wgconfine-paths@vpn.path")
    machine.wait_for(lambda: not machine.sh("systemctl list-jobs --no-legend"), "all is done")
    left = {machine.show(unit, "ActiveState") for unit in ("probe.service", *tunnel)}
    machine.sh(f"rm {slow}; systemctl daemon-reload")
    machine.systemctl("start", "wgconfine@vpn.service", "probe.service", "shut.service")
    machine.wait_for(lambda: answers(world, "probe.service"), "it is back")

    assert "deactivating" == stopping
    assert {"inactive"} == left


def test_a_unit_that_lacks_a_line_is_refused_with_it(world: World) -> None:
    """And with it, it is let through."""
    machine = world.machine
    settings = machine.read("/etc/wgconfine/vpn.toml")
    without = settings.replace('[service."needy.service"]\nallow-paths = ["/run/owner"]\n', "")
    machine.write("/etc/wgconfine/vpn.toml", without)
    refused = wgconfine(world, "plan", check=False)
    machine.write("/etc/wgconfine/vpn.toml", settings)

    assert 'Write allow-paths = ["/run/owner"] under [service."needy.service"]' in refused.stderr


POSTGRESQL = """\
[Service]
User=games
ExecStart=/bin/sh -c 'while :; do psql -h /run/postgresql -d postgres \
-Atc "select pg_postmaster_start_time()"; sleep 0.1; done'
"""


@pytest.mark.parametrize("release", ["trixie"])
def test_postgresql_restarts_under_load(release: str, wheelhouse: Path) -> None:
    """Debian's own: a confined client asks ten times a second, and goes on when it is back."""
    with boot_container(release, wheelhouse=wheelhouse, extra_packages=("postgresql",)) as world:
        machine = world.machine
        machine.sh("cd /; su postgres -c 'createuser --superuser games'")
        write_service(world, "client.service", POSTGRESQL)
        confine(world, "client.service")
        machine.systemctl("start", "client.service")
        machine.wait_for(
            lambda: "No such file" in machine.journal("client.service"), "it is shut at first"
        )
        line = '\n[service."client.service"]\nallow-paths = ["/run/postgresql"]\n'
        machine.sh(f"cat >>/etc/wgconfine/vpn.toml <<'END'\n{line}END")
        wgconfine(world, "apply")

        def starts() -> set[str]:
            text = machine.run("journalctl", "-o", "cat", "-u", "client.service").stdout
            return {each for each in text.splitlines() if each.startswith("20")}

        machine.wait_for(lambda: len(starts()) == 1, "it answers")
        for count in (2, 3):
            machine.systemctl("restart", "postgresql@17-main.service")
            machine.wait_for(lambda count=count: len(starts()) == count, "it answers again")  # type: ignore[misc]
