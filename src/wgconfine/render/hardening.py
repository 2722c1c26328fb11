"""The lines of a drop-in that take rights away beside the network: `hardening = …`. Pure.

Every list is a deny-list: systemd merges capability sets and system call filters, and one that
takes away is right beside each form that the unit's own may have (tried on 252, 257 and 262).
"""

from dataclasses import dataclass

from wgconfine.model.settings import Hardening

__all__ = [
    "BASELINE",
    "CALLS",
    "CAPABILITIES",
    "ERROR_NUMBER",
    "STRICT",
    "Rights",
    "hardening_keys",
    "hardening_lines",
]

CAPABILITIES = (
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_DAC_READ_SEARCH",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_PERFMON",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
)
"""What leads out of a network namespace, into another process or into the kernel.

setns(2) and mounts: SYS_ADMIN. A link's other end, routes and rules of the tunnel: NET_ADMIN. The
memory, descriptors and root directory of others: SYS_PTRACE, CHECKPOINT_RESTORE. Files by handle,
past every mount of ours: DAC_READ_SEARCH. Disks: MKNOD, RAWIO. The kernel: the others.
"""

CALLS = ("io_uring_setup", "io_uring_enter", "io_uring_register", "pidfd_getfd", "request_key")

ERROR_NUMBER = "EPERM"
"""What the kernel itself says where io_uring is switched off.

A filter with a number that an allow-list gives anyway can't be set up (228/SECCOMP): ENOSYS, with
which 257 and 262 answer unknown calls, and the unit's own SystemCallErrorNumber= with 252.
"""

STRICT_CAPABILITIES = (
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_BLOCK_SUSPEND",
    "CAP_IPC_OWNER",
    "CAP_LINUX_IMMUTABLE",
    "CAP_SETFCAP",
    "CAP_SYSLOG",
    "CAP_SYS_PACCT",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
)

# All that @system-service leaves out, but for what is privileged and needed to become another user.
STRICT_CALLS = (
    "@clock",
    "@cpu-emulation",
    "@debug",
    "@module",
    "@mount",
    "@obsolete",
    "@raw-io",
    "@reboot",
    "@swap",
)

STRICT = {
    "KeyringMode": "private",
    "LockPersonality": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateIPC": "yes",
    "PrivateTmp": "yes",
    "PrivateUsers": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "tmpfs",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "full",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
}
"""What `strict` sets, unless the unit itself has more.

PrivateUsers=: a process traces none in another user namespace, not even of its own user. systemd
makes that namespace last, after the others are joined, and root's commands (`+`) are spared it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What of it one unit takes.

    `capabilities` is False for a unit that runs containers as root, which cannot do without;
    `error_number` is what a refused call gives, empty for the unit's own SystemCallErrorNumber=.
    `kernel` and `control_groups` say whether to make the kernel's settings and its tree of control
    groups read-only, which only root could change. `becomes_root` is True for a unit that runs as
    root or may become it: by a right of its own, a command with `!`, a program with a setuid bit.
    `hidden` are paths with sockets and queues of the host's daemons. `spared` are keys of STRICT
    that the unit's own line fulfils already, or with which it would not work.
    """

    hardening: Hardening = Hardening.BASELINE
    capabilities: bool = True
    error_number: str = ERROR_NUMBER
    kernel: bool = False
    control_groups: bool = False
    becomes_root: bool = False
    hidden: tuple[str, ...] = ()
    spared: frozenset[str] = frozenset()


BASELINE = Rights()


def hardening_lines(rights: Rights) -> str:
    """Give the lines of [Service]."""
    strict = rights.hardening is Hardening.STRICT
    lines = []
    if rights.capabilities:
        taken = (*CAPABILITIES, *(STRICT_CAPABILITIES if strict else ()))
        lines += [
            "# What leads out of the namespace or into another process, where there is root in it.",
            f"CapabilityBoundingSet=~{' '.join(taken)}",
        ]
    number = f":{rights.error_number}" if rights.error_number else ""
    calls = (*CALLS, *(STRICT_CALLS if strict else ()))
    lines += [
        "# io_uring opens sockets past the list of families; a key may be looked up by the host.",
        f"SystemCallFilter=~{' '.join(f'{each}{number}' for each in calls)}",
    ]
    if rights.hidden:
        lines += [
            "# Daemons of the host that do work for whoever reaches them, and lie outside of /run.",
            f"InaccessiblePaths={' '.join(f'-{path}' for path in rights.hidden)}",
        ]
    if strict:
        lines.append("# hardening = strict")
        lines += [f"{key}={value}" for key, value in STRICT.items() if key not in rights.spared]
    else:
        lines += ["ProtectKernelTunables=yes"] if rights.kernel else []
        lines += ["ProtectControlGroups=yes"] if rights.control_groups else []
    return "".join(f"{line}\n" for line in lines)


def hardening_keys(hardening: Hardening) -> frozenset[str]:
    """Give what no later drop-in may set."""
    always = {"CapabilityBoundingSet", "SystemCallFilter", "InaccessiblePaths"}
    roots = {"ProtectKernelTunables", "ProtectControlGroups"}
    return frozenset(always | roots | (STRICT.keys() if hardening is Hardening.STRICT else set()))
