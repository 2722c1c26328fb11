"""Units of all kinds on one machine of each release: each works inside, or is refused by name."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import refused, wgconfine, write_tunnel
from tests.watching import tick_by_hand
from wgconfine.render.hardening import CALLS, CAPABILITIES

pytestmark = pytest.mark.container

NOTIFIES = (
    "import os, signal, socket, time; signal.signal(signal.SIGHUP, lambda *_: None);"
    " s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
    " s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET']); time.sleep(9999)"
)
SLEEP = "ExecStart=/bin/sleep infinity\n"
FORK = "Type=forking\nExecStart=/bin/sh -c 'sleep infinity & echo $! > {}'\n"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One unit, by the text of its [Service], and what `systemctl show` says of it confined."""

    text: str
    shows: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    """What stands before [Service]."""
    since: int = 0
    """Older systemd does not know its setting."""


def setting(text: str, *, since: int = 0, **shows: str) -> Kind:
    """A unit that does nothing else than to have this setting."""
    return Kind(text=f"Type=exec\n{SLEEP}{text}\n", shows=shows, since=since)


WHERE = "/bin/sh -c 'readlink /proc/self/ns/net > /var/lib/{}'\n"
ONESHOT = "Type=oneshot\nRemainAfterExit=yes\nExecStart=" + WHERE.format("oneshot")

