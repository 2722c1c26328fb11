"""The units that are the same for every tunnel: text with one variable, the interpreter.

Each setting here held on systemd 252, 257 and 262. What is not taken, and why, is in
docs/architecture.md.
"""

from pathlib import PurePosixPath

from wgconfine import __version__
from wgconfine.model.tree import MARK, File, Tree
from wgconfine.render.places import UNITS
from wgconfine.render.quote import value

__all__ = ["PROXYD", "TICK", "UNITS", "interpreter_of", "templates"]

TICK = "wgconfine-tick.timer"
"""The one timer of the host. What it starts asks systemd for everything else."""

PROXYD = PurePosixPath("/usr/lib/systemd/systemd-socket-proxyd")
"""Where systemd has it, but for distributions without /usr/lib."""

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
# Not a requirement: a kernel without such rules has its tunnel all the same.
Upholds=wgconfine-switch@%i.service
# What hears of faults. Before this, so that it hears of all that is done here.
Upholds=wgconfine-look@%i.socket wgconfine-look.socket
After=wgconfine-look@%i.socket wgconfine-look.socket
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

REBIND = """\
[Unit]
Description=Another source port for WireGuard tunnel %i
Requisite=wgconfine-netns@%i.service
PartOf=wgconfine@%i.service
After=wgconfine-netns@%i.service wgconfine@%i.service wgconfine-reload@%i.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={runtime} rebind %i
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN
InaccessiblePaths=-/run/systemd/private -/run/systemd/io.systemd.Manager
"""

NEXT = """\
[Unit]
Description=Another endpoint for WireGuard tunnel %i
Requisite=wgconfine-netns@%i.service
PartOf=wgconfine@%i.service
After=wgconfine-netns@%i.service wgconfine@%i.service
# Which sets it.
Wants=wgconfine-reload@%i.service
Before=wgconfine-reload@%i.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
UMask=0077
ExecStart={runtime} pass-on %i
# It writes whose turn it is, and no more. One that root of a confined service lacks, which can't
# look into this process then: ptrace(2).
CapabilityBoundingSet=CAP_SYS_BOOT
PrivateNetwork=yes
RestrictAddressFamilies=none
RestrictNamespaces=yes
IPAddressDeny=any
ReadOnlyPaths=/run
ReadWritePaths=/run/wgconfine/lock /run/wgconfine/tunnel/%i
InaccessiblePaths=-/run/dbus /dev/shm -/run/systemd/private -/run/systemd/io.systemd.Manager
NoExecPaths=/run /tmp /var/tmp
"""

RELINK = """\
[Unit]
Description=Another link for WireGuard tunnel %i
Requisite=wgconfine-netns@%i.service
PartOf=wgconfine@%i.service
After=wgconfine-netns@%i.service wgconfine@%i.service
# Which makes and configures it.
Wants=wgconfine-reload@%i.service
Before=wgconfine-reload@%i.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={runtime} unlink %i
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN
IPAddressDeny=any
InaccessiblePaths=-/run/systemd/private -/run/systemd/io.systemd.Manager
"""

# Each message of the kernel's starts a look, which reads them away. An event of rules that are
# changed without pause fills the buffer, which is an error of the socket until the first look.
LISTEN = """\
StartLimitIntervalSec=0

[Socket]
TriggerLimitIntervalSec=0
ReceiveBuffer=1M
# RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR and _IPV6_ROUTE; NFNLGRP_NFTABLES.
"""

LOOK_SOCKET = f"""\
[Unit]
Description=Word of changes inside WireGuard tunnel %i
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
BindsTo=wgconfine-netns@%i.service
After=wgconfine-netns@%i.service
{LISTEN}\
ListenNetlink=route 1361
ListenNetlink=netfilter 64
NetworkNamespacePath=/run/netns/%i
"""

LOOK_SOCKET_OUTSIDE = f"""\
[Unit]
Description=Word of changes of the host's firewall, for second switches of WireGuard tunnels
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
StopWhenUnneeded=yes
{LISTEN}\
ListenNetlink=netfilter 64
"""

# A start of the tunnel that is under way is waited for, and none is asked for.
LOOK = """\
[Unit]
Description=Look whether WireGuard tunnel %i is whole
PartOf=wgconfine-netns@%i.service wgconfine@%i.service
After=wgconfine-netns@%i.service wgconfine@%i.service wgconfine-reload@%i.service
StartLimitIntervalSec=0

[Service]
Type=exec
# Where its program is gone it ends with all unread, and would be started again at once: in this
# pause systemd leaves the socket alone.
Restart=on-failure
RestartSec=30s
ExecStart={runtime} look %i
# SYS_ADMIN: to look into the tunnel's namespace.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN
RestrictNamespaces=net
"""

