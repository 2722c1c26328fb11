"""The units that are the same for every tunnel: text with one variable, the interpreter.

Each setting here held on systemd 252, 257 and 262. What is not taken, and why, is in
docs/architecture.md.
"""

from pathlib import PurePosixPath

from wgconfine.model.tree import MARK, File, Tree
from wgconfine.render.quote import value

__all__ = ["UNITS", "interpreter_of", "templates"]

UNITS = PurePosixPath("/etc/systemd/system")

HEADER = f"# {MARK}. Do not edit: `wgconfine apply` writes it anew.\n"

NETNS = """\
[Unit]
Description=Network namespace of WireGuard tunnel %i
Before=network.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
PrivateNetwork=yes
# Mounts made here must be seen by the whole machine: no setting that implies a mount namespace.
PrivateMounts=no
UMask=0022
ExecStart={runtime} netns-up %i
ExecStopPost={runtime} netns-down %i
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_PTRACE
RestrictAddressFamilies=AF_NETLINK
RestrictNamespaces=yes
# What mount(8) and umount(8) need of @mount.
SystemCallFilter=mount umount2 open_tree move_mount mount_setattr
IPAddressDeny=any
"""

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

CONFIGURE = """\
RestrictNamespaces=net
# ProtectSystem=strict leaves /run writable where a setting mounts API file systems.
ReadOnlyPaths=/run
InaccessiblePaths=-/run/dbus /dev/shm
NoExecPaths=/tmp /var/tmp
"""

LINK = """\
UMask=0077
RestrictAddressFamilies=AF_UNIX AF_NETLINK
ReadWritePaths=/run/wgconfine
ReadOnlyPaths=/run/wgconfine/netns
NoExecPaths=/run/wgconfine
"""

TUNNEL = """\
[Unit]
Description=WireGuard tunnel %i
BindsTo=wgconfine-netns@%i.service
After=wgconfine-netns@%i.service
Wants=wgconfine-endpoint@%i.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
Restart=on-failure
RestartSec=5s
ExecStart={runtime} up %i
ExecStartPost=-{runtime} resume %i
# A credential would be an old copy, or none, in a reload of this unit: that one loads it anew.
ExecReload=systemctl start wgconfine-reload@%i.service
ExecStopPost={runtime} down %i
# DAC_OVERRIDE and FOWNER: to clear what users of services left in their private /run.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN CAP_DAC_OVERRIDE CAP_FOWNER
"""

RELOAD = """\
[Unit]
Description=New settings for WireGuard tunnel %i
# Not before the first start, when wgconfine-wireguard@ wants this as it does after a crash.
ConditionPathExists=/run/wgconfine/tunnel/%i/in-force
Requisite=wgconfine-netns@%i.service
# A stop must not wait for a link that does not come back.
PartOf=wgconfine@%i.service
After=wgconfine-netns@%i.service wgconfine-wireguard@%i.service
Wants=wgconfine-endpoint@%i.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
# wireguard-go may have died while the .conf is away for a moment.
Restart=on-failure
RestartSec=5s
ExecStart={runtime} reload %i
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN
InaccessiblePaths=-/run/systemd/private -/run/systemd/io.systemd.Manager
"""

ENDPOINT = """\
[Unit]
Description=Endpoint look-up for WireGuard tunnel %i
ConditionPathExists=/run/wgconfine/tunnel/%i/endpoints
BindsTo=wgconfine-netns@%i.service
PartOf=wgconfine@%i.service
After=wgconfine-netns@%i.service wgconfine@%i.service wgconfine-reload@%i.service
Wants=network-online.target
After=network-online.target nss-lookup.target
StartLimitIntervalSec=0

[Service]
Type=exec
Restart=on-failure
RestartSec=5s
UMask=0077
ExecStart={runtime} endpoint %i
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
ReadWritePaths=/run/wgconfine/lock
NoExecPaths=/run/wgconfine/lock
InaccessiblePaths=-/run/systemd/private -/run/systemd/io.systemd.Manager
"""

WIREGUARD = """\
[Unit]
Description=Userspace WireGuard of tunnel %i
BindsTo=wgconfine-netns@%i.service
After=wgconfine-netns@%i.service
PartOf=wgconfine@%i.service
# After a crash, to configure the new link.
Wants=wgconfine-reload@%i.service
StartLimitIntervalSec=0

[Service]
Type=exec
Restart=always
RestartSec=100ms
UMask=0077
RuntimeDirectory=wireguard
RuntimeDirectoryPreserve=yes
# LINK is set in a drop-in of the instance.
ExecStart=wireguard-go -f ${{LINK}}
CapabilityBoundingSet=CAP_NET_ADMIN
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
DeviceAllow=/dev/net/tun rw
BindPaths=/dev/net/tun
# In an empty root: of the machine it sees programs, libraries and its own socket.
RootDirectory=/run/wgconfine/root
MountAPIVFS=yes
BindReadOnlyPaths=/usr -/bin -/sbin -/lib -/lib64 -/nix/store -/gnu/store -/run/current-system
BindReadOnlyPaths=-/etc/ld.so.cache
BindPaths=/run/wireguard:/var/run/wireguard
ReadOnlyPaths=+/run
InaccessiblePaths=+/dev/shm
NoExecPaths=+/tmp +/var/tmp
"""

WANT = """\
[Unit]
Description=%i.service was started and nobody has stopped it
"""


RUNTIME = ' -I -c "from wgconfine.runtime.__main__ import run; run()"'


def interpreter_of(installed: Tree) -> PurePosixPath | None:
    """Give the interpreter that installed templates name, None where there are none."""
    unit = installed.get(UNITS / "wgconfine-netns@.service")
    lines = unit.text.splitlines() if isinstance(unit, File) else []
    found = (line.partition(RUNTIME) for line in lines if line.startswith("ExecStart="))
    paths = [path.removeprefix("ExecStart=") for path, runtime, _ in found if runtime]
    return PurePosixPath(paths[0].replace("%%", "%")) if paths else None


def templates(*, python: PurePosixPath) -> list[File]:
    """Give the template units. `python` is an interpreter that imports wgconfine."""
    runtime = f"{value(str(python))}{RUNTIME}"
    install = "\n[Install]\nWantedBy=multi-user.target\n"
    texts = {
        "wgconfine-netns@.service": NETNS + SANDBOX,
        "wgconfine@.service": TUNNEL + LINK + CONFIGURE + MOUNTS + SANDBOX + install,
        "wgconfine-reload@.service": RELOAD + LINK + CONFIGURE + MOUNTS + SANDBOX,
        "wgconfine-endpoint@.service": ENDPOINT + CONFIGURE + MOUNTS + SANDBOX,
        "wgconfine-want@.target": WANT,
        "wgconfine-wireguard@.service": WIREGUARD + MOUNTS + SANDBOX,
    }
    return [
        File(path=UNITS / name, text=HEADER + text.format(runtime=runtime))
        for name, text in texts.items()
    ]
