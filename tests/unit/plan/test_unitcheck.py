"""Which units cannot be confined."""

from pathlib import PurePosixPath

import pytest

from wgconfine.model.problem import Problem
from wgconfine.model.settings import UnitName
from wgconfine.model.tree import MARK
from wgconfine.model.units import UnitFacts, UnitText
from wgconfine.plan.unitcheck import check_unit
from wgconfine.plan.unitfile import build_facts
from wgconfine.render.service import dropin_settings

NAME = UnitName("x-y.service")
MAIN = PurePosixPath("/usr/lib/systemd/system/x-y.service")
OURS = dropin_settings()


def facts(
    text: str = "",
    *dropins: tuple[str, str],
    triggered_by: tuple[str, ...] = (),
    joined: tuple[str, ...] = (),
) -> UnitFacts:
    texts = [UnitText(path=MAIN, text="[Service]\nExecStart=/usr/bin/x\n" + text)]
    texts += [
        UnitText(path=PurePosixPath(f"/etc/systemd/system/x-y.service.d/{name}"), text=t)
        for name, t in dropins
    ]
    return build_facts(
        name=NAME, load_state="loaded", texts=texts, triggered_by=triggered_by, joined=joined
    )


def check(text: str) -> list[Problem]:
    return check_unit(facts(text), OURS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sockets=a.socket", "sockets of the host"),
        ("Sockets=a.socket\nSockets=", "sockets of the host"),
        ("SuccessExitStatus=TEMPFAIL 250 SIGUSR1", "the guard's refusal"),
        ("SuccessExitStatus=USR1", "the guard's refusal"),
        ("[Unit]\nJoinsNamespaceOf=a.service", "wins over"),
        ("[Unit]\nJoinsNamespaceOf=a.service\nJoinsNamespaceOf=", "wins over"),
        ("Type=dbus", "D-Bus"),
        ("BusName=org.x", "D-Bus"),
        ("ExecStartPre=-/usr/bin/docker pull x", "dockerd"),
        ('ExecStart=/bin/sh -c "exec virsh start x"', "libvirtd"),
        ("ExecStart=/usr/bin/podman --remote run x", "podman's service"),
        ("Environment=A=b CONTAINER_HOST=unix:/x\nExecStart=/usr/bin/podman run", "podman's"),
        ("ExecStart=/usr/bin/docker compose up", "dockerd"),
        ("ExecStart=/usr/bin/ctr run x y", "containerd"),
        ("ExecStart=/usr/bin/kind create cluster", "dockerd"),
        ("ExecStart=/usr/bin/helm install x", "the cluster"),
        ("ExecStart=/usr/bin/snap run x", "snapd"),
        ("ExecStart=/usr/bin/systemd-run x", "systemd itself"),
        ("ExecStartPost=/bin/systemctl start y.service", "another unit"),
        ("[Unit]\nRefuseManualStart=yes", "forbids"),
        ("[Unit]\nBefore=a.service sysinit.target", "before there can be a tunnel"),
        ("RootDirectory=/srv/x", "not supported yet"),
        ("RootImage=/srv/x.img", "not supported yet"),
        ("RootMStack=/srv/x", "not supported yet"),
        ("ExtensionImages=/srv/x.raw", "may lie over"),
        ("ExtensionDirectories=-/srv/x", "may lie over"),
        ("DelegateNamespaces=yes", "runs it in the host's"),
        ("DelegateNamespaces=~pid", "runs it in the host's"),
        ("DelegateNamespaces=no", "runs it in the host's"),
        ("PAMName=login", "in the host's namespace"),
        ("PrivateUsers=managed", "another service"),
        ("ReadWriteDirectories=/run/x", "a /run of its own"),
        ("DelegateNamespaces=no\nDelegateNamespaces=net", "runs it in the host's"),
        ("UserNamespacePath=/srv/ns", "another user namespace"),
        ("SystemCallArchitectures=x86 x32", "32-bit"),
        ("WorkingDirectory=/run/x", "a /run of its own"),
        ("WorkingDirectory=%t/x/y", "a /run of its own"),
        ("ExecCondition=-/run/x", "a /run of its own"),
        ("ExecReloadPost=/usr/bin/docker exec x", "dockerd"),
        ("ExecStart=/usr/bin/podman -r run x", "podman's service"),
        ("ExecStart=/usr/bin/docker-compose up", "dockerd"),
        ("ExecStart=/usr/bin/nerdctl run x", "containerd"),
        ("ExecStart=/usr/bin/lxc start x", "lxd"),
        ("ExecStart=/usr/bin/incus start x", "incusd"),
        ("ExecStart=/usr/bin/machinectl start x", "systemd-machined"),
        ("ExecStart=/usr/bin/run0 x", "systemd itself"),
        ("ExecStart=/usr/bin/virt-install x", "libvirtd"),
        ("Environment=CONTAINER_CONNECTION=x\nExecStart=/usr/bin/podman run x", "podman's"),
        ("ReadWritePaths=/run/x", "a /run of its own"),
        ("ReadOnlyPaths=+/var/run/x", "a /run of its own"),
        ("NoExecPaths=%t/x", "a /run of its own"),
        ("RuntimeDirectory=x\nReadWritePaths=/run/xy", "a /run of its own"),
        ("BindPaths=/run/dbus", "the host's /run"),
        ("BindPaths=-/var/run/dbus:/mnt", "the host's /run"),
        ("BindReadOnlyPaths=/:/host", "the host's /run"),
        ("BindReadOnlyPaths=/a:/run", "lie over"),
        ("BindReadOnlyPaths=/a:/etc:rbind", "lie over"),
        ("BindReadOnlyPaths=/a:/usr", "lie over"),
        ("BindPaths=/a:/run/systemd", "lie over"),
        ("BindPaths=/a:/run/dbus/system_bus_socket", "lie over"),
        ("BindReadOnlyPaths=/etc/resolv.conf", "the host's file back"),
        ("BindReadOnlyPaths=/a:/etc/resolv.conf", "lie over"),
        ("TemporaryFileSystem=/run:ro", "lie over"),
        ("TemporaryFileSystem=/:ro", "lie over"),
        ("MountImages=/a.img:/etc/nsswitch.conf", "lie over"),
        ("MountFlags=shared", "mounts for the host"),
        ("OpenFile=/run/x.sock:name", "the host's /run"),
        ("StandardInput=file:/run/x.sock", "the host's /run"),
        ("StandardOutput=append:%t/x.log", "the host's /run"),
        ("InaccessiblePaths=/run", "own /run"),
        ("InaccessiblePaths=-/var/run/", "own /run"),
        ("InaccessiblePaths=-/proc", "what the guard needs"),
        ("FileDescriptorStorePreserve=YES", "while it ran in the open"),
        ("AmbientCapabilities=CAP_KILL cap_net_admin", "CAP_NET_ADMIN, "),
        ("AmbientCapabilities=21", "CAP_SYS_ADMIN, "),
        ("AmbientCapabilities=CAP_SYS_PTRACE\nAmbientCapabilities=CAP_KILL", "SYS_PTRACE, "),
        ("AmbientCapabilities=CAP_BPF\nAmbientCapabilities=~CAP_KILL", "CAP_BPF, "),
        ("AmbientCapabilities=CAP_SYS_MODULE CAP_BPF", "CAP_SYS_MODULE CAP_BPF, "),
        ("AmbientCapabilities=~CAP_SYS_ADMIN", "CAP_NET_ADMIN CAP_SYS_MODULE"),
        ("AmbientCapabilities=~", "gives it CAP_DAC_READ_SEARCH CAP_NET_ADMIN"),
        ("AmbientCapabilities=CAP_KILL\nAmbientCapabilities=\nAmbientCapabilities=~5", "ADMIN"),
        ('Environment=A=b "LD_PRELOAD=/x y"', "Environment= sets LD_PRELOAD"),
        ("Environment=LD_TRACE_LOADED_OBJECTS=1", "sets LD_TRACE_LOADED_OBJECTS"),
        ("PassEnvironment=A LD_LIBRARY_PATH", "PassEnvironment= sets LD_LIBRARY_PATH"),
    ],
)
def test_refused(text: str, words: str) -> None:
    """What would open a way out, or break the guard, is refused, with the line it stands on."""
    (problem,) = check(text)
    assert words in problem.what
    last = 2 + len(text.removesuffix("\nSockets=").removesuffix("\nJoinsNamespaceOf=").splitlines())
    assert problem.where in {f"x-y.service ({MAIN}:{n})" for n in range(3, last + 1)}
    assert problem.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Type=forking\nPIDFile=/run/x.pid",
        "SuccessExitStatus=10 143 SIGTERM",
        "SuccessExitStatus=USR1\nSuccessExitStatus=",
        "RestartForceExitStatus=USR1",
        "PrivateNetwork=yes\nNetworkNamespacePath=/run/netns/x",
        "ExecCondition=/bin/true\nSlice=x.slice",
        "ReadWritePaths=/run -/run/x /run/lock /srv",
        "RuntimeDirectory=x-y/a:b\nReadWritePaths=/run/%p/a/z /run/b %t/%N/a",
        "ReadWritePaths=/run/x\nReadWritePaths=",
        "ReadWritePaths=/runner",
        "BindPaths=/srv/a:/mnt /srv/b:/run/x",
        "BindReadOnlyPaths=/etc /usr",
        "TemporaryFileSystem=/var:ro /run/x",
        "RootDirectory=/",
        "DelegateNamespaces=yes\nDelegateNamespaces=",
        "UserNamespacePath=/srv/ns\nUserNamespacePath=",
        "SystemCallArchitectures=x86-64 x86",
        "SystemCallArchitectures=x86\nSystemCallArchitectures=\nSystemCallArchitectures=native",
        "StandardOutput=append:/var/log/x",
        "RuntimeDirectory=x\nStandardError=file:/run/x/log",
        "StandardInput=file:/run/x\nStandardInput=null",
        "WorkingDirectory=-/run/x",
        "WorkingDirectory=~",
        "RuntimeDirectory=x\nWorkingDirectory=/run/x",
        "WorkingDirectory=/run/lock",
        "RuntimeDirectory=x\nExecStartPost=+/run/x/y",
        "ExecStart=/usr/bin/systemd-nspawn --register=no --keep-unit -D /srv/x",
        "ExecStart=/usr/bin/lxc-start -F x",
        "ExecStop=/bin/systemctl kill x",
        "ExecStart=/usr/bin/dockerd",
        "User=x\nExecStart=/usr/bin/podman run --network host x",
        "BusName=a\nBusName=",
        "[Unit]\nRefuseManualStop=no",
        "[Unit]\nBefore=network.target",
        "[Install]\nJoinsNamespaceOf=a.service",
        "ReadOnlyPaths=/run\nInaccessiblePaths=/home -/run/dbus",
        "InaccessiblePaths=/run\nInaccessiblePaths=",
        "FileDescriptorStorePreserve=restart\nFileDescriptorStoreMax=5",
        "FileDescriptorStorePreserve=yes\nFileDescriptorStorePreserve=no",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_WHATEVER",
        "AmbientCapabilities=CAP_NET_ADMIN\nAmbientCapabilities=",
        "AmbientCapabilities=CAP_KILL CAP_NET_ADMIN\nAmbientCapabilities=~CAP_NET_ADMIN",
        "CapabilityBoundingSet=~CAP_KILL",
        "Environment=A=LD_PRELOAD=x LD_X=y",
        "Environment=LD_PRELOAD=x\nEnvironment=\nPassEnvironment=LANG",
    ],
)
def test_accepted(text: str) -> None:
    """What goes with confinement is let through."""
    assert [] == check(text)


