"""The drop-in that confines a service, and the closing file that outlives it."""

import os
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from wgconfine.model.settings import (
    ConfFile,
    Hardening,
    Ready,
    Refinement,
    Settings,
    TunnelName,
    UnitName,
)
from wgconfine.model.tree import MARK
from wgconfine.render.hardening import Rights
from wgconfine.render.places import closing_path, dropin_path, unit_digest
from wgconfine.render.service import GUARDED, closing_file, dropin_file, dropin_settings, slice_file

UNIT = UnitName("x.service")


def settings(name: str = "vpn") -> Settings:
    return Settings(
        name=TunnelName(name),
        path=PurePosixPath(f"/etc/wgconfine/{name}.toml"),
        digest="0",
        wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
        services=(UNIT,),
    )


def dropin(name: str = "vpn", conditions: tuple[str, ...] = ()) -> str:
    return dropin_file(settings(name), UNIT, digest="d1g", own={"ExecCondition": conditions}).text


def values(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def test_the_closing_file_is_read_before_the_drop_in() -> None:
    """systemd sorts by name over all directories; the drop-in then resets the closing line."""
    assert os.fsencode(closing_path(UNIT).name) < os.fsencode(dropin_path(UNIT).name)


def test_services_wait_for_a_handshake_where_it_is_asked_for() -> None:
    """Without needing it: after its time limit they start all the same."""
    ready = "wgconfine-ready@vpn.service"
    waiting = replace(settings(), ready=Ready.HANDSHAKE)
    text = dropin_file(waiting, UNIT, digest="d1g", own={}).text

    assert ready not in dropin()
    assert ready in values(text, "Wants")
    assert ready in values(text, "After")
    assert dropin() == text.replace(f"Wants={ready}\nAfter={ready}\n", "")


@pytest.mark.parametrize("name", ["override.conf", "99-local.conf", "z.conf"])
def test_the_drop_in_is_read_after_what_owners_write(name: str) -> None:
    """`systemctl edit` writes override.conf."""
    assert os.fsencode(name) < os.fsencode(closing_path(UNIT).name)


def test_both_files_have_names_of_their_own() -> None:
    """Of two drop-ins of the same name systemd reads the one in /etc alone."""
    assert closing_path(UNIT).name != dropin_path(UNIT).name


def test_the_guard_comes_first() -> None:
    """The list is reset, then the guard, then what the unit had."""
    own = ('/usr/bin/test -e "/a b"', "-/bin/true")

    conditions = values(dropin(conditions=own), "ExecCondition")

    assert conditions[0] == ""
    assert conditions[1].startswith('+/bin/sh -p -c "LC_ALL=C; [ /proc/self/ns/net -ef /proc/1/')
    assert list(own) == conditions[2:]


def test_the_guard_compares_with_our_own_record() -> None:
    """Not with /run/netns, where anybody may put another namespace; and never with PID 1's."""
    assert values(dropin("my-lab"), "ExecCondition")[1] == (
        '+/bin/sh -p -c "LC_ALL=C;'
        " [ /proc/self/ns/net -ef /proc/1/root/run/wgconfine/netns/my-lab ]"
        " && ! [ /proc/self/ns/net -ef /proc/1/ns/net ]"
        " || { (echo 'wgconfine: this is not the namespace of tunnel my-lab: refused') >&2;"
        ' kill -USR1 $$$$; }"'
    )


def test_a_dash_in_the_tunnels_name_is_escaped_in_its_slice_alone() -> None:
    """Instances and paths bear it as it is."""
    text = dropin("my-lab")

    assert [r"wgconfine-my\x2dlab.slice"] == values(text, "Slice")
    assert ["wgconfine@my-lab.service wgconfine-netns@my-lab.service"] == values(text, "BindsTo")
    assert ["/run/netns/my-lab"] == values(text, "NetworkNamespacePath")
    assert slice_file(settings("my-lab")).path.name == r"wgconfine-my\x2dlab.slice"


def test_what_binds_is_also_waited_for() -> None:
    """BindsTo= alone says nothing about the order."""
    text = dropin()

    assert values(text, "BindsTo") == values(text, "After")


def test_the_guard_comes_before_every_list_that_the_unit_has() -> None:
    """ExecStopPost= runs after a refused start: the guard stands first in it.

    A list that the unit has not is reset, for an upgrade may bring one.
    """
    text = dropin_file(settings(), UNIT, digest="", own={"ExecStopPost": ("-/bin/a b",)}).text

    reset, guard, own = values(text, "ExecStopPost")
    assert ("", "-/bin/a b") == (reset, own)
    assert [guard] == values(text, "ExecCondition")[1:]
    assert [""] == values(text, "ExecReload")


@pytest.mark.parametrize("hardening", Hardening)
def test_the_settings_of_the_drop_in_are_those_in_its_text(hardening: Hardening) -> None:
    """`check` refuses a later drop-in by them."""
    found: dict[str, set[str]] = {}
    section = ""
    every = {**dict.fromkeys(GUARDED, ("/bin/true",)), "PIDFile": ("/run/x.pid",)}
    rights = Rights(hardening=hardening, kernel=True, control_groups=True, hidden=("/var/x",))
    text = dropin_file(settings(), UNIT, digest="", own=every, rights=rights).text
    for line in text.splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif line and not line.startswith("#"):
            found.setdefault(section, set()).add(line.partition("=")[0])

    assert found == dropin_settings(hardening)


def test_another_digest_changes_a_comment_alone() -> None:
    """So a package upgrade restarts nothing."""
    one = dropin_file(settings(), UNIT, digest="1", own={}).text
    two = dropin_file(settings(), UNIT, digest="2", own={}).text

    assert {"# unit-digest: 1", "# unit-digest: 2"} == set(one.splitlines()) ^ set(two.splitlines())


def test_the_closing_file_always_refuses_and_says_why() -> None:
    """It resets the unit's own conditions, and dies by USR1 whatever they were."""
    reset, line = values(closing_file(UNIT).text, "ExecCondition")

    assert reset == ""
    assert line.startswith(
        "+/bin/sh -p -c \"LC_ALL=C; (echo 'wgconfine: %n is not confined and not released. "
    )
    assert line.endswith(') >&2; kill -USR1 $$$$"')


def test_the_closing_file_tells_how_to_do_without_wgconfine() -> None:
    """On a host where it was uninstalled there is nobody else to ask."""
    place = "/usr/local/lib/systemd/system/%n.d/zz-wgconfine-closed.conf"

    assert f"without wgconfine remove {place} and run systemctl daemon-reload" in (
        closing_file(UNIT).text
    )


def test_the_closing_file_depends_on_nothing() -> None:
    """A dependency on a unit that was uninstalled is skipped in silence at boot."""
    lines = [line for line in closing_file(UNIT).text.splitlines() if not line.startswith("#")]

    assert {
        "[Service]",
        "ExecCondition",
        "ExecStopPost",
        "SuccessExitStatus",
        "UnsetEnvironment",
    } == {line.partition("=")[0] for line in lines}


def test_every_file_has_our_mark_where_it_is_looked_for() -> None:
    """In its first 200 bytes."""
    longest = settings("a" * 31)
    texts = [
        dropin_file(longest, UNIT, digest="", own={}).text,
        closing_file(UNIT).text,
        slice_file(longest).text,
    ]

    assert [True, True, True] == [MARK in text[:200] for text in texts]


def test_the_digest_of_the_unit_is_read_back() -> None:
    """By this `plan` and `status` notice an upgrade."""
    assert unit_digest(dropin()) == "d1g"
    assert unit_digest("[Service]\nExecStart=/x # unit-digest: y\n") == ""


def test_another_list_restarts_the_service_where_its_bus_does() -> None:
    """Names are the proxy's, which ends with the service; paths are shown while it runs."""

    def text(**said: tuple[object, ...]) -> str:
        refinement = Refinement(unit=UNIT, **said)  # type: ignore[arg-type]
        opened = replace(settings(), refinements=(refinement,))
        return dropin_file(opened, UNIT, digest="", own={}).text

    one, two = (PurePosixPath("/run/one"),), (PurePosixPath("/run/two"),)
    assert text(allow_bus=("org.example.One",)) != text(allow_bus=("org.example.Two",))
    assert text(allow_paths=one) == text(allow_paths=two) != text()