KINDS = {
    "simple": Kind(text=SLEEP, shows={"Type": "simple"}),
    "exec": Kind(text="Type=exec\n" + SLEEP, shows={"Type": "exec"}),
    "notify": Kind(
        text=f'Type=notify\nExecStart=/usr/bin/python3 -c "{NOTIFIES}"\n',
        shows={"Type": "notify", "SubState": "running"},
    ),
    "notify-reload": Kind(
        text=f'Type=notify-reload\nExecStart=/usr/bin/python3 -c "{NOTIFIES}"\n',
        shows={"Type": "notify-reload"},
        since=253,
    ),
    "notify-tool": Kind(
        text="Type=notify\nNotifyAccess=all\n"
        "ExecStart=/bin/sh -c 'systemd-notify --ready --status=up; exec sleep infinity'\n",
        shows={"StatusText": "up"},
    ),
    "forking": Kind(text=FORK.format("/run/forking.pid") + "PIDFile=/run/forking.pid\n"),
    "forking-var": Kind(text=FORK.format("/var/run/v.pid") + "PIDFile=/var/run/v.pid\n"),
    "forking-relative": Kind(text=FORK.format("/run/r.pid") + "PIDFile=r.pid\n"),
    "forking-directory": Kind(
        text=FORK.format("/run/fd/x.pid") + "RuntimeDirectory=fd\nPIDFile=/run/fd/x.pid\n",
        shows={"PIDFile": "/run/fd/x.pid"},
    ),
    "forking-user": Kind(
        text=FORK.format("/run/fu/x.pid")
        + "User=games\nRuntimeDirectory=fu\nPIDFile=%t/fu/x.pid\n",
    ),
    "forking-made": Kind(
        text="ExecStartPre=+/bin/mkdir -p /run/made\n"
        + FORK.format("/run/made/x.pid")
        + "PIDFile=%t/made/x.pid\n",
    ),
    "forking-guessed": Kind(text="Type=forking\nExecStart=/bin/sh -c 'sleep infinity & :'\n"),
    "oneshot": Kind(text=ONESHOT, shows={"SubState": "exited"}),
    "idle": Kind(text="Type=idle\n" + SLEEP, shows={"Type": "idle"}),
    "early": Kind(text="Type=exec\n" + SLEEP, unit="[Unit]\nDefaultDependencies=no\n"),
    "condition": setting("ExecCondition=/bin/true\nExecCondition=/usr/bin/test -d /run/lock"),
    "success": setting("SuccessExitStatus=255 SIGKILL", SuccessExitStatus="255 KILL"),
    "families-allow": setting("RestrictAddressFamilies=AF_UNIX AF_INET"),
    "families-deny": setting("RestrictAddressFamilies=~AF_INET6"),
    "capabilities": setting(
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE", CapabilityBoundingSet="cap_net_bind_service"
    ),
    "capabilities-none": setting("CapabilityBoundingSet=", CapabilityBoundingSet=""),
    "filter-allow": setting("User=games\nSystemCallFilter=@system-service"),
    "filter-deny": setting("SystemCallFilter=~@mount @privileged\nSystemCallErrorNumber=EPERM"),
    "bind": setting("BindPaths=/var/tmp:/mnt\nBindReadOnlyPaths=/etc/hostname:/srv/x"),
    "temporary": setting("TemporaryFileSystem=/home /srv:ro /run/own"),
    "strict": setting(
        "ProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\nPrivateDevices=yes\n"
        "RuntimeDirectory=strict\nStateDirectory=strict",
        ProtectSystem="strict",
        PrivateTmp="yes",
    ),
    "private-users": setting("PrivateUsers=yes", PrivateUsers="yes"),
    "private-users-user": setting("PrivateUsers=yes\nUser=games", PrivateUsers="yes"),
    "private-users-full": setting("PrivateUsers=full", since=258, PrivateUsersEx="full"),
    "dynamic": setting("DynamicUser=yes\nStateDirectory=dynamic", DynamicUser="yes"),
    "user": setting("User=games\nGroup=nogroup\nSupplementaryGroups=mail", User="games"),
    "private-network": setting("PrivateNetwork=yes", NetworkNamespacePath="/run/netns/vpn"),
    "namespace-path": setting(
        "NetworkNamespacePath=/run/netns/other", NetworkNamespacePath="/run/netns/vpn"
    ),
    "ip-deny": setting("IPAddressDeny=any"),
    "restrict-namespaces": setting("RestrictNamespaces=yes\nUser=games", RestrictNamespaces="yes"),
    "private-mounts": setting("PrivateMounts=yes\nMountAPIVFS=yes\nPrivateIPC=yes"),
    "proc": setting("ProtectProc=invisible\nProcSubset=pid\nUser=games", ProtectProc="invisible"),
    "exec-paths": setting("NoExecPaths=/\nExecPaths=/usr/bin/sleep /usr/lib"),
    "inaccessible": setting("InaccessiblePaths=/home -/run/dbus /usr/bin/dash"),
    "hardened": setting(
        "MemoryDenyWriteExecute=yes\nLockPersonality=yes\nRestrictSUIDSGID=yes\n"
        "RestrictRealtime=yes\nNoNewPrivileges=yes\nProtectKernelTunables=yes\n"
        "ProtectKernelModules=yes\nProtectKernelLogs=yes\nProtectClock=yes\nProtectHostname=yes\n"
        "ProtectControlGroups=yes\nRestrictFileSystems=~tracefs",
        NoNewPrivileges="yes",
    ),
    "delegate": setting("Delegate=yes", Delegate="yes"),
    "credentials": setting("SetCredential=a:b\nLoadCredential=h:/etc/hostname"),
    "slice": setting("Slice=own.slice", Slice="wgconfine-vpn.slice"),
    "private-pids": setting(
        "PrivatePIDs=yes\nUser=games\nKillSignal=SIGKILL\nSuccessExitStatus=KILL",
        since=257,
        PrivatePIDs="yes",
    ),
    "tmp-disconnected": setting("PrivateTmp=disconnected", since=257, PrivateTmpEx="disconnected"),
    "control-groups": setting(
        "ProtectControlGroups=strict", since=257, ProtectControlGroupsEx="strict"
    ),
    "hostname": setting("ProtectHostname=private:own", since=258),
    "bpf": setting("PrivateBPF=yes\nPrivateUsers=yes", since=258, PrivateBPF="yes"),
}

