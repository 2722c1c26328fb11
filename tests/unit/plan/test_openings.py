"""What stays open of a service, and what its owner is told."""

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from wgconfine.model.settings import (
    ConfFile,
    Hardening,
    Refinement,
    Settings,
    TunnelName,
    UnitName,
)
from wgconfine.model.units import UnitFacts, UnitText
from wgconfine.model.users import UserFacts
from wgconfine.plan.openings import Opening, openings
from wgconfine.plan.remarks import remarks
from wgconfine.plan.unitfile import build_facts

UNIT = UnitName("x.service")
MAIN = PurePosixPath("/usr/lib/systemd/system/x.service")
ALICE = UserFacts(name="alice", uid=1000, groups=("alice",))
SETTINGS = Settings(
    name=TunnelName("vpn"),
    path=PurePosixPath("/etc/wgconfine/vpn.toml"),
    digest="0",
    wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
    services=(UNIT,),
)
STRICT = replace(SETTINGS, refinements=(Refinement(unit=UNIT, hardening=Hardening.STRICT),))


def facts(text: str, *, unit: str = "", program: str = "/usr/bin/x") -> UnitFacts:
    whole = f"[Unit]\n{unit}\n[Service]\nExecStart={program}\n{text}\n"
    return build_facts(name=UNIT, load_state="loaded", texts=[UnitText(path=MAIN, text=whole)])


def open_of(
    unit: UnitFacts, settings: Settings = SETTINGS, user: UserFacts | None = None, systemd: int = 0
) -> set[str]:
    found = openings(settings, unit, confined=settings.services, user=user, systemd=systemd)
    return {each.name for each in found}


def said(
    unit: UnitFacts,
    *,
    user: UserFacts | None = None,
    settings: Settings = SETTINGS,
    systemd: int = 0,
    new: bool = False,
) -> str:
    found = remarks(
        [settings],
        {UNIT: unit},
        users={UNIT: user} if user else {},
        systemd=systemd,
        new=[UNIT] if new else [],
    )
    return "\n".join(each.what for each in found)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "root"),
        ("User=alice", "setuid"),
        ("User=alice", "home"),
        ("User=alice", "unix-sockets"),
        ("User=alice\nExecStartPre=+/bin/x", "full-rights:ExecStartPre"),
        ("User=alice\nExecStop=-!/bin/x", "full-rights:ExecStop"),
        ("User=alice\nSupplementaryGroups=video docker", "group:docker"),
        ("User=alice\nGroup=disk", "group:disk"),
        ("BindPaths=/var/spool/cron", "place:/var/spool/cron"),
    ],
)
def test_what_the_unit_leaves_open(text: str, name: str) -> None:
    """Each hole has a stable name, which is not there where the unit has no such line."""
    assert name in open_of(facts(text))
    assert name not in open_of(facts("DynamicUser=yes\nRestrictAddressFamilies=AF_INET"), STRICT)


@pytest.mark.parametrize(
    ("user", "name"),
    [
        (replace(ALICE, groups=("docker",)), "group:docker"),
        (replace(ALICE, lingers=True), "lingers"),
        (replace(ALICE, outside=(7, 8)), "same-user"),
    ],
)
def test_what_its_user_leaves_open(user: UserFacts, name: str) -> None:
    """As it was seen on the machine."""
    assert name in open_of(facts("User=alice"), user=user)
    assert name not in open_of(facts("User=alice"), user=ALICE)


OUTSIDE = replace(ALICE, outside=(7, 8))


@pytest.mark.parametrize(
    ("text", "settings", "is_open"),
    [
        ("User=alice", SETTINGS, True),
        ("User=alice\nPrivateUsers=no", SETTINGS, True),
        ("User=alice\nPrivateUsers=yes", SETTINGS, False),
        ("User=alice\nPrivateUsers=identity", SETTINGS, False),
        ("User=alice", STRICT, False),
        ("User=alice\nAmbientCapabilities=CAP_NET_BIND_SERVICE", STRICT, True),
        ("User=alice\nExecStartPre=!/bin/x", STRICT, True),
        ("", SETTINGS, False),
    ],
)
def test_a_process_of_its_user_is_entered_in_the_same_user_namespace_alone(
    text: str,
    settings: Settings,
    is_open: bool,  # noqa: FBT001 — an expected value
) -> None:
    """`plan` warns of it where `verify` shows it."""
    assert is_open == ("same-user" in open_of(facts(text), settings, OUTSIDE))
    assert is_open == ("2 process(es)" in said(facts(text), user=OUTSIDE, settings=settings))


def test_of_root_groups_say_nothing() -> None:
    """It is root already."""
    root = UserFacts(name="root", uid=0, groups=("root", "disk"), lingers=True)

    assert {"root", "unix-sockets"} == open_of(facts(""), user=root)


def test_what_was_asked_for_is_open() -> None:
    """Each path and each name on the bus, by itself."""
    said = Refinement(
        unit=UNIT, allow_paths=(PurePosixPath("/run/postgresql"),), allow_bus=("org.example.x",)
    )
    found = open_of(facts(""), replace(SETTINGS, refinements=(said,)))

    assert {"allow-path:/run/postgresql", "allow-bus:org.example.x"} <= found


