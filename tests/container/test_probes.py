"""The probes are tested: each is seen to get out where its channel is opened, and only there."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import EVERYWHERE, first
from tests.scenario import confine, write_service
from tests.verifying import Found, try_escapes
from tests.watching import look_away, tick_by_hand
from wgconfine.model.settings import UnitName
from wgconfine.render.places import UNITS
from wgconfine.render.probe import probe_unit
from wgconfine.verify.channels import CHANNELS
from wgconfine.verify.probing import LOCK_SECONDS, READY_SECONDS, TRY_SECONDS

pytestmark = pytest.mark.container

# What the kernel gives to all is denied here, whatever a confinement does by itself.
CLOSED = """\
[Service]
User={user}
NoNewPrivileges=yes
SystemCallFilter=~io_uring_setup io_uring_enter io_uring_register
ExecStart=/bin/sleep infinity
"""

NAMESPACE = "ExecCondition=\nNetworkNamespacePath=\nSlice=system.slice\n"
"""Out of reach of the second switch as well, which drops what the tunnel's slice sends there."""
RUN = "BindPaths=\nBindReadOnlyPaths=\nTemporaryFileSystem=\nInaccessiblePaths=\n"
FAMILIES = "RestrictAddressFamilies=\n"
CALLS = "SystemCallFilter=\n"
CAPABILITIES = "CapabilityBoundingSet=\nCapabilityBoundingSet=~\nNoNewPrivileges=no\n"
ROOT = f"""\
User=root
{CAPABILITIES}{CALLS}\
SystemCallArchitectures=
RestrictNamespaces=no
RestrictSUIDSGID=no
ProtectProc=default
ProtectSystem=no
PrivateUsers=no
"""

IDLE = "odd@a\\x2db:c@d.service"
ODD = "ReadWritePaths=/var/lib/%N -/var/lib/%i\nBindPaths=/var/tmp:/mnt/%p\n"
"""A name with all that a name may have, and settings that go by it."""

PACKETS = {
    *("tcp4", "tcp6", "udp4", "udp6", "link-local", "multicast4", "multicast6", "broadcast"),
    *("bind-device", "dns-libc", "dns-stub", "dns-resolvers", "dns-outside", "abstract-socket"),
}
"""What leaves by the host's namespace, and is seen there by whom the probe knows nothing of."""
BY_DAEMONS = {"dns-varlink", "dns-nscd", "dns-avahi"}
COMMANDS = {"unix-sockets", "system-bus", "systemd-dbus", "systemd-private"}
RIGHTS = {"processes", "unmount", "routes", "io-uring"}

# What a daemon of that path would be: it takes whom it gets, and answers.
DAEMON = """\
import os, socket, sys, threading
def serve(path):
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    end = socket.socket(socket.AF_UNIX)
    end.bind(path)
    os.chmod(path, 0o666)
    end.listen(8)
    while True:
        accepted, _ = end.accept()
        try:
            if accepted.recv(64):
                accepted.sendall(b"0")
        except OSError:
            pass
        accepted.close()
for path in sys.argv[1:]:
    threading.Thread(target=serve, args=(path,)).start()
"""
DAEMONS = (
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/nscd/socket",
    "/run/avahi-daemon/socket",
    "/run/docker.sock",
)

# It says what a probe would that found everything shut; or nothing, or too much, or for ever.
FORGER = """\
import json, os, sys, time
os.write(1, b'{"ready": true}\\n')
told = b""
while not told.endswith(b"go\\n"):
    told += os.read(0, 65536)
    time.sleep(0.02)
how = sys.argv[1]
if how == "noisy":
    while True:
        os.write(1, b"x" * 65536)
if how == "endless":
    time.sleep(1000)
if how == "killed":
    os.kill(os.getpid(), 9)
if how == "blocked":
    for name, token in json.loads(told[:-3])["channels"].items():
        answer = {"channel": name, "token": token, "word": "blocked", "detail": "no"}
        os.write(1, json.dumps(answer).encode() + b"\\n")
if how == "guessed":
    for name in json.loads(told[:-3])["channels"]:
        answer = {"channel": name, "token": "0", "word": "blocked", "detail": ""}
        os.write(1, json.dumps(answer).encode() + b"\\n")
"""