# Run by each that `strict` gives users of its own, and that works all the same.
WORKS = "ExecStartPre=/bin/sh -e -c '{}'\n"
OWN_USERS = {
    "own-files": setting(
        "User=games\nSupplementaryGroups=mail\nStateDirectory=own-files\n"
        + WORKS.format("touch /var/lib/own-files/$$$$ /srv/of-mail/$$$$"),
        PrivateUsers="yes",
    ),
    "own-dynamic": setting(
        "DynamicUser=yes\nStateDirectory=own-dynamic\nLoadCredential=h:/etc/hostname\n"
        + WORKS.format(
            "[ $(id -un) = own-dynamic ]; touch /var/lib/own-dynamic/$$$$;"
            " [ -s $$CREDENTIALS_DIRECTORY/h ]"
        ),
        PrivateUsers="yes",
    ),
    "own-notify": Kind(
        text="Type=notify\nUser=games\nNotifyAccess=all\n"
        "ExecStart=/bin/sh -c 'systemd-notify --ready --status=up; exec sleep infinity'\n",
        shows={"StatusText": "up", "PrivateUsers": "yes"},
    ),
    "own-forking": Kind(
        text=FORK.format("/run/of/x.pid")
        + "User=games\nRuntimeDirectory=of\nPIDFile=/run/of/x.pid\n",
        shows={"PrivateUsers": "yes"},
    ),
    "own-port": setting(
        "User=games\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
        """ExecStartPre=/usr/bin/python3 -c 'import socket; socket.socket().bind(("", 80))'""",
        PrivateUsers="no",
    ),
    "own-begins-as-root": setting(
        "User=games\n"
        "ExecStartPre=!/usr/bin/setpriv --reuid=games --regid=games --init-groups /bin/true",
        PrivateUsers="no",
    ),
}
KINDS |= OWN_USERS

DROPINS = {
    "kind-of@.service": f"[Service]\nType=exec\nEnvironment=MAIN=%i\n{SLEEP}",
    "kind-of@.service.d/a.conf": "[Service]\nEnvironment=TEMPLATE=1\n",
    "kind-of@home.service.d/b.conf": "[Service]\nEnvironment=INSTANCE=1\n",
    "kind-.service.d/c.conf": "[Service]\nEnvironment=PREFIX=1\n",
    "service.d/d.conf": "[Service]\nEnvironment=TYPE=1\n",
}
INSTANCE = "kind-of@home.service"

LISTS = {
    "stricter": "RestrictAddressFamilies=AF_INET",
    "looser": "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_PACKET AF_VSOCK AF_ALG",
    "denied": "RestrictAddressFamilies=~AF_INET6 AF_PACKET",
    "absent": "Nice=1",
    "none": "RestrictAddressFamilies=none",
    "none-and-more": "RestrictAddressFamilies=none\nRestrictAddressFamilies=AF_INET AF_XDP",
    "only-ours": "RestrictAddressFamilies=AF_PACKET",
    "reset": "RestrictAddressFamilies=AF_INET\nRestrictAddressFamilies=",
    "architectures": "SystemCallArchitectures=native x86",
    "capabilities-denied": "CapabilityBoundingSet=~CAP_SYS_ADMIN CAP_NET_ADMIN",
    "calls-allowed": "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged",
    "calls-denied": "SystemCallFilter=~@mount",
    "calls-one": "SystemCallFilter=~@mount\nSystemCallFilter=mount:ENOSYS",
    "calls-number": "SystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM",
    "calls-other-number": "SystemCallFilter=@system-service\nSystemCallErrorNumber=EACCES",
    "calls-kill": "SystemCallFilter=@system-service\nSystemCallErrorNumber=kill",
    "calls-enosys": "SystemCallFilter=@system-service\nSystemCallErrorNumber=ENOSYS",
    "calls-uring": "SystemCallFilter=@system-service io_uring_setup:EACCES request_key @mount",
    "capabilities-more": "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_KILL CAP_SYS_TIME",
    "capabilities-empty": "CapabilityBoundingSet=",
    "capabilities-tilde": "CapabilityBoundingSet=~",
    "capabilities-out": "CapabilityBoundingSet=CAP_NET_ADMIN",
    "namespaces": "RestrictNamespaces=net mnt",
    "namespaces-denied": "RestrictNamespaces=~net",
}
# Runs on the machine, so that one command asks all of it.
COLLECT = r"""
import json, os, subprocess, sys, time

units, keys = json.load(sys.stdin)

def systemctl(*argv):
    return subprocess.run(["systemctl", *argv], capture_output=True, text=True)

def show():
    blocks = systemctl("show", "--property=" + ",".join(keys), *units).stdout.split("\n\n")
    shown = [dict(line.split("=", 1) for line in block.splitlines() if line) for block in blocks]
    return {each["Id"]: each for each in shown}

def look():
    # With Type=idle there may be no process yet, or one that waits in systemd's own program.
    deadline = time.monotonic() + 120
    while waiting(found := show()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return {unit: {"shown": each} | where(each["MainPID"]) for unit, each in found.items()}

def waiting(found):
    pids = [each["MainPID"] for each in found.values() if each["Type"] != "oneshot"]
    return any(
        pid == "0" or open(f"/proc/{pid}/comm").read().startswith(("(", "systemd-exec"))
        for pid in pids
    )

def where(pid):
    if pid == "0":
        return {}
    inside = os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/run/netns/vpn").st_ino
    resolver = open(f"/proc/{pid}/root/etc/resolv.conf").read()
    ours = open("/run/wgconfine/tunnel/vpn/resolv.conf").read()
    return {"inside": inside, "resolver": resolver == ours}

seen = {}
for verb in ("start", "restart", "stop"):
    systemctl(verb, *units)
    seen[verb] = show() if verb == "stop" else look()
json.dump(seen, sys.stdout)
"""
SHOWN = (
    *("Id", "Type", "MainPID", "ActiveState", "Result", "InvocationID", "Environment"),
    *{key for kind in KINDS.values() for key in kind.shows},
)


