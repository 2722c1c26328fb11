"""What wgconfine stands on: systemd, WireGuard, programs, control groups."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from wgconfine.doctor.asked import Answers, read, succeeded
from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.model.errors import OperationFailed
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.process import find
from wgconfine.system.host import kernel_has_wireguard
from wgconfine.system.inside import Answer

__all__ = [
    "QUESTIONS",
    "TOOLS",
    "BaseFacts",
    "SystemdFacts",
    "WireguardFacts",
    "judge_base",
    "look_at_base",
]

QUESTIONS = {"systemd": ("systemctl", "show", "--property=Version,SystemState")}
OLDEST = 252
TOOLS = ("ip", "nft", "wg", "mount", "umount", "nsenter", "unshare")
"""What the runtime and `verify` run, beside systemd's own."""
DEAD_CGROUPS_V1 = 258
"""The systemd that starts no more with control groups of version 1 (NEWS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemdFacts:
    """`booted`: it is PID 1, as sd_booted(3) tells; else `init` is the name of what is.

    `version` is 0 where it did not tell; `state` is `running`, `degraded`, … or empty.
    """

    booted: bool
    init: str = ""
    version: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireguardFacts:
    """`kernel` says that it makes such links, None where that could not be tried.

    `module` that its module lies there, or is built in; `modules` that there are modules of the
    running kernel at all. `userspace` that wireguard-go is installed, `tun` that it gets a device.
    `declared` are tunnels with `backend = "userspace"`.
    """

    kernel: bool | None
    module: bool = False
    modules: bool = True
    userspace: bool = False
    tun: bool = False
    release: str = ""
    declared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFacts:
    """`cgroups` is 2, 1 for version 1 alone or beside it, 0 for none."""

    systemd: SystemdFacts
    wireguard: WireguardFacts
    missing: tuple[str, ...] = ()
    cgroups: int = 2
    distribution: Distribution = field(default_factory=Distribution)
    container: str = ""


def look_at_base(
    root: Path,
    answers: Answers,
    distribution: Distribution,
    container: str,
    declared: Sequence[str] = (),
) -> BaseFacts:
    """`root` is where files are looked for; programs and the kernel are this machine's."""
    return BaseFacts(
        systemd=systemd_facts(root, answers.get("systemd")),
        wireguard=wireguard_facts(root, os.uname().release, tuple(declared)),
        missing=tuple(each for each in TOOLS if not is_there(each)),
        cgroups=cgroup_version(root),
        distribution=distribution,
        container=container,
    )


def systemd_facts(root: Path, answer: Answer | None) -> SystemdFacts:
    shown = dict(
        line.split("=", 1) for line in (answer.output if answer else "").splitlines() if "=" in line
    )
    number = re.match("[0-9]+", shown.get("Version", ""))
    return SystemdFacts(
        booted=(root / "run/systemd/system").is_dir(),
        init=(read(root, "/proc/1/comm") or "").strip(),
        version=int(number[0]) if number else 0,
        state=shown.get("SystemState", "") if succeeded(answer) else "",
    )


def wireguard_facts(root: Path, release: str, declared: tuple[str, ...]) -> WireguardFacts:
    try:
        kernel: bool | None = kernel_has_wireguard()
    except OperationFailed:  # no unshare(1): the tools say so
        kernel = None
    if not kernel and os.geteuid() != 0:
        kernel = None
    modules = [
        text
        for each in ("modules.dep", "modules.builtin")
        if (text := read(root, f"/lib/modules/{release}/{each}")) is not None
    ]
    return WireguardFacts(
        kernel=kernel,
        module=any("/wireguard.ko" in each for each in modules),
        modules=bool(modules),
        userspace=is_there("wireguard-go"),
        tun=has_tun(root),
        release=release,
        declared=declared,
    )


def has_tun(root: Path) -> bool:
    """Tell whether the device can be opened; it may be there and be refused by a control group."""
    path = root / "dev/net/tun"
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except PermissionError:
        return os.geteuid() != 0  # not for this user, who is not the one who starts tunnels
    except OSError:
        return False
    return True


def is_there(program: str) -> bool:
    try:
        find(program)
    except Failure:
        return False
    return True


def cgroup_version(root: Path) -> int:
    if (root / "sys/fs/cgroup/cgroup.controllers").exists():
        return 2
    # Version 1 has directories of controllers; `systemd` and `unified` are those of systemd's.
    return 1 if any((root / "sys/fs/cgroup").glob("*/cgroup.procs")) else 0


def judge_base(facts: BaseFacts) -> Iterator[Finding]:
    yield judge_systemd(facts.systemd, facts.distribution)
    yield from judge_wireguard(facts)
    yield judge_tools(facts)
    yield judge_cgroups(facts)


systemd = partial(Finding, subject=Subject.SYSTEMD, name="systemd")


def judge_systemd(facts: SystemdFacts, distribution: Distribution) -> Finding:
    if not facts.booted:
        by = f"by {facts.init}" if facts.init and facts.init != "systemd" else "without it"
        return systemd(
            grade=Grade.BROKEN,
            words=f"this machine was not booted with systemd, but {by}: wgconfine confines units "
            "of systemd and has nothing else to hold them by; render and --root work everywhere",
        )
    if not facts.version:
        return systemd(grade=Grade.UNKNOWN, words="systemd runs here and does not say its version")
    if facts.version < OLDEST:
        on = f" ({distribution.name})" if distribution.name else ""
        return systemd(
            grade=Grade.BROKEN,
            words=f"it is of version {facts.version}, and {OLDEST} is the oldest that can confine "
            f"a service: upgrade this machine's distribution{on}",
        )
    state = f", {facts.state}" if facts.state else ""
    failed = ": some unit has failed, which is no hindrance" if facts.state == "degraded" else ""
    return systemd(grade=Grade.OK, words=f"version {facts.version}{state}{failed}")


