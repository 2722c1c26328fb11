"""The units of a tunnel itself, as text: `%i` is its name, the variable is our interpreter."""

__all__ = [
    "CHANGED",
    "CONFIGURE",
    "ENDPOINT",
    "LINK",
    "LOOK",
    "LOOK_OUTSIDE",
    "LOOK_SOCKET",
    "LOOK_SOCKET_OUTSIDE",
    "NAME",
    "NETNS",
    "NEXT",
    "READY",
    "REBIND",
    "RELINK",
    "RELOAD",
    "SEES",
    "SWITCH",
    "TUNNEL",
    "WATCH_SOURCE",
    "WIREGUARD",
]

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