def version_of(world: World) -> int:
    return int(world.machine.sh("systemctl --version").split()[1])


def write_units(world: World, units: Mapping[str, str]) -> None:
    """All at once, for they are many."""
    script = "cd /etc/systemd/system\n"
    for name, text in units.items():
        script += f"mkdir -p \"$(dirname '{name}')\"\ncat > '{name}' <<'END'\n{text}\nEND\n"
    world.machine.sh(script + "systemctl daemon-reload")


def texts() -> dict[str, str]:
    kinds = {
        f"{name}.service": f"{each.unit}[Service]\n{each.text}" for name, each in KINDS.items()
    }
    lists = {
        f"{twin}{name}.service": f"[Service]\n{SLEEP}{text}"
        for name, text in LISTS.items()
        for twin in ("list-", "strict-", "open-")
    }
    return kinds | lists | DROPINS


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A machine with all kinds confined by one `apply`, and what each did."""

    world: World
    version: int
    units: Mapping[str, Mapping[str, dict[str, Any]]]


@pytest.fixture(scope="module", params=first("forky"))
def few(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[Seen]:
    """A machine with four of them, where an `apply` and its `verify` take seconds."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        names = ("condition", "exec", "simple", "user")
        write_units(world, {f"{name}.service": texts()[f"{name}.service"] for name in names})
        write_tunnel(world, [f"{name}.service" for name in names])
        wgconfine(world, "apply")
        yield Seen(world=world, version=version_of(world), units={})


