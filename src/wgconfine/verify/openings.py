"""What is left open of each service, said as it is; a user that daemons obey is no small hole."""

from pathlib import Path

from wgconfine.model.settings import UnitName
from wgconfine.model.users import UserFacts
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.plan.openings import Opening, openings
from wgconfine.plan.unituser import account_of
from wgconfine.runtime.paths import record_of_namespace
from wgconfine.system.systemctl import systemd_version
from wgconfine.system.users import read_user
from wgconfine.verify.subject import Subject

__all__ = ["check_openings"]

OBEYED = frozenset(
    {"disk", "docker", "incus", "incus-admin", "libvirt", "lxd", "podman", "root", "shadow"}
)
"""Groups whose members have the host do things for them, without another word or password."""


def check_openings(subject: Subject) -> list[Check]:
    """Give each hole that is open by its owner's word, or that no setting closes."""
    systemd = systemd_version()
    namespace = Path(record_of_namespace(subject.name))
    found = []
    for unit in subject.settings.services:
        facts = subject.facts.get(unit)
        if facts is None or facts.load_state != "loaded":
            continue
        account = account_of(facts)
        user = read_user(account, namespace=namespace) if account else None
        holes = openings(
            subject.settings, facts, confined=subject.confined, user=user, systemd=systemd
        )
        # Whether it may trace others of its user is what its probe finds out (`processes`).
        found += [judge_opening(unit, hole, user) for hole in holes if hole.name != "same-user"]
    return found


def judge_opening(unit: UnitName, opening: Opening, user: UserFacts | None) -> Check:
    """Say what a hole is. Being in a group of a daemon's is one that nobody has to ask for."""
    kind, _, group = opening.name.partition(":")
    if kind == "group" and group in OBEYED:
        verdict = Verdict.NOT_CONFINED
        mend = f"gpasswd --delete {user.name} {group}" if user and group in user.groups else ""
    else:
        verdict = Verdict.OPEN
        mend = f"loginctl disable-linger {user.name}" if user and kind == "lingers" else ""
    return Check(
        area=Area.UNITS,
        name=opening.name,
        verdict=verdict,
        evidence=opening.sentence,
        unit=unit,
        mend=mend,
    )
