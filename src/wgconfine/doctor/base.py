"""What wgconfine stands on: systemd, programs, control groups, and WireGuard."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from wgconfine.doctor.asked import Answers, is_there, read, succeeded
from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.doctor.wireguard import WireguardFacts, judge_wireguard, look_at_wireguard
from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.system.inside import Answer
from wgconfine.system.installed import LIVE

__all__ = [
    "QUESTIONS",
    "TOOLS",
    "BaseFacts",
    "SystemdFacts",
    "is_booted",
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
        wireguard=look_at_wireguard(root, os.uname().release, tuple(declared)),
        missing=tuple(each for each in TOOLS if not is_there(each)),
        cgroups=cgroup_version(root),
        distribution=distribution,
        container=container,
    )


def is_booted(root: Path = LIVE) -> bool:
    """Tell whether systemd runs here: sd_booted(3)."""
    return (root / "run/systemd/system").is_dir()


def systemd_facts(root: Path, answer: Answer | None) -> SystemdFacts:
    shown = dict(
        line.split("=", 1) for line in (answer.output if answer else "").splitlines() if "=" in line
    )
    number = re.match("[0-9]+", shown.get("Version", ""))
    return SystemdFacts(
        booted=is_booted(root),
        init=(read(root, "/proc/1/comm") or "").strip(),
        version=int(number[0]) if number else 0,
        state=shown.get("SystemState", "") if succeeded(answer) else "",
    )


def cgroup_version(root: Path) -> int:
    if (root / "sys/fs/cgroup/cgroup.controllers").exists():
        return 2
    # Version 1 has directories of controllers; `systemd` and `unified` are those of systemd's.
    return 1 if any((root / "sys/fs/cgroup").glob("*/cgroup.procs")) else 0


def judge_base(facts: BaseFacts) -> Iterator[Finding]:
    yield judge_systemd(facts.systemd, facts.distribution)
    inside = facts.container or ("chroot" if is_chroot(facts.systemd) else "")
    yield from judge_wireguard(facts.wireguard, facts.distribution, inside)
    yield judge_tools(facts)
    yield judge_cgroups(facts)


systemd = partial(Finding, subject=Subject.SYSTEMD, name="systemd")


def is_chroot(facts: SystemdFacts) -> bool:
    """Tell whether it runs beyond what can be seen, or PID 1 can't be seen: modules aren't ours."""
    return not facts.booted and facts.init in {"", "systemd"}


def judge_systemd(facts: SystemdFacts, distribution: Distribution) -> Finding:
    if not facts.booted:
        what = f"this machine was not booted with systemd, but by {facts.init}"
        if is_chroot(facts):
            what = "no systemd is to be seen from here, as in a chroot"
        return systemd(
            grade=Grade.BROKEN,
            words=f"{what}: wgconfine confines units of systemd and has nothing else to hold them "
            "by; render and --root work everywhere",
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
