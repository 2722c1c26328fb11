"""Services that the settings list by another name."""

from dataclasses import replace
from pathlib import PurePosixPath

from wgconfine.model.settings import (
    ConfFile,
    Hardening,
    Refinement,
    Settings,
    TunnelName,
    UnitName,
)
from wgconfine.model.tree import File
from wgconfine.model.units import UnitFacts, UnitText
from wgconfine.plan.aliases import enabled_services, resolve
from wgconfine.plan.desired import Machine, desired_tree
from wgconfine.plan.unitfile import build_facts
from wgconfine.render.places import closing_path, dropin_path

SSH, SSHD, OTHER = UnitName("ssh.service"), UnitName("sshd.service"), UnitName("other.service")


def settings(name: str, *services: UnitName, enable: bool = True) -> Settings:
    return Settings(
        name=TunnelName(name),
        path=PurePosixPath(f"/etc/wgconfine/{name}.toml"),
        digest="0",
        wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
        services=services,
        enable=enable,
    )


def facts(name: UnitName) -> UnitFacts:
    main = UnitText(
        path=PurePosixPath(f"/usr/lib/systemd/system/{name}"), text="[Service]\nExecStart=/bin/x\n"
    )
    return build_facts(name=name, load_state="loaded", texts=[main])


KNOWN = {SSH: facts(SSH), SSHD: facts(SSH), OTHER: facts(OTHER)}


def test_an_alias_becomes_the_unit_that_it_stands_for() -> None:
    """In its place of the list, and the facts are found by the real name."""
    found = resolve([settings("vpn", OTHER, SSHD)], KNOWN)

    assert (OTHER, SSH) == found.tunnels[0].services
    assert () == found.problems
    assert {OTHER, SSH} == found.facts.keys()


def test_what_is_said_of_an_alias_is_said_of_its_unit() -> None:
    """The table bears the name that the list has."""
    said = (
        Refinement(unit=SSHD, hardening=Hardening.STRICT),
        Refinement(unit=UnitName("x.service")),
    )
    (tunnel,) = resolve([replace(settings("vpn", SSHD), refinements=said)], KNOWN).tunnels

    assert Hardening.STRICT is tunnel.refinement(SSH).hardening
    assert said[1] in tunnel.refinements


def test_both_names_in_one_tunnel_are_a_problem() -> None:
    """Whichever comes first, and the unit stays listed once."""
    for services in ((SSH, SSHD), (SSHD, SSH)):
        found = resolve([settings("vpn", *services)], KNOWN)
        (problem,) = found.problems
        assert (SSH,) == found.tunnels[0].services
        assert "/etc/wgconfine/vpn.toml: services" == problem.where
        assert problem.what == f"{services[0]} and {services[1]} are names of the same unit"
        assert "List it once, as ssh.service" == problem.hint


def test_both_names_in_two_tunnels_are_a_problem() -> None:
    """The other tunnel's file is named."""
    (problem,) = resolve([settings("one", SSHD), settings("two", SSH)], KNOWN).problems

    assert "/etc/wgconfine/two.toml: services" == problem.where
    assert problem.what.endswith("and sshd.service is in /etc/wgconfine/one.toml")


def test_what_is_not_known_stays() -> None:
    """Nobody asks systemd about the services of a disabled tunnel."""
    off = settings("off", SSHD, enable=False)

    assert [] == enabled_services([off])
    assert (SSHD,) == resolve([off], {}).tunnels[0].services


def test_an_alias_that_moved_leaves_its_old_unit_closed() -> None:
    """Invariant 12: the new one is confined, the old one stays closed until it is released."""
    found = resolve([settings("vpn", SSHD)], {SSHD: facts(OTHER)})
    machine = Machine(python=PurePosixPath("/usr/bin/python3"), kernel_wireguard=True)

    tree = desired_tree(found.tunnels, found.facts, machine, unreleased=[SSH])

    assert isinstance(tree[dropin_path(OTHER)], File)
    assert {closing_path(OTHER), closing_path(SSH)} <= tree.keys()
    assert dropin_path(SSH) not in tree
