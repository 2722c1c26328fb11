"""The units that look at all tunnels of the host, or at one for its owner, as text."""

__all__ = [
    "ASK_FILTERS",
    "METRICS",
    "TICK_SERVICE",
    "TICK_TIMER",
    "VERIFY",
]

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