LOOK_OUTSIDE = """\
[Unit]
Description=Look whether second switches of WireGuard tunnels are whole
PartOf=wgconfine-look.socket
StartLimitIntervalSec=0

[Service]
Type=exec
# Where its program is gone it ends with all unread, and would be started again at once: in this
# pause systemd leaves the socket alone.
Restart=on-failure
RestartSec=30s
ExecStart={runtime} look-outside
CapabilityBoundingSet=CAP_NET_ADMIN
RestrictNamespaces=yes
"""

SEES = """\
UMask=0077
RestrictAddressFamilies=AF_UNIX AF_NETLINK
IPAddressDeny=any
ReadOnlyPaths=/run
InaccessiblePaths=-/run/dbus /dev/shm
NoExecPaths=/run/wgconfine /tmp /var/tmp
"""

NAME = """\
[Unit]
Description=Name of the network namespace of WireGuard tunnel %i
ConditionPathExists=/run/wgconfine/namespace/%i
After=wgconfine-netns@%i.service

[Service]
Type=oneshot
# Mounts made here must be seen by the whole machine: no setting that implies a mount namespace.
PrivateMounts=no
UMask=0022
ExecStart={runtime} name %i
CapabilityBoundingSet=CAP_SYS_ADMIN
RestrictAddressFamilies=AF_NETLINK
RestrictNamespaces=net
# What mount(8) needs of @mount.
SystemCallFilter=mount umount2 open_tree move_mount mount_setattr
IPAddressDeny=any
"""

ENDPOINT = """\
[Unit]
Description=Endpoint look-up for WireGuard tunnel %i
ConditionPathExists=/run/wgconfine/tunnel/%i/endpoints
BindsTo=wgconfine-netns@%i.service
PartOf=wgconfine@%i.service
After=wgconfine-netns@%i.service wgconfine@%i.service wgconfine-reload@%i.service
# Not network-online.target: without a network a boot would end minutes later, for each of them. It
# tries again and again anyway.
After=nss-lookup.target
StartLimitIntervalSec=0

[Service]
Type=exec
Restart=on-failure
RestartSec=5s
UMask=0077
ExecStart={runtime} endpoint %i
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
ReadWritePaths=/run/wgconfine/lock /run/wgconfine/tunnel/%i
NoExecPaths=/run/wgconfine/lock /run/wgconfine/tunnel/%i
InaccessiblePaths=-/run/systemd/private -/run/systemd/io.systemd.Manager
"""

READY = """\
[Unit]
Description=First handshake of WireGuard tunnel %i
# It waits again after each start of the tunnel, and not after a reload.
BindsTo=wgconfine@%i.service
After=wgconfine@%i.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
# The time limit is its own: ready-timeout.
TimeoutStartSec=infinity
# A tunnel that stops ends the waiting, which has not failed then.
SuccessExitStatus=SIGTERM
UMask=0077
ExecStart={runtime} ready %i
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN
RestrictAddressFamilies=AF_UNIX AF_NETLINK
IPAddressDeny=any
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

SWITCH = """\
[Unit]
Description=Second switch of WireGuard tunnel %i, in the host's namespace
# Who flushes the host's rules flushes ours: they are loaded again after each of these. A stop of
# theirs stops this too, and the tunnel, which upholds it, starts it again.
After=nftables.service firewalld.service ufw.service
PartOf=nftables.service firewalld.service ufw.service
ReloadPropagatedFrom=nftables.service firewalld.service ufw.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
Restart=on-failure
RestartSec=5s
UMask=0077
RuntimeDirectory=wgconfine/switch/%i
RuntimeDirectoryPreserve=yes
ExecStart={runtime} switch-up %i
ExecReload={runtime} switch-up %i
ExecStop={runtime} switch-down %i
CapabilityBoundingSet=CAP_NET_ADMIN
RestrictAddressFamilies=AF_INET AF_NETLINK
RestrictNamespaces=yes
IPAddressDeny=any
ReadOnlyPaths=/run
NoExecPaths=/run /tmp /var/tmp
InaccessiblePaths=-/run/dbus /dev/shm -/run/systemd/private -/run/systemd/io.systemd.Manager
"""

TICK_TIMER = """\
[Unit]
Description=Regular look at WireGuard tunnels and their services

[Timer]
# From its own start, not from the boot: an apply on a machine that is long up verifies by itself.
OnActiveSec=1min
OnUnitActiveSec=1min
AccuracySec=10s

[Install]
WantedBy=timers.target
"""

TICK_SERVICE = """\
[Unit]
Description=Look at WireGuard tunnels and their services, and start what is due
StartLimitIntervalSec=0

