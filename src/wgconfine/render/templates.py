"""The units that are the same for every tunnel, put together: what each is, and its sandbox.

Each setting here held on systemd 252, 257 and 262. What is not taken, and why, is in
docs/architecture.md.
"""

from pathlib import PurePosixPath

from wgconfine import __version__
from wgconfine.model.tree import MARK, File, Tree
from wgconfine.render.hostunits import (
    ASK_FILTERS,
    METRICS,
    TICK_SERVICE,
    TICK_TIMER,
    VERIFY,
)
from wgconfine.render.places import UNITS
from wgconfine.render.quote import value
from wgconfine.render.serviceunits import (
    BUS,
    IDLE,
    LOOPBACK,
    PATHS,
    PROXY,
    PUBLISH,
    REACH,
    REPATH,
    WANT,
    WATCH,
)
from wgconfine.render.tunnelunits import (
    CHANGED,
    CONFIGURE,
    ENDPOINT,
    LINK,
    LOOK,
    LOOK_OUTSIDE,
    LOOK_SOCKET,
    LOOK_SOCKET_OUTSIDE,
    NAME,
    NETNS,
    NEXT,
    READY,
    REBIND,
    RELINK,
    RELOAD,
    SEES,
    SWITCH,
    TUNNEL,
    WIREGUARD,
)

__all__ = ["HEADER", "PROXYD", "RUNTIME", "TICK", "interpreter_of", "templates"]

TICK = "wgconfine-tick.timer"
"""The one timer of the host. What it starts asks systemd for everything else."""

PROXYD = PurePosixPath("/usr/lib/systemd/systemd-socket-proxyd")
"""Where systemd has it, but for distributions without /usr/lib."""

HEADER = f"# {MARK}. Do not edit: `wgconfine apply` writes it anew.\n"

SANDBOX = """\
NoNewPrivileges=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @keyring @aio @memlock @sync @timer
SystemCallErrorNumber=EPERM
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
DevicePolicy=closed
KeyringMode=private
ProtectClock=yes
ProtectHostname=yes
# There are keys in the memory.
LimitCORE=0
"""

# Of every line that the unit writes, so that WGCONFINE_TUNNEL=NAME finds it in the journal.
TUNNELS_OWN = f"{SANDBOX}LogExtraFields=WGCONFINE_TUNNEL=%i\n"

MOUNTS = """\
PrivateMounts=yes
PrivateDevices=yes
PrivateIPC=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=yes
# Not `invisible`, which hides nothing from root's group.
ProtectProc=ptraceable
ProcSubset=pid
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
"""

RUNTIME = ' -I -c "from wgconfine.runtime.__main__ import run; run()"'


def interpreter_of(installed: Tree) -> PurePosixPath | None:
    """Give the interpreter that installed templates name, None where there are none."""
    unit = installed.get(UNITS / "wgconfine-netns@.service")
    lines = unit.text.splitlines() if isinstance(unit, File) else []
    found = (line.partition(RUNTIME) for line in lines if line.startswith("ExecStart="))
    paths = [path.removeprefix("ExecStart=") for path, runtime, _ in found if runtime]
    return PurePosixPath(paths[0].replace("%%", "%")) if paths else None


def templates(
    *,
    python: PurePosixPath,
    proxy: PurePosixPath = PROXYD,
    bus: bool = False,
    publish: bool = False,
    reach: bool = False,
    ready: bool = False,
    watching: bool = False,
) -> list[File]:
    """Give the template units.

    `python` is an interpreter that imports wgconfine, `proxy` is systemd-socket-proxyd.

    `bus` says that a service has names on the bus allowed: that takes a program of another package.
    So do `publish` and `reach`, where any tunnel has such ports. `ready` says that services of one
    wait for a handshake, `watching` that one is reloaded when its files change.
    """
    interpreter = value(str(python))
    runtime = f"{interpreter}{RUNTIME}"
    words = {
        "runtime": runtime,
        "python": interpreter,
        "proxy": value(str(proxy)),
        "version": value(__version__),
    }
    install = "\n[Install]\nWantedBy=multi-user.target\n"
    texts = {
        "wgconfine-netns@.service": NETNS + TUNNELS_OWN,
        "wgconfine@.service": TUNNEL + LINK + CONFIGURE + MOUNTS + TUNNELS_OWN + install,
        "wgconfine-reload@.service": RELOAD + LINK + CONFIGURE + MOUNTS + TUNNELS_OWN,
        "wgconfine-rebind@.service": REBIND + LINK + CONFIGURE + MOUNTS + TUNNELS_OWN,
        "wgconfine-next@.service": NEXT + MOUNTS + TUNNELS_OWN,
        "wgconfine-relink@.service": RELINK + LINK + CONFIGURE + MOUNTS + TUNNELS_OWN,
        "wgconfine-look@.socket": LOOK_SOCKET,
        "wgconfine-look@.service": LOOK + SEES + MOUNTS + TUNNELS_OWN,
        "wgconfine-look.socket": LOOK_SOCKET_OUTSIDE,
        "wgconfine-look.service": LOOK_OUTSIDE + SEES + MOUNTS + SANDBOX,
        "wgconfine-name@.service": NAME + TUNNELS_OWN,
        "wgconfine-endpoint@.service": ENDPOINT + CONFIGURE + MOUNTS + TUNNELS_OWN,
        "wgconfine-switch@.service": SWITCH + MOUNTS + TUNNELS_OWN,
        "wgconfine-want@.target": WANT,
        "wgconfine-wireguard@.service": WIREGUARD + MOUNTS + TUNNELS_OWN,
        "wgconfine-verify@.service": VERIFY + TUNNELS_OWN + ASK_FILTERS,
        "wgconfine-metrics.service": METRICS + MOUNTS + SANDBOX,
        "wgconfine-tick.service": TICK_SERVICE + MOUNTS + SANDBOX,
        TICK: TICK_TIMER,
        "wgconfine-paths@.service": PATHS + TUNNELS_OWN,
        "wgconfine-paths@.path": WATCH.format(tunnel="%i", path="/run"),
        "wgconfine-repath@.service": REPATH + MOUNTS + TUNNELS_OWN,
    }
    if bus:
        texts["wgconfine-bus@.service"] = BUS + MOUNTS + SANDBOX
    if publish:
        texts["wgconfine-publish@.service"] = PUBLISH + PROXY + LOOPBACK + MOUNTS + SANDBOX + IDLE
    if watching:
        texts["wgconfine-changed@.service"] = CHANGED + MOUNTS + SANDBOX
    if ready:
        texts["wgconfine-ready@.service"] = READY + CONFIGURE + MOUNTS + TUNNELS_OWN
    if reach:
        texts["wgconfine-reach@.service"] = REACH + PROXY + MOUNTS + SANDBOX + IDLE
    return [
        File(path=UNITS / name, text=HEADER + text.format_map(words))
        for name, text in texts.items()
    ]