@pytest.fixture(scope="module", params=EVERYWHERE)
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with two confined services, of which one never runs, and daemons outside."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        look_away(world)
        tick_by_hand(world)  # it would load the second switch again
        write_service(world, "closed.service", CLOSED.format(user="games"))
        write_service(world, IDLE, CLOSED.format(user="man") + ODD)
        confine_both(world)
        world.machine.systemctl("start", "closed.service")
        world.machine.write("/var/lib/forger.py", FORGER)
        listen(world, "daemons", *DAEMONS)
        yield world


def confine_both(world: World) -> None:
    confine(world, "closed.service", IDLE.replace("\\", "\\\\"))


def listen(world: World, unit: str, *paths: str) -> None:
    """Have somebody of the host's listen there."""
    machine = world.machine
    machine.write("/root/daemon.py", DAEMON)
    machine.run("systemd-run", f"--unit={unit}", "python3", "/root/daemon.py", *paths)
    there = " && ".join(f"test -S {path}" for path in paths)
    machine.wait_for(lambda: not machine.run("sh", "-c", there, check=False).returncode, "daemons")


def opened(world: World, *settings: str) -> dict[str, Found]:
    """Try with more open to the probe of a service than the service has, and close it again.

    Without the second switch, which drops what a probe sends in the host's namespace.
    """
    world.machine.sh("nft delete table inet wgconfine-vpn")
    path = f"/etc/systemd/system/wgconfine-probe@{IDLE}.d/zzz.conf"
    world.machine.write(path, f"[Service]\n{''.join(settings)}")
    world.machine.systemctl("daemon-reload")
    try:
        return try_escapes(world, IDLE)
    finally:
        world.machine.run("rm", path)
        world.machine.systemctl("daemon-reload")
        world.machine.systemctl("reload", "wgconfine-switch@vpn.service")


def named(found: dict[str, Found], *verdicts: str) -> set[str]:
    return {name for name, each in found.items() if each.verdict in verdicts}


def faults(found: dict[str, Found]) -> dict[str, Found]:
    return {name: each for name, each in found.items() if each.verdict != "ok"}


def test_all_are_closed(world: World) -> None:
    """Of a service that runs and of one that does not: every name is there, and 0 unknown."""
    for unit in ("closed.service", IDLE):
        found = try_escapes(world, unit)
        assert {} == faults(found)
        assert {"probe", *CHANNELS} == set(found)
    assert "" == world.machine.sh("systemctl --failed --no-legend --plain")
    assert world.machine.is_active("closed.service")


def test_systemd_knows_every_line_of_it(world: World) -> None:
    """Of the unit and its drop-in; it says so of an unknown key and goes on."""
    done = world.machine.run(
        "systemd-analyze", "verify", f"{UNITS}/wgconfine-probe@closed.service", check=False
    )

    assert "" == done.stderr


ASSASSIN = """\
[Service]
User=backup
ExecStart=/bin/sh -c 'while :; do for p in /proc/[0-9]*; do read -r line <$p/comm 2>/dev/null; \\
  case $$line in python3*) kill -9 $${p#/proc/} ;; esac; done; done'
"""


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
def test_a_service_that_kills_its_probe_closes_nothing_by_it(world: World) -> None:
    """It is the same user; what has no answer is unknown."""
    write_service(world, "assassin.service", ASSASSIN)
    confine(world, "closed.service", IDLE.replace("\\", "\\\\"), "assassin.service")
    world.machine.systemctl("start", "assassin.service")
    try:
        found = try_escapes(world, "assassin.service")
    finally:
        world.machine.systemctl("stop", "assassin.service")
        confine_both(world)

    assert "unknown" == found["probe"].verdict
    assert set() == named(found, "LEAK")


def test_each_is_seen_to_get_out(world: World) -> None:
    """With everything open, none is called closed, and what leaves is a LEAK by its own name."""
    listen(world, "sssd", "/var/lib/sss/pipes/nss")
    try:
        found = opened(world, NAMESPACE, RUN, ROOT, FAMILIES)
    finally:
        world.machine.systemctl("stop", "sssd.service")
        world.machine.run("rm", "-r", "/var/lib/sss")

    leaks = PACKETS | BY_DAEMONS | {"raw", "packet", "setns"}
    assert set() == leaks - named(found, "LEAK")
    others = COMMANDS | RIGHTS | {"dns-dbus", "dns-sssd", "families"}
    assert set() == others - named(found, "not confined"), faults(found)
    assert {"spools"} == named(found, "open")
    assert set() == named(found, "unknown")
    assert {"probe"} == named(found, "ok")
    assert found["vsock"].verdict in {"LEAK", "not confined"}
    assert found["systemd-dbus"].evidence.startswith("systemd says ")


