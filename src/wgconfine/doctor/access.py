"""SELinux and AppArmor: are they on, and have they denied something of ours since the boot?"""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wgconfine.doctor.asked import Answers, read
from wgconfine.model.doctor import Finding, Grade, Subject

__all__ = ["QUESTIONS", "AccessFacts", "judge_access", "look_at_access", "ours"]

DENIED = r'avc: +denied|apparmor="DENIED"'
QUESTIONS = {
    "denials": (
        *("journalctl", "--boot", "--quiet", "--no-pager", "--output=cat", "--lines=200"),
        *(f"--grep={DENIED}", "_TRANSPORT=audit", "+", "_TRANSPORT=kernel"),
    )
}
OURS = re.compile(r"wgconfine|wireguard-go|/run/netns/")
SHOWN = 3
PLACES = ("/etc/wgconfine", "/etc/systemd/system", "/usr/local/lib/systemd")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessFacts:
    """`selinux` is `enforcing`, `permissive` or empty; `denied` None where it can't be known."""

    selinux: str = ""
    apparmor: bool = False
    denied: tuple[str, ...] | None = ()


def look_at_access(root: Path, answers: Answers) -> AccessFacts:
    enforce = (read(root, "/sys/fs/selinux/enforce") or "").strip()
    apparmor = (read(root, "/sys/module/apparmor/parameters/enabled") or "").strip()
    answer = answers.get("denials")
    # It ends with 1 where nothing fits, too, and complains where it can't look.
    known = answer is not None and answer.status in {0, 1} and not answer.complaint
    return AccessFacts(
        selinux={"1": "enforcing", "0": "permissive"}.get(enforce, ""),
        apparmor=apparmor == "Y",
        denied=tuple(ours(answer.output)) if answer is not None and known else None,
    )


def ours(journal: str) -> Iterator[str]:
    """Give the lines that are about files or programs of ours."""
    found = (line.strip() for line in journal.splitlines() if OURS.search(line))
    return iter(dict.fromkeys(found))


finding = partial(Finding, subject=Subject.ACCESS)


def judge_access(facts: AccessFacts) -> Iterator[Finding]:
    on = [f"SELinux is {facts.selinux}"] if facts.selinux else []
    on += ["AppArmor is on"] if facts.apparmor else []
    if not on:
        yield finding(name="access", grade=Grade.OK, words="neither SELinux nor AppArmor is on")
        return
    said = " and ".join(on)
    if facts.denied is None:
        words = f"{said}; what they have denied stands in the journal, which could not be read"
        yield finding(name="denials", grade=Grade.UNKNOWN, words=words)
    elif not facts.denied:
        words = f"{said}, and nothing of wgconfine's was denied since the boot"
        yield finding(name="denials", grade=Grade.OK, words=words)
    else:
        count = len(facts.denied)
        places = shlex.join((*PLACES, os.path.abspath(sys.prefix)))  # noqa: PTH100 — a venv's own
        yield finding(
            name="denials",
            grade=Grade.NOTE,
            words=f"{said}, and has denied something of wgconfine's {count} times since the boot",
            mend=f"restorecon -RF {places}" if facts.selinux else "",
            lines=facts.denied[-SHOWN:],
        )
