"""Settings and facts become the exact set of files."""

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from wgconfine.model.settings import Backend, ConfFile, Settings, TunnelName, UnitName
from wgconfine.model.tree import File
from wgconfine.model.units import UnitFacts, UnitText
from wgconfine.plan.desired import Machine, check_services, desired_tree, replaced_slices
from wgconfine.plan.unitfile import build_facts
from wgconfine.render.places import closing_path, dropin_path

UNIT, GHOST = UnitName("x.service"), UnitName("ghost.service")


def settings(name: str = "vpn", *, services: tuple[str, ...] = (UNIT,), **more: object) -> Settings:
    values = {"enable": True, "backend": Backend.AUTO} | more
    return Settings(
        name=TunnelName(name),
        path=PurePosixPath(f"/etc/wgconfine/{name}.toml"),
        digest="0",
        wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
        services=tuple(map(UnitName, services)),
        **values,  # type: ignore[arg-type]  # a test names what it is about, and no more
    )


def machine(*, kernel: bool = True) -> Machine:
    return Machine(python=PurePosixPath("/usr/bin/python3"), kernel_wireguard=kernel)


def facts(name: UnitName, text: str = "", load_state: str = "loaded") -> UnitFacts:
    path = PurePosixPath(f"/usr/lib/systemd/system/{name}")
    main = UnitText(path=path, text=f"[Service]\nExecStart=/bin/x\n{text}")
    return build_facts(name=name, load_state=load_state, texts=[main])


KNOWN = {UNIT: facts(UNIT), GHOST: facts(GHOST)}


@pytest.mark.parametrize(
    ("asked", "kernel", "backend"),
    [
        (Backend.AUTO, True, Backend.KERNEL),
        (Backend.AUTO, False, Backend.USERSPACE),
        (Backend.KERNEL, False, Backend.KERNEL),
        (Backend.USERSPACE, True, Backend.USERSPACE),
    ],
)
def test_auto_is_the_kernel_where_it_can(asked: Backend, backend: Backend, *, kernel: bool) -> None:
    """What the owner said is never changed."""
    assert backend == machine(kernel=kernel).backend(settings(backend=asked))


def test_a_confined_service_has_both_files() -> None:
    """The drop-in that confines it, and the closing file that outlives that."""
    tree = desired_tree([settings()], KNOWN, machine())

    assert {dropin_path(UNIT), closing_path(UNIT)} <= tree.keys()


def test_without_a_tunnel_there_is_nothing() -> None:
    """Not even a template."""
    assert desired_tree([], {}, machine()) == {}


def test_a_disabled_tunnel_leaves_its_unreleased_services_closed() -> None:
    """Invariant 12: `enable = false` is no release."""
    tree = desired_tree([settings(enable=False)], KNOWN, machine(), unreleased=[UNIT])

    assert {closing_path(UNIT)} == tree.keys()


def test_a_service_that_left_the_settings_stays_closed() -> None:
    """Invariant 12, and the others of its tunnel stay confined."""
    tree = desired_tree([settings()], KNOWN, machine(), unreleased=[GHOST, UNIT])

    assert closing_path(GHOST) in tree
    assert dropin_path(GHOST) not in tree
    assert dropin_path(UNIT) in tree


def test_only_a_userspace_link_needs_peace_from_networkd() -> None:
    """A link of the kernel is never in the host's namespace."""
    path = PurePosixPath("/etc/systemd/network/10-wgconfine.network")

    assert path not in desired_tree([settings()], KNOWN, machine())
    assert path in desired_tree([settings()], KNOWN, machine(kernel=False))


def test_the_units_own_conditions_come_after_the_guard() -> None:
    """From the facts, as they are written there."""
    known = {UNIT: facts(UNIT, "ExecCondition=-/bin/false\n")}

    found = desired_tree([settings()], known, machine())[dropin_path(UNIT)]

    assert isinstance(found, File)
    assert f"# unit-digest: {known[UNIT].digest}\n" in found.text
    assert found.text.index("kill -USR1") < found.text.index("ExecCondition=-/bin/false\n")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("PIDFile=/run/x.pid", "/run/wgconfine/run/%N/x.pid"),
        ("PIDFile=/var/run/x/y.pid", "/run/wgconfine/run/%N/x/y.pid"),
        ("PIDFile=x.pid", "/run/wgconfine/run/%N/x.pid"),
        ("PIDFile=%t/%p.pid", "/run/wgconfine/run/%N/x.pid"),
        ("RuntimeDirectory=x\nPIDFile=/run/x/y.pid", None),
        ("RuntimeDirectory=x\nPIDFile=x/y.pid", None),
        ("PIDFile=/srv/x.pid", None),
        ("PIDFile=/run/x.pid\nPIDFile=", None),
    ],
)
def test_a_pid_file_is_where_pid_1_finds_it(text: str, written: str | None) -> None:
    """In the private /run; but a RuntimeDirectory= is the host's, and is left as it is."""
    lines = dropin_lines(text)

    assert ([] if written is None else [f"PIDFile={written}"]) == [
        line for line in lines if line.startswith("PIDFile=")
    ]


@pytest.mark.parametrize(
    ("text", "families"),
    [
        ("", "~AF_VSOCK"),
        ("RestrictAddressFamilies=none", "none"),
        ("RestrictAddressFamilies=AF_INET\nRestrictAddressFamilies=none", "none"),
        ("RestrictAddressFamilies=none\nRestrictAddressFamilies=AF_INET", "~AF_VSOCK"),
        ("RestrictAddressFamilies=none\nRestrictAddressFamilies=", "~AF_VSOCK"),
    ],
)
def test_a_unit_without_any_address_family_keeps_none(text: str, families: str) -> None:
    """A deny-list after `none` would begin a list anew that lets all others in."""
    (line,) = (each for each in dropin_lines(text) if each.startswith("RestrictAddressF"))

    assert families == line.partition("=")[2].partition(" ")[0]


@pytest.mark.parametrize(("systemd", "count"), [(0, 0), (257, 0), (258, 1), (262, 1)])
def test_no_namespace_is_delegated_where_systemd_can(systemd: int, count: int) -> None:
    """A later upgrade of the unit can't have it join out of a user namespace."""
    assert count == dropin_lines("", systemd=systemd).count("DelegateNamespaces=")


def dropin_lines(text: str, *, systemd: int = 0) -> list[str]:
    known = {UNIT: facts(UNIT, text)}
    found = desired_tree([settings()], known, replace(machine(), systemd=systemd))
    file = found[dropin_path(UNIT)]
    assert isinstance(file, File)
    return file.text.splitlines()


def test_a_slice_that_is_replaced_is_told() -> None:
    """With the line where it stands."""
    known = {UNIT: facts(UNIT, "Slice=own.slice"), GHOST: facts(GHOST)}

    (word,) = replaced_slices([settings(services=(UNIT, GHOST))], known)

    assert "x.service (/usr/lib/systemd/system/x.service:3)" == word.where
    assert "Slice='own.slice' is replaced by wgconfine-vpn.slice" in word.what


def test_every_wrong_service_of_every_tunnel_is_named() -> None:
    """At once; a disabled tunnel's are nobody's concern."""
    known = {
        UNIT: facts(UNIT, load_state="not-found"),
        GHOST: facts(GHOST, load_state="masked"),
        UnitName("off.service"): facts(UnitName("off.service"), load_state="not-found"),
    }
    tunnels = [
        settings(),
        settings("two", services=(GHOST,)),
        settings("off", services=("off.service",), enable=False),
    ]

    assert {UNIT, GHOST} == {problem.where for problem in check_services(tunnels, known)}
