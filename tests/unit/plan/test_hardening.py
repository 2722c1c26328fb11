"""What a unit takes of the hardening, and where it would break what the unit does."""

from pathlib import PurePosixPath

import pytest

from wgconfine.model.settings import Hardening, UnitName
from wgconfine.model.units import UnitFacts, UnitText
from wgconfine.plan.hardening import HIDDEN, check_hardening, named_places, rights_of
from wgconfine.plan.unitfile import build_facts
from wgconfine.render.hardening import STRICT, Rights, hardening_lines

MAIN = PurePosixPath("/usr/lib/systemd/system/x.service")
BASELINE, ALL = Hardening.BASELINE, Hardening.STRICT


def facts(text: str, *, program: str = "/usr/bin/x") -> UnitFacts:
    texts = [UnitText(path=MAIN, text=f"[Service]\nExecStart={program}\n{text}\n")]
    return build_facts(name=UnitName("x.service"), load_state="loaded", texts=texts)


def strict_lines(text: str) -> dict[str, str]:
    lines = hardening_lines(rights_of(facts(text), ALL)).splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def problems(text: str, hardening: Hardening = BASELINE, *, program: str = "/usr/bin/x") -> str:
    return "\n".join(each.what for each in check_hardening(facts(text, program=program), hardening))


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("", True),
        ("User=root", True),
        ("User=0", True),
        ("User=x\nUser=", True),
        ("User=x", False),
        ("DynamicUser=yes", False),
        ("DynamicUser=no", True),
        ("User=%N", False),
    ],
)
def test_the_kernels_settings_are_shut_where_root_is(text: str, root: bool) -> None:  # noqa: FBT001 — an expected value
    """Nobody else could change them."""
    rights = rights_of(facts(text), BASELINE)

    assert (root, root) == (rights.kernel, rights.control_groups)


@pytest.mark.parametrize(
    ("text", "shut"),
    [("Delegate=yes", False), ("Delegate=pids", False), ("Delegate=no", True), ("Delegate=", True)],
)
def test_a_delegated_control_group_stays_writable(text: str, shut: bool) -> None:  # noqa: FBT001 — an expected value
    """Its unit makes others in it, also when it is strict."""
    assert shut == rights_of(facts(text), BASELINE).control_groups
    assert shut == ("ProtectControlGroups" in strict_lines(text))


@pytest.mark.parametrize("program", ["/usr/bin/podman run x", "/usr/sbin/dockerd"])
def test_containers_as_root_keep_the_capabilities_that_they_need(program: str) -> None:
    """As another user they make a user namespace, and need none."""
    assert not rights_of(facts("", program=program), BASELINE).capabilities
    assert rights_of(facts("User=x", program=program), BASELINE).capabilities


@pytest.mark.parametrize(
    ("text", "program", "opened"),
    [
        ("", "/usr/sbin/cron -f", {"/var/cron", "/var/spool/cron"}),
        ("", "/usr/bin/incusd", {"/var/lib/incus"}),
        ("BindPaths=/var/spool/postfix", "/usr/bin/x", {"/var/spool/postfix"}),
        ("WorkingDirectory=/var/lib/incus/y", "/usr/bin/x", {"/var/lib/incus"}),
        ("ReadWritePaths=/var/spool/postfixes /var/spool/postfix-a", "/usr/bin/x", set()),
        ("Environment=A=1 DISPLAY=:0", "/usr/bin/x", {"/tmp/.X11-unix", "/tmp/.ICE-unix"}),  # noqa: S108
        ("Environment=NODISPLAY=:0", "/usr/bin/x", set()),
        ("DeviceAllow=/dev/infiniband/uverbs0 rw", "/usr/bin/x", {"/dev/infiniband"}),
    ],
)
def test_a_place_stays_open_to_who_names_it(text: str, program: str, opened: set[str]) -> None:
    """The daemon whose place it is, and a unit that says it needs it; all others are hidden."""
    unit = facts(text, program=program)

    assert HIDDEN.keys() - opened == set(rights_of(unit, BASELINE).hidden)
    assert opened == {path for path, _ in named_places(unit)}


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("", "ProtectSystem", "full"),
        ("ProtectSystem=yes", "ProtectSystem", "full"),
        ("ProtectSystem=strict", "ProtectSystem", None),
        ("DynamicUser=yes", "ProtectSystem", None),
        ("DynamicUser=yes\nProtectSystem=full", "ProtectSystem", "full"),
        ("ProtectHome=yes", "ProtectHome", None),
        ("ProtectHome=read-only", "ProtectHome", "tmpfs"),
        ("ProtectProc=noaccess", "ProtectProc", "invisible"),
        ("ProtectProc=ptraceable", "ProtectProc", None),
        ("PrivateTmp=disconnected", "PrivateTmp", None),
        ("ProtectHostname=private:x", "ProtectHostname", None),
        ("NoNewPrivileges=no", "NoNewPrivileges", "yes"),
        ("User=x\nPrivateUsers=identity", "PrivateUsers", None),
        ("User=x\nPrivateUsers=no", "PrivateUsers", "yes"),
        ("RestrictNamespaces=net mnt", "RestrictNamespaces", "yes"),
    ],
)
def test_strict_never_takes_less_than_the_unit_itself(
    text: str, key: str, value: str | None
) -> None:
    """A line of ours that comes later wins: it is left out where theirs is more."""
    assert value == strict_lines(text).get(key)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("User=x", "yes"),
        ("DynamicUser=yes", "yes"),
        ("User=x\nExecStartPre=+/bin/x", "yes"),
        ("", None),
        ("User=0", None),
        ("User=x\nAmbientCapabilities=CAP_NET_BIND_SERVICE", None),
        ("User=x\nAmbientCapabilities=CAP_KILL\nAmbientCapabilities=", "yes"),
        ("User=x\nExecStartPre=-!/bin/x", None),
    ],
)
def test_a_user_namespace_is_for_who_has_no_rights_beside_its_user(
    text: str, value: str | None
) -> None:
    """There capabilities do not count for what the host owns, the tunnel's ports among it."""
    assert value == strict_lines(text).get("PrivateUsers")


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("", ":EPERM"),
        ("SystemCallFilter=@system-service", ":EPERM"),
        ("SystemCallErrorNumber=EPERM", ""),
        ("SystemCallErrorNumber=EACCES\nSystemCallErrorNumber=", ":EPERM"),
        ("SystemCallErrorNumber=kill", ":EPERM"),
    ],
)
def test_a_refused_call_gives_the_units_own_number(text: str, suffix: str) -> None:
    """A filter that names it once more can't be set up with 252; without one it is EPERM."""
    line = hardening_lines(rights_of(facts(text), BASELINE))

    assert f"SystemCallFilter=~io_uring_setup{suffix} " in line