[Service]
Type=oneshot
TimeoutStartSec=50s
UMask=0077
# After an upgrade these units may lack what the newer one needs until they are written anew.
Environment=WGCONFINE_VERSION={version}
ExecStart={runtime} tick
RuntimeDirectory=wgconfine/verify wgconfine/health
RuntimeDirectoryPreserve=yes
# When handshakes were, for a clock that is behind after a boot.
StateDirectory=wgconfine
StateDirectoryMode=0700
# SYS_ADMIN: to look into the namespaces of tunnels.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN
RestrictAddressFamilies=AF_UNIX AF_NETLINK
RestrictNamespaces=net
IPAddressDeny=any
# ProtectSystem=strict leaves /run writable where a setting mounts API file systems.
ReadOnlyPaths=/run
ReadWritePaths=/run/wgconfine/verify /run/wgconfine/health
InaccessiblePaths=-/run/dbus /dev/shm
NoExecPaths=/run/wgconfine /tmp /var/tmp
"""

VERIFY = """\
[Unit]
Description=Proof that the services of WireGuard tunnel %i are confined
StartLimitIntervalSec=0

[Service]
Type=oneshot
TimeoutStartSec=10min
UMask=0077
ExecStart={python} -I -m wgconfine verify --periodic -- %i
RuntimeDirectory=wgconfine/verify wgconfine/lock
RuntimeDirectoryPreserve=yes
# It looks at the machine as it is: /home, /tmp and all of /proc are the machine's own.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_NET_RAW
# AF_PACKET: while probes run it watches what leaves by the host's links.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
RestrictNamespaces=net
# A socket of a service is judged by a copy of its descriptor.
SystemCallFilter=pidfd_getfd
PrivateMounts=yes
PrivateDevices=yes
PrivateIPC=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectProc=ptraceable
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ReadOnlyPaths=/run
ReadWritePaths=/run/wgconfine
ReadOnlyPaths=/run/wgconfine/netns /dev/shm
NoExecPaths=/run/wgconfine
"""

ASK_FILTERS = """\
# Who may connect to a published port is asked of the kernel's filter itself.
SystemCallFilter=bpf
"""

METRICS = """\
[Unit]
Description=Metrics of WireGuard tunnels and their services, for node_exporter
ConditionPathIsDirectory=/var/lib/prometheus/node-exporter
StartLimitIntervalSec=0

[Service]
Type=oneshot
TimeoutStartSec=1min
UMask=0077
ExecStart={python} -I -m wgconfine metrics \
--textfile /var/lib/prometheus/node-exporter/wgconfine.prom
# The directory is the exporter's own. SYS_PTRACE: to see in which namespace a process is.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_PTRACE CAP_DAC_OVERRIDE
RestrictAddressFamilies=AF_UNIX AF_NETLINK
RestrictNamespaces=net
IPAddressDeny=any
ReadOnlyPaths=/run
ReadWritePaths=-/var/lib/prometheus/node-exporter
InaccessiblePaths=-/run/dbus /dev/shm
NoExecPaths=/tmp /var/tmp
NoExecPaths=-/var/lib/prometheus/node-exporter
"""

PATHS = """\
[Unit]
Description=Paths of the host for services of WireGuard tunnel %i
BindsTo=wgconfine-netns@%i.service wgconfine@%i.service
ReloadPropagatedFrom=wgconfine@%i.service
# After the watch, so that nothing is missed, and after what asks for a reload: when that is done,
# systemd watches again. A reload that is asked for during another one is done once more.
Wants=wgconfine-paths@%i.path
After=wgconfine-netns@%i.service wgconfine@%i.service wgconfine-reload@%i.service
After=wgconfine-paths@%i.path wgconfine-repath@%i.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
# Mounts made here must be seen by the whole machine: no setting that implies a mount namespace.
PrivateMounts=no
UMask=0022
ExecStart={runtime} paths-up %i
ExecReload={runtime} paths-up %i
ExecStopPost={runtime} paths-down %i
# DAC_OVERRIDE: what is offered may lie in a directory that only its owner may enter.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_DAC_OVERRIDE
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
SystemCallFilter=umount2 open_tree move_mount mount_setattr
IPAddressDeny=any
"""

REPATH = """\
[Unit]
Description=Notice that a path of the host was made anew for WireGuard tunnel %i
StartLimitIntervalSec=0