@pytest.fixture(scope="module", params=first("forky"))
def seen(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[Seen]:
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        version = version_of(world)
        world.machine.sh(
            "mkdir -p /opt; install -d -m 2770 -g mail /srv/of-mail; ip netns add other"
        )
        tick_by_hand(world)  # or a verify of them all, which takes most of a minute
        write_units(world, texts())
        names = [f"{name}.service" for name, each in KINDS.items() if each.since <= version]
        lists = [f"{twin}{name}.service" for name in LISTS for twin in ("list-", "strict-")]
        strict = "".join(
            f'[service."{name}.service"]\nhardening = "strict"\n'
            for name in (*OWN_USERS, *(f"strict-{each}" for each in LISTS))
        )
        write_tunnel(world, [*names, INSTANCE, *lists], extra=strict)
        wgconfine(world, "apply")
        world.machine.write("/root/collect.py", COLLECT)
        asked = json.dumps([[*names, INSTANCE], SHOWN])
        done = world.machine.run("python3", "/root/collect.py", input=asked, timeout=900)
        yield Seen(world=world, version=version, units=json.loads(done.stdout))


@pytest.mark.parametrize("name", KINDS)
def test_it_works_inside(seen: Seen, name: str) -> None:
    """It starts, restarts and stops; its process is inside and has the tunnel's resolver."""
    unit = f"{name}.service"
    if KINDS[name].since > seen.version:
        assert unit not in seen.units["start"]
        return
    first, second = seen.units["start"][unit], seen.units["restart"][unit]
    for each in (first, second):
        assert "active" == each["shown"]["ActiveState"]
        if name != "oneshot":
            assert (True, True) == (each["inside"], each["resolver"])
    assert first["shown"]["InvocationID"] != second["shown"]["InvocationID"]
    stopped = seen.units["stop"][unit]
    assert ("inactive", "success") == (stopped["ActiveState"], stopped["Result"])
    shows = KINDS[name].shows
    assert shows == {key: first["shown"][key] for key in shows}


def test_a_oneshot_ran_inside(seen: Seen) -> None:
    """It has no process left that could be looked at: it says itself where it was."""
    machine = seen.world.machine
    inode = machine.sh("stat -Lc %i /run/netns/vpn").strip()
    assert f"net:[{inode}]" == machine.read("/var/lib/oneshot").strip()


def test_an_instance_has_all_drop_ins(seen: Seen) -> None:
    """Its own, its template's, its prefix's and its type's, and it is inside."""
    first = seen.units["start"][INSTANCE]
    assert (True, True) == (first["inside"], first["resolver"])
    assert {"MAIN=home", "TEMPLATE=1", "INSTANCE=1", "PREFIX=1", "TYPE=1"} == set(
        first["shown"]["Environment"].split()
    )


def shown_list(world: World, unit: str, key: str) -> tuple[bool, frozenset[str]]:
    """Whether a list is one of what is denied, and its words, as systemd shows it in force."""
    shown = world.machine.show(unit, key)
    words = shown.removeprefix("~").split()
    return shown.startswith("~"), frozenset(word.partition(":")[0] for word in words)


def is_within(inner: tuple[bool, frozenset[str]], outer: tuple[bool, frozenset[str]]) -> bool:
    """Whether all that `inner` lets through is let through by `outer`."""
    match inner, outer:
        case (False, allowed), (False, more):
            return allowed <= more
        case (False, allowed), (True, denied):
            return not allowed & denied
        case (True, denied), (True, fewer):
            return fewer <= denied
        case _:
            return False


@pytest.mark.parametrize("name", LISTS)
def test_a_list_in_force_is_within_theirs_and_ours(seen: Seen, name: str) -> None:
    """The twin that is not confined tells what theirs is, the unit without such a line ours."""
    theirs = shown_list(seen.world, f"open-{name}.service", "RestrictAddressFamilies")
    ours = shown_list(seen.world, "list-absent.service", "RestrictAddressFamilies")
    both = shown_list(seen.world, f"list-{name}.service", "RestrictAddressFamilies")
    assert ours[0]
    assert {"AF_VSOCK", "AF_PACKET", "AF_ALG", "AF_XDP"} <= ours[1]
    assert is_within(both, ours)
    assert is_within(both, theirs)
    assert "native" == seen.world.machine.show(f"list-{name}.service", "SystemCallArchitectures")


@pytest.mark.parametrize("twin", ["list-", "strict-"])
@pytest.mark.parametrize("name", LISTS)
def test_rights_in_force_are_within_theirs_and_ours(seen: Seen, name: str, twin: str) -> None:
    """Capabilities are theirs less ours; system calls are within both, whatever theirs forbid."""
    world = seen.world
    units = (f"{twin}{name}.service", f"open-{name}.service", f"{twin}absent.service")
    capabilities = [
        frozenset(world.machine.show(each, "CapabilityBoundingSet").split()) for each in units
    ]
    calls = [shown_list(world, each, "SystemCallFilter") for each in units]

    assert capabilities[0] == capabilities[1] & capabilities[2]
    assert not {each.lower() for each in CAPABILITIES} & capabilities[0]
    assert is_within(calls[0], calls[1])
    assert is_within(calls[0], calls[2])
    assert {*CALLS} <= calls[2][1]
    if twin == "strict-":
        assert "yes" == world.machine.show(units[0], "RestrictNamespaces")


@pytest.mark.parametrize("name", [name for name in LISTS if name.startswith("calls-")])
def test_a_filter_of_both_can_be_set_up(seen: Seen, name: str) -> None:
    """Not every mixture can: a number that an allow-list gives anyway is 228/SECCOMP."""
    machine = seen.world.machine
    units = [f"{twin}{name}.service" for twin in ("list-", "strict-")]
    machine.systemctl("start", *units)
    for unit in units:
        pid = machine.show(unit, "MainPID")
        machine.wait_for(
            lambda: machine.sh(f"cat /proc/{pid}/comm || true") == "sleep",  # noqa: B023 — is called at once
            f"{unit} runs",
        )
    machine.systemctl("stop", *units)


REFUSED = {
    "dbus": ("Type=dbus\nBusName=org.example.x", "needs the host's D-Bus"),
    "socket-activated": ("Sockets=some.socket", "sockets of the host's"),
    "docker": ("ExecStart=/usr/bin/docker run x", "which only asks dockerd"),
    "podman-remote": ("ExecStart=/usr/bin/podman --remote run x", "podman's service"),
    "virsh": ("ExecStart=/usr/bin/virsh start x", "libvirtd"),
    "lxd": ("ExecStart=/usr/bin/lxc start x", "lxd"),
    "incus": ("ExecStart=/usr/bin/incus start x", "incusd"),
    "root-directory": ("RootDirectory=/srv/root", "the guard needs the host's"),
    "root-image": ("RootImage=/srv/root.img", "the guard needs the host's"),
    "mounts-for-others": ("ExecStart=/usr/bin/rclone mount a: /mnt", "mounts for the host"),
    "delegate-namespaces": ("DelegateNamespaces=net", "systemd then runs it in the host's"),
    "user-namespace": ("UserNamespacePath=/srv/ns", "which the kernel forbids"),
    "work-in-run": ("WorkingDirectory=/run/nowhere", "a /run of its own"),
    "mounts-over": ("TemporaryFileSystem=/run", "would lie over"),
    "binds-run": ("BindPaths=/run/dbus", "the host's /run"),
    "arch": ("SystemCallArchitectures=x86", "32-bit"),
    "signal": ("SuccessExitStatus=USR1", "the guard's refusal"),
    "reload-post": ("ExecReloadPost=/usr/bin/docker exec x", "dockerd"),
}


def test_what_cannot_be_confined_is_refused_by_name(seen: Seen) -> None:
    """All at once, each with the reason and the way out; nothing at all is changed."""
    units = {
        f"no-{name}.service": f"[Service]\nExecStart=/bin/true\nType=oneshot\n{text}"
        for name, (text, _) in REFUSED.items()
    }
    units["no-join.service"] = f"[Unit]\nJoinsNamespaceOf=simple.service\n[Service]\n{SLEEP}"
    units["no-listen.service"] = f"[Service]\n{SLEEP}"
    units["no-listen.socket"] = "[Socket]\nListenStream=127.0.0.1:7777"
    write_units(seen.world, units)
    names = [name for name in units if name.endswith(".service")]
    write_tunnel(seen.world, names, name="no", client=3)
    try:
        done = wgconfine(seen.world, "apply", check=False)
    finally:
        files = " ".join(f"/etc/systemd/system/{name}" for name in units)
        seen.world.machine.sh(f"rm /etc/wgconfine/no.toml {files}; systemctl daemon-reload")
    assert 78 == done.returncode
    said = {line.partition(".service")[0]: line for line in done.stderr.splitlines()}
    expected = {f"no-{name}": words for name, (_, words) in REFUSED.items()}
    expected |= {"no-join": "wins over the tunnel's namespace", "no-listen": "no-listen.socket"}
    assert expected == {name: words for name, words in expected.items() if words in said[name]}
    assert "" == seen.world.machine.sh("ls -d /etc/systemd/system/no-*.d 2>/dev/null || true")


def test_what_replaces_an_owners_slice_is_told(seen: Seen) -> None:
    """`plan` has nothing to do, and says so; the word about the slice is a warning."""
    done = wgconfine(seen.world, "plan", check=False)
    assert (0, True) == (done.returncode, done.stdout.startswith("Nothing to do"))
    assert "Slice='own.slice' is replaced by wgconfine-vpn.slice" in done.stderr


def test_an_idle_service_that_waits_is_no_alarm(seen: Seen) -> None:
    """Before systemd executes its program the process is systemd's own, and in no namespace yet."""
    machine = seen.world.machine
    machine.systemctl("start", "--no-block", "idle.service")
    machine.wait_for(lambda: machine.show("idle.service", "MainPID") != "0", "it has a process")
    done = wgconfine(seen.world, "status", check=False)
    assert 0 == done.returncode
    machine.systemctl("stop", "idle.service")


@pytest.mark.long
def test_a_condition_that_does_not_hold_skips_it(few: Seen) -> None:
    """The unit's own ExecCondition= comes after the guard, and counts."""
    change(few, "condition.service", f"[Service]\nExecCondition=/bin/false\n{SLEEP}")
    wgconfine(few.world, "apply")
    assert 0 == few.world.machine.systemctl("start", "condition.service").returncode
    assert "exec-condition" == few.world.machine.show("condition.service", "Result")


def change(seen: Seen, unit: str, text: str) -> None:
    seen.world.machine.write(f"/etc/systemd/system/{unit}", text)
    seen.world.machine.systemctl("daemon-reload")


def test_a_unit_that_was_upgraded_is_noticed_and_rendered_anew(few: Seen) -> None:
    """`status` says it, `plan` gives 5, `apply` puts the guard before what has come in."""
    machine = few.world.machine
    machine.systemctl("start", "exec.service")
    change(
        few,
        "exec.service",
        "[Service]\nType=forking\nPIDFile=/run/new.pid\nSuccessExitStatus=7\n"
        "ExecStart=/bin/sh -c 'sleep infinity & echo $! > /run/new.pid'\n"
        "ExecReload=/bin/true\nExecStopPost=" + WHERE.format("post"),
    )
    words = "! exec.service has changed since it was confined: wgconfine apply"
    assert words in wgconfine(few.world, "status").stdout
    assert 5 == wgconfine(few.world, "plan", check=False).returncode
    wgconfine(few.world, "apply")
    assert words not in wgconfine(few.world, "status").stdout
    assert 0 == wgconfine(few.world, "plan", check=False).returncode
    assert "exec.service: confined" == refused(few.world, "exec.service")
    assert "7" == machine.show("exec.service", "SuccessExitStatus")
    for key in ("ExecReload", "ExecStopPost"):
        assert "wgconfine: this is not the namespace" in machine.show("exec.service", key)
    machine.systemctl("reload", "exec.service")
    machine.systemctl("stop", "exec.service")
    inode = machine.sh("stat -Lc %i /run/netns/vpn").strip()
    assert f"net:[{inode}]" == machine.read("/var/lib/post").strip()


@pytest.mark.long
def test_a_new_drop_in_is_noticed(few: Seen) -> None:
    """The same as for the main file; nothing restarts where only the digest differs."""
    machine = few.world.machine
    machine.systemctl("start", "simple.service")
    pid = machine.show("simple.service", "MainPID")
    machine.write("/etc/systemd/system/simple.service.d/nice.conf", "[Service]\nNice=3\n")
    assert "! simple.service has changed" in wgconfine(few.world, "status").stdout
    wgconfine(few.world, "apply")
    assert "! simple" not in wgconfine(few.world, "status").stdout
    assert pid == machine.show("simple.service", "MainPID")


@pytest.mark.long
def test_namespaces_that_an_upgrade_delegates_stay_shut(few: Seen) -> None:
    """Without an `apply` in between: the drop-in has a line for it where systemd knows it."""
    machine = few.world.machine
    change(few, "user.service", f"[Service]\nType=exec\nDelegateNamespaces=yes\n{SLEEP}")
    machine.systemctl("start", "user.service")
    assert "user.service: confined" == refused(few.world, "user.service")
    machine.systemctl("stop", "user.service")
    change(few, "user.service", f"[Service]\nType=exec\n{SLEEP}")
    wgconfine(few.world, "apply")


def test_what_a_timer_or_a_path_starts_is_inside(seen: Seen) -> None:
    """Also with the tunnel down: they pull it up."""
    machine = seen.world.machine
    write_units(
        seen.world,
        {
            "oneshot.timer": "[Timer]\nOnActiveSec=0\nAccuracySec=1ms",
            "early.path": "[Path]\nPathExists=/srv/now",
        },
    )
    machine.sh("systemctl stop oneshot.service early.service wgconfine-netns@vpn.service")
    machine.sh("rm -f /var/lib/oneshot; mkdir -p /srv; systemctl start oneshot.timer early.path")
    machine.sh("touch /srv/now")
    machine.wait_for(lambda: machine.is_active("oneshot.service"), "the timer started it")
    machine.wait_for(lambda: machine.is_active("early.service"), "the path started it")
    inode = machine.sh("stat -Lc %i /run/netns/vpn").strip()
    assert f"net:[{inode}]" == machine.read("/var/lib/oneshot").strip()
    assert "early.service: confined" == refused(seen.world, "early.service")
    machine.sh("systemctl stop early.path oneshot.timer early.service; rm /srv/now")


@pytest.mark.long
def test_aliases_are_resolved(few: Seen) -> None:
    """All that is installed bears the real name, `status` shows it once, `release ALIAS` works."""
    machine = few.world.machine
    write_units(
        few.world,
        {"real.service": f"[Service]\n{SLEEP}", "real@.service": f"[Service]\n{SLEEP}"},
    )
    machine.sh("cd /etc/systemd/system; ln -s real.service alias.service")
    machine.sh("cd /etc/systemd/system; ln -s real@.service alias@.service")
    machine.systemctl("daemon-reload")
    try:
        write_tunnel(few.world, ["alias.service", "real.service"], name="two", client=3)
        both = wgconfine(few.world, "apply", check=False)
        write_tunnel(few.world, ["alias.service", "alias@x.service"], name="two", client=3)
        wgconfine(few.world, "apply")
        machine.systemctl("start", "alias.service", "alias@x.service")
        shown = wgconfine(few.world, "status", "two").stdout
        record = json.loads(machine.read("/etc/wgconfine/two.json"))
        files = machine.sh("cd /; ls -d {etc,usr/local/lib}/systemd/system/{real,alias}*.d || true")
        wgconfine(few.world, "release", "alias.service", "--yes")
        released = machine.sh(
            "cd /; ls -d {etc,usr/local/lib}/systemd/system/real.service.d || true"
        )
        left = machine.read("/etc/wgconfine/two.toml")
    finally:
        wgconfine(few.world, "remove", "two", "--release", "--purge", "--yes", check=False)
    assert 78 == both.returncode
    assert "alias.service and real.service are names of the same unit" in both.stderr
    assert "real.service: confined" in shown
    assert "real@x.service: confined" in shown
    assert "alias" not in shown
    assert ["real.service", "real@x.service"] == record["services"]
    assert 4 == len(files.split())
    assert "alias" not in files
    assert "" == released
    assert "alias@x.service" in left
    assert "alias.service" not in left