def test_strict_is_more_than_baseline() -> None:
    """Whatever baseline takes is taken by strict as well."""

    def words(hardening: Hardening, key: str) -> set[str]:
        lines = hardening_lines(Rights(hardening=hardening, hidden=("/x",), kernel=True))
        line = next(each for each in lines.splitlines() if each.startswith(f"{key}="))
        return set(line.partition("=")[2].removeprefix("~").split())

    for key in ("CapabilityBoundingSet", "SystemCallFilter", "InaccessiblePaths"):
        assert words(BASELINE, key) <= words(ALL, key)
    assert {"ProtectKernelTunables", "ProtectControlGroups"} <= STRICT.keys()


@pytest.mark.parametrize(
    ("text", "program", "words"),
    [
        ("", "/usr/bin/podman run x", "makes namespaces"),
        ("User=x", "/usr/bin/bwrap x", "makes namespaces"),
        ("WorkingDirectory=/home/x", "/usr/bin/x", "hardening = strict hides"),
        ("WorkingDirectory=~", "/usr/bin/x", "hardening = strict hides"),
        ("WorkingDirectory=/home/x\nBindPaths=/home/x", "/usr/bin/x", ""),
        ("WorkingDirectory=/home/x/y\nBindPaths=/srv/x:/home/x:rbind", "/usr/bin/x", ""),
        ("WorkingDirectory=-/home/x\nProtectHome=yes", "/usr/bin/x", ""),
        ("WorkingDirectory=/var/lib/x", "/usr/bin/x", ""),
    ],
)
def test_what_strict_would_break_is_refused(text: str, program: str, words: str) -> None:
    """A directory that is not there fails the guard's set-up, which nobody would hear of."""
    found = problems(text, ALL, program=program)

    assert words in found
    assert (words == "") == (found == "")
    assert "" == problems(text, program=program)


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("", True),
        ("User=root\n", True),
        ("User=x\n", True),  # by a program with a setuid bit
        ("User=x\nNoNewPrivileges=yes\n", False),
        ("DynamicUser=yes\n", False),
        ("DynamicUser=yes\nExecStartPre=+/bin/x\n", False),  # has all rights anyway
        ("DynamicUser=yes\nExecStartPre=!/bin/x\n", True),
        ("DynamicUser=yes\nAmbientCapabilities=CAP_NET_BIND_SERVICE CAP_SETUID\n", True),
        ("DynamicUser=yes\nAmbientCapabilities=cap_setuid\nAmbientCapabilities=\n", False),
        ("DynamicUser=yes\nAmbientCapabilities=~CAP_SYS_ADMIN\n", True),
        ("DynamicUser=yes\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n", False),
    ],
)
def test_root_is_not_shown_the_socket_by_which_it_could_start_units(text: str, root: bool) -> None:  # noqa: FBT001 — an expected value
    """Nor is who may become it."""
    assert root == rights_of(facts(text), BASELINE).becomes_root


def test_strict_keeps_every_user_from_becoming_root() -> None:
    """NoNewPrivileges= comes along, and with it the names of dynamic users are found again."""
    assert not rights_of(facts("User=x"), ALL).becomes_root