[Service]
Type=oneshot
UMask=0077
# A stop that is under way stays one.
ExecStart=-systemctl reload --no-block --job-mode=fail wgconfine-paths@%i.service
# One that root of a confined service lacks, which can't look into this process then: ptrace(2).
CapabilityBoundingSet=CAP_SYS_BOOT
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
IPAddressDeny=any
ReadOnlyPaths=/run
"""

# One path for each: with several, systemd watches all of them anew whenever one that is absent may
# have come, and loses what has happened to the others meanwhile (path_enter_waiting()).
WATCH = """\
[Unit]
Description=Watch {path} for services of WireGuard tunnel {tunnel}
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
PartOf=wgconfine-paths@{tunnel}.service
StartLimitIntervalSec=0

[Path]
Unit=wgconfine-repath@{tunnel}.service
TriggerLimitIntervalSec=0
PathChanged={path}
"""

CHANGED = """\
[Unit]
Description=Have a changed file of WireGuard tunnel %i read
# When the reload that it asks for runs, systemd watches again.
Before=wgconfine@%i.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
UMask=0077
ExecStart=-{runtime} changed %i
# One that root of a confined service lacks, which can't look into this process then: ptrace(2).
CapabilityBoundingSet=CAP_SYS_BOOT
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
IPAddressDeny=any
ReadOnlyPaths=/run
"""

# One path each, as in WATCH.
WATCH_SOURCE = """\
[Unit]
Description=Watch {path} for WireGuard tunnel {tunnel}
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
PartOf=wgconfine@{tunnel}.service
StartLimitIntervalSec=0

[Path]
Unit=wgconfine-changed@{tunnel}.service
TriggerLimitIntervalSec=0
PathChanged={path}
"""

BUS = """\
[Unit]
Description=Names on the system bus for %i.service
# The order with the tunnel, and whose service this is, are in a drop-in of the instance.
AssertPathExists=/run/wgconfine/bus/%i
StopWhenUnneeded=yes
StartLimitIntervalSec=0

[Service]
Type=exec
Restart=always
RestartSec=100ms
TimeoutStartSec=10s
# Nobody but the service's own user may connect.
UMask=0077
# ALLOWED is set in that drop-in, and so is the service's own user: the bus judges by the user.
ExecStart=xdg-dbus-proxy unix:path=/run/dbus/system_bus_socket /run/bus/system_bus_socket \
--filter $ALLOWED
# It says by nothing else that it listens.
ExecStartPost=/bin/sh -c "until [ -S /run/bus/system_bus_socket ]; do sleep 0.02; done"
# The service has the same user: it cannot trace what has a capability that it lacks itself. Nor can
# a confined root, who could enter a user namespace that root made. No call that needs it is let
# through.
CapabilityBoundingSet=CAP_SYS_BOOT
AmbientCapabilities=CAP_SYS_BOOT
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
IPAddressDeny=any
TemporaryFileSystem=/run:ro
BindReadOnlyPaths=/run/dbus
BindPaths=/run/wgconfine/bus/%i:/run/bus
InaccessiblePaths=/dev/shm
NoExecPaths=/tmp /var/tmp /run
"""

PROXY = """\
BindsTo=%p@%i.socket
After=%p@%i.socket
StartLimitIntervalSec=0

[Service]
Type=exec
# A failure with a connection that waits must not be tried again at once, without end: in this pause
# systemd leaves the socket alone. A Condition…=, an Assert…= or ExecCondition= would have none.
Restart=on-failure
RestartSec=1s
UMask=0077
DynamicUser=yes
# TARGET is set in that drop-in. A connection has six descriptors, eight with systemd 262.
ExecStart={proxy} --connections-max=4096 --exit-idle-time=60s ${{TARGET}}
LimitNOFILE=65536
# One that root of a confined service lacks, who can't look into this process then, whatever user it
# becomes: ptrace(2). No call that needs it is let through.
CapabilityBoundingSet=CAP_SYS_BOOT
AmbientCapabilities=CAP_SYS_BOOT
# Nothing that it does asks for another: not a socket that leads out of its network namespace.
RestrictAddressFamilies=AF_INET AF_INET6
RestrictNamespaces=yes
IPAddressDeny=any
TemporaryFileSystem=/run:ro
InaccessiblePaths=/dev/shm
NoExecPaths=/tmp /var/tmp /run
"""

PUBLISH = """\
[Unit]
Description=Proxy into a WireGuard tunnel: %i
# Whose namespace it joins, the guard, and where it connects to are in a drop-in of the instance.
"""

REACH = """\
[Unit]
Description=Proxy out of a WireGuard tunnel: %i
# The one address that it connects to, and may, is in a drop-in of the instance.
"""

LOOPBACK = "IPAddressAllow=localhost\n"

IDLE = """\
# Its end when it is idle.
SystemCallFilter=timerfd_create timerfd_settime
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