def test_a_process_without_a_network_has_the_hosts_sockets_all_the_same(world: World) -> None:
    """One of its own user, in an empty namespace: by it /run/systemd/private is within reach."""
    run = ("systemd-run", "--unit=unnetworked", "--uid=man", "--property=PrivateNetwork=yes")
    world.machine.run(*run, "--property=Type=exec", "sleep", "infinity")
    forger = "ExecStart=\nExecStart=/usr/bin/python3 -I /var/lib/forger.py blocked\n"
    try:
        found, forged = try_escapes(world, IDLE), opened(world, forger)
    finally:
        world.machine.systemctl("stop", "unnetworked.service")

    assert {"processes"} == named(found, "not confined")
    assert re.search(r"process \d+ \(sleep\) may be traced", found["processes"].evidence)
    assert {"processes"} == named(forged, "unknown")


def test_a_forged_probe_does_not_close_what_is_open(world: World) -> None:
    """It answers "blocked" for all, in the host's namespace, with the host's /run, as root."""
    forger = "ExecStart=\nExecStart=/usr/bin/python3 -I /var/lib/forger.py blocked\n"
    found = opened(world, NAMESPACE, RUN, ROOT, FAMILIES, forger)

    assert {"probe", "dns-sssd"} == named(found, "ok")


@pytest.mark.parametrize("world", first("trixie"), indirect=True)
@pytest.mark.parametrize("how", ["silent", "killed", "guessed", "noisy", "endless"])
def test_a_probe_that_does_not_answer_is_unknown(world: World, how: str) -> None:
    """Silent, killed, without its tokens, endless or drowning us: bounded, and nothing is OK."""
    begun = time.monotonic()
    found = opened(world, f"ExecStart=\nExecStart=/usr/bin/python3 -I /var/lib/forger.py {how}\n")

    assert {"probe", *CHANNELS} == named(found, "unknown")
    assert LOCK_SECONDS + READY_SECONDS + TRY_SECONDS > time.monotonic() - begun
    # Of all of them one alone is waited for until its time is over.
    assert (how == "endless") == (" did not end within " in found["probe"].evidence)
    size = world.machine.sh("stat -c %s /run/wgconfine/probe/odd*.out")
    assert 1 << 18 >= int(size)


def test_a_probe_that_cannot_start_is_unknown(world: World) -> None:
    """The guard refuses it, as it would the service: there is one check, and it says why."""
    found = opened(world, "NetworkNamespacePath=\n")

    assert {"probe"} == set(found)
    assert "unknown" == found["probe"].verdict
    assert f"{probe_unit(UnitName(IDLE))} did not run" in found["probe"].evidence


OPENINGS = {
    "namespace": (NAMESPACE, PACKETS),
    "run": (RUN, BY_DAEMONS | {"unix-sockets", "system-bus"}),
    "docker": ("BindPaths=/run/docker.sock:/opt/odd.sock\n", {"unix-sockets"}),
    "families": (FAMILIES, {"vsock"}),
    "rings": (CALLS, {"io-uring"}),
    "routes": (f"{CAPABILITIES}AmbientCapabilities=CAP_NET_ADMIN\n", {"routes"}),
    "setns": (f"{CAPABILITIES}AmbientCapabilities=CAP_SYS_ADMIN CAP_SYS_PTRACE\n", {"setns"}),
    "root": (ROOT, {"setns", "spools"} | RIGHTS),
}


@pytest.mark.long
@pytest.mark.parametrize("opening", OPENINGS)
def test_one_opening_opens_its_channels(world: World, opening: str) -> None:
    """What an opening opens is found by the names of its channels, and the others stay closed."""
    settings, expected = OPENINGS[opening]
    found = opened(world, settings)

    assert set() == expected - named(found, "LEAK", "not confined", "open")