def test_every_problem_at_once() -> None:
    """One unit can have several problems, and each is told."""
    assert 2 == len(check("Type=dbus\nMountFlags=shared"))


@pytest.mark.parametrize(
    ("load_state", "user_unit", "words"),
    [
        ("not-found", False, "no such unit"),
        ("not-found", True, "user unit only"),
        ("masked", False, "masked"),
        ("bad-setting", False, "cannot load it (bad-setting)"),
    ],
)
def test_not_loaded(load_state: str, words: str, *, user_unit: bool) -> None:
    """Of a unit that is not loaded that alone is said."""
    unit = build_facts(name=NAME, load_state=load_state, user_unit=user_unit)
    (problem,) = check_unit(unit, OURS)
    assert "x-y.service" == problem.where
    assert words in problem.what


def test_started_by_a_socket() -> None:
    """A service that a socket starts is refused, one that a timer starts is not."""
    unit = facts(triggered_by=("x-y.socket", "x-y.timer", "x-y.path"))
    (problem,) = check_unit(unit, OURS)
    assert "x-y.socket" in problem.what


def test_joined_by_another() -> None:
    """Systemd takes JoinsNamespaceOf= of another unit for one in both; it is named once."""
    (problem,) = check_unit(facts(joined=("a.service", NAME)), OURS)
    assert problem.what.startswith("a.service has JoinsNamespaceOf=x-y.service")
    own = facts("[Unit]\nJoinsNamespaceOf=%p.socket a.service", joined=("a.service", "x-y.socket"))
    (problem,) = check_unit(own, OURS)
    assert f"x-y.service ({MAIN}:4)" == problem.where


