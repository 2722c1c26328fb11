"""The units by which confined services get what their owner opens to them, as text."""

__all__ = [
    "BUS",
    "IDLE",
    "LOOPBACK",
    "PATHS",
    "PROXY",
    "PUBLISH",
    "REACH",
    "REPATH",
    "WANT",
    "WATCH",
]

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