wireguard = partial(Finding, subject=Subject.WIREGUARD)


def judge_wireguard(facts: BaseFacts) -> Iterator[Finding]:
    """Say which of the two a tunnel gets, as the runtime decides, or why it gets none."""
    seen = facts.wireguard
    for name in seen.declared:
        if not (seen.userspace and seen.tun):
            yield no_userspace(facts, f'{name} has backend = "userspace", and ')
    if seen.kernel:
        yield wireguard(name="backend", grade=Grade.OK, words="the kernel's is used")
    elif seen.kernel is None:
        yield not_tried(seen)
    elif seen.userspace and seen.tun:
        yield wireguard(
            name="backend",
            grade=Grade.NOTE,
            words=f"{why_no_kernel(facts)}: wireguard-go is used, which takes more of a processor",
            mend=kernel_mend(facts),
        )
    else:
        yield no_userspace(facts, f"{why_no_kernel(facts)}, and ")


def not_tried(seen: WireguardFacts) -> Finding:
    likely = "its module is there" if seen.module else "no module of that name is there"
    return wireguard(
        name="backend",
        grade=Grade.UNKNOWN,
        words=f"whether the kernel makes such links is tried as root alone; {likely}",
    )


def why_no_kernel(facts: BaseFacts) -> str:
    seen = facts.wireguard
    if facts.container:
        return "the kernel makes no WireGuard link here (its module is the host's to load)"
    if not seen.modules:
        return f"there are no modules of the running kernel {seen.release}"
    if seen.module:
        return "the kernel's module is there and makes no link"
    return f"the kernel {seen.release} has no WireGuard"


def kernel_mend(facts: BaseFacts) -> str:
    seen = facts.wireguard
    if facts.container:
        return ""
    if not seen.modules:  # an upgrade has taken them away
        return "reboot"
    return "modprobe wireguard" if seen.module else ""


def no_userspace(facts: BaseFacts, before: str) -> Finding:
    seen = facts.wireguard
    if not seen.userspace:
        mend = facts.distribution.install("wireguard-go") or kernel_mend(facts)
        return wireguard(
            name="backend",
            grade=Grade.BROKEN,
            words=f"{before}wireguard-go is not installed: no tunnel has a link",
            mend=mend,
        )
    return wireguard(
        name="tun",
        grade=Grade.BROKEN,
        words=f"{before}wireguard-go gets no /dev/net/tun",
        mend="" if facts.container else "modprobe tun",
        lines=tun_lines(facts.container),
    )


def tun_lines(container: str) -> tuple[str, ...]:
    """Give what lets a container have the device; its manager's manual is the source."""
    match container:
        case "lxc" | "lxc-libvirt":
            return (
                "Proxmox VE, on the host: pct set CTID --dev0 /dev/net/tun",
                "LXC, in the container's config:",
                "lxc.cgroup2.devices.allow = c 10:200 rwm",
                "lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file",
            )
        case "systemd-nspawn":
            return (
                "/etc/systemd/nspawn/NAME.nspawn on the host:",
                "[Files]",
                "Bind=/dev/net/tun",
                "systemctl set-property systemd-nspawn@NAME.service DeviceAllow='/dev/net/tun rwm'",
            )
        case "docker" | "podman":
            return (f"{container} run --device /dev/net/tun …",)
        case _:
            return ()


def judge_tools(facts: BaseFacts) -> Finding:
    tools = partial(Finding, subject=Subject.TOOLS, name="tools")
    if not facts.missing:
        return tools(grade=Grade.OK, words=f"{', '.join(TOOLS)} are there")
    are = "is" if len(facts.missing) == 1 else "are"
    return tools(
        grade=Grade.BROKEN,
        words=f"{', '.join(facts.missing)} {are} not in the directories of system programs: "
        "no tunnel can start",
        mend=facts.distribution.install(*facts.missing),
    )


def judge_cgroups(facts: BaseFacts) -> Finding:
    cgroups = partial(Finding, subject=Subject.CGROUPS, name="cgroups")
    if facts.cgroups == 2:  # noqa: PLR2004 — the version's number
        return cgroups(grade=Grade.OK, words="version 2")
    if facts.cgroups == 0:
        return cgroups(
            grade=Grade.UNKNOWN, words="/sys/fs/cgroup has none that can be seen from here"
        )
    grubby = {
        Family.FEDORA: "grubby --update-kernel=ALL --args=systemd.unified_cgroup_hierarchy=1",
    }
    return cgroups(
        grade=Grade.NOTE,
        words="they are of version 1: tunnels work, and the second switch (the rule outside that "
        "drops what a service would send in the open) is not available; systemd "
        f"{DEAD_CGROUPS_V1} and newer do not start with them",
        mend=grubby.get(facts.distribution.family, ""),
        lines=()
        if facts.container
        else ("on the kernel's command line: systemd.unified_cgroup_hierarchy=1, then reboot",),
    )