def test_read_after_ours() -> None:
    """A drop-in that sorts after ours and sets a setting of ours is named."""
    later = ("zz-z.conf", "[Service]\nNice=5\nNetworkNamespacePath=/run/netns/other\n")
    (problem,) = check_unit(facts("", later), OURS)
    assert "x-y.service (/etc/systemd/system/x-y.service.d/zz-z.conf:3)" == problem.where


def test_our_mark_hides_nothing() -> None:
    """A drop-in of somebody's that begins with our mark is judged as any other."""
    later = ("zzz.conf", f"# {MARK}\n[Service]\nNetworkNamespacePath=\n")
    (problem,) = check_unit(facts("", later), OURS)
    assert "x-y.service (/etc/systemd/system/x-y.service.d/zzz.conf:3)" == problem.where


def test_read_before_ours() -> None:
    """The same in a drop-in that sorts before ours is overridden, hence fine."""
    earlier = ("override.conf", "[Service]\nNetworkNamespacePath=/run/netns/other\n")
    assert [] == check_unit(facts("", earlier), OURS)


@pytest.mark.parametrize("name", ["zz-wgconfine.conf", "zz-wgconfine-closed.conf"])
def test_hides_ours(name: str) -> None:
    """A foreign drop-in under a name of ours, were it empty, is refused."""
    (problem,) = check_unit(facts("", (name, "")), OURS)
    assert name in problem.what


def test_foreign_text_is_escaped() -> None:
    """Control characters of a unit do not reach the message."""
    (problem,) = check("BindPaths=/run/\x1b[31m")
    assert "\x1b" not in str(problem)