def test_who_shares_the_tunnel_is_named() -> None:
    """Loopback and ports are one for all services of a tunnel."""
    both = replace(SETTINGS, services=(UNIT, UnitName("y.service")))
    found = openings(both, facts(""), confined=both.services)

    assert Opening(name="shared-network", sentence="shares loopback and ports with y.service") in (
        found
    )


def test_strict_leaves_less_open() -> None:
    """Of a service with a user of its own nothing but sockets that its user may open."""
    assert {"unix-sockets"} == open_of(facts("User=alice"), STRICT, ALICE)


@pytest.mark.parametrize(
    ("families", "may"),
    [
        ("", True),
        ("AF_UNIX AF_INET", True),
        ("AF_INET", False),
        ("~AF_UNIX", False),
        ("~AF_INET6", True),
    ],
)
def test_without_unix_sockets_there_are_none_to_reach(families: str, may: bool) -> None:  # noqa: FBT001 — an expected value
    """RestrictAddressFamilies= in each of its forms."""
    line = f"RestrictAddressFamilies={families}"

    assert may == ("unix-sockets" in open_of(facts(line)))


@pytest.mark.parametrize(
    ("text", "systemd", "closed"),
    [
        ("User=alice", 252, True),
        ("User=alice", 257, False),
        ("User=alice", 0, False),
        ("User=alice\nNoNewPrivileges=yes", 257, True),
        ("User=alice\nNoNewPrivileges=no", 257, False),
        ("DynamicUser=yes", 257, True),
    ],
)
def test_setuid_programs_are_closed_where_systemd_says_so(
    text: str,
    systemd: int,
    closed: bool,  # noqa: FBT001 — an expected value
) -> None:
    """252 does so for every service with a user, since there is a filter."""
    assert closed == ("setuid" not in open_of(facts(text), systemd=systemd))


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("OnFailure=mail@%n.service", "mail@x.service.service"),
        ("OnSuccess=y.service", "y.service"),
        ("Wants=network-online.target y.service", "y.service"),
        ("Requires=y.service", "y.service"),
        ("BindsTo=y.service", "y.service"),
        ("Upholds=y.service", "y.service"),
        ("PropagatesReloadTo=y.service", "y.service"),
    ],
)
def test_units_that_accompany_it_in_the_open_are_named(line: str, other: str) -> None:
    """As an opening and by `plan`, with the line; not where they are confined as well."""
    unit = facts("User=alice", unit=line)
    both = replace(SETTINGS, services=(UNIT, UnitName(other)))

    assert f"companion:{other}" in open_of(unit)
    assert f"{other} " in said(unit)
    assert f"companion:{other}" not in open_of(unit, both)


@pytest.mark.parametrize(
    "line", ["Wants=network-online.target", "After=y.service", "Wants=y.timer"]
)
def test_what_runs_nothing_is_no_companion(line: str) -> None:
    """Targets, and an order alone."""
    assert "" == said(facts("User=alice", unit=line))


def test_plan_names_groups_and_lingering_users() -> None:
    """With what they lead to."""
    text = said(facts("User=alice"), user=replace(ALICE, groups=("docker", "lxd"), lingers=True))

    assert "group docker, which has dockerd" in text
    assert "group lxd, which has lxd" in text
    assert "alice lingers" in text


def test_plan_says_that_containers_keep_roots_capabilities() -> None:
    """A hole that is there for what the unit runs is told every time."""
    assert "keeps root's capabilities" in said(facts("", program="/usr/bin/podman run x"))


@pytest.mark.parametrize(
    ("text", "settings", "systemd", "told"),
    [
        ("User=alice", SETTINGS, 252, True),
        ("User=alice", SETTINGS, 257, False),
        ("User=alice", STRICT, 257, True),
        ("User=alice\nNoNewPrivileges=yes", STRICT, 257, False),
        ("User=alice\nSystemCallFilter=@system-service", SETTINGS, 252, False),
        ("DynamicUser=yes", STRICT, 257, False),
        ("", SETTINGS, 252, False),
    ],
)
def test_no_new_privileges_that_come_along_are_said_once(
    text: str,
    settings: Settings,
    systemd: int,
    told: bool,  # noqa: FBT001 — an expected value
) -> None:
    """Of a new service that did not have them, and of none that is confined already."""
    unit = facts(text)

    assert told == ("setuid bit" in said(unit, settings=settings, systemd=systemd, new=True))
    assert "setuid bit" not in said(unit, settings=settings, systemd=systemd)


@pytest.mark.parametrize(("text", "told"), [("", True), ("PrivateTmp=yes", False)])
def test_a_mount_namespace_that_comes_along_is_said_once(text: str, told: bool) -> None:  # noqa: FBT001 — an expected value
    """What it mounts is not seen by the host."""
    assert told == ("mounts of its own" in said(facts(text), new=True))
