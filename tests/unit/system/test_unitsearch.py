"""Units are found in a tree of files as systemd would find them."""

from pathlib import Path

import pytest

from wgconfine.model.settings import UnitName
from wgconfine.model.units import UnitFacts
from wgconfine.system.unitsearch import find_facts

TEXT = "[Service]\nExecStart=/usr/bin/x\n"
ETC, LIB = "etc/systemd/system", "usr/lib/systemd/system"


def put(root: Path, path: str, text: str = TEXT) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def link(root: Path, path: str, target: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(target)


def find(root: Path, name: str) -> UnitFacts:
    return find_facts(root, [UnitName(name)])[UnitName(name)]


def paths(facts: UnitFacts) -> list[str]:
    return [text.path.as_posix() for text in facts.texts]


def test_search_path(tmp_path: Path) -> None:
    """The administrator's file hides the distribution's."""
    put(tmp_path, f"{LIB}/x.service")
    put(tmp_path, f"{ETC}/x.service")
    assert [f"/{ETC}/x.service"] == paths(find(tmp_path, "x.service"))


def test_not_found(tmp_path: Path) -> None:
    """A unit without a main file is not found, whatever drop-ins it has."""
    put(tmp_path, f"{ETC}/x.service.d/a.conf")
    facts = find(tmp_path, "x.service")
    assert ("not-found", (), False) == (facts.load_state, facts.texts, facts.user_unit)


def test_user_unit(tmp_path: Path) -> None:
    """A name that only user units have is told apart, also by its template."""
    put(tmp_path, "usr/lib/systemd/user/x@.service")
    assert find(tmp_path, "x@a.service").user_unit


def test_system_unit_of_the_same_name(tmp_path: Path) -> None:
    """A system unit that also exists as a user unit is a system unit."""
    put(tmp_path, "usr/lib/systemd/user/x.service")
    put(tmp_path, f"{LIB}/x.service")
    assert not find(tmp_path, "x.service").user_unit


@pytest.mark.parametrize("way", ["link", "empty"])
def test_masked(tmp_path: Path, way: str) -> None:
    """A link to /dev/null and an empty file mask a unit, in a tree without /dev too."""
    put(tmp_path, f"{LIB}/x.service")
    if way == "link":
        link(tmp_path, f"{ETC}/x.service", "/dev/null")
    else:
        put(tmp_path, f"{ETC}/x.service", "")
    assert "masked" == find(tmp_path, "x.service").load_state


def test_instance(tmp_path: Path) -> None:
    """An instance is made of its template, unless it has a file of its own."""
    put(tmp_path, f"{LIB}/x@.service")
    put(tmp_path, f"{LIB}/x@b.service")
    assert [f"/{LIB}/x@.service"] == paths(find(tmp_path, "x@a.service"))
    assert [f"/{LIB}/x@b.service"] == paths(find(tmp_path, "x@b.service"))


def test_instance_that_links_to_its_template(tmp_path: Path) -> None:
    """A link from an instance to its template is that instance."""
    put(tmp_path, f"{LIB}/x@.service")
    link(tmp_path, f"{ETC}/x@a.service", f"/{LIB}/x@.service")
    facts = find(tmp_path, "x@a.service")
    assert ("x@a.service", [f"/{LIB}/x@.service"]) == (facts.name, paths(facts))


def test_alias(tmp_path: Path) -> None:
    """An alias is the unit it links to, with both names and the drop-ins of both."""
    put(tmp_path, f"{LIB}/x.service")
    put(tmp_path, f"{ETC}/alias.service.d/a.conf")
    link(tmp_path, f"{ETC}/alias.service", f"/{LIB}/x.service")
    for name in ("alias.service", "x.service"):
        facts = find(tmp_path, name)
        assert ("x.service", ("alias.service", "x.service")) == (facts.name, facts.names)
        assert [f"/{LIB}/x.service", f"/{ETC}/alias.service.d/a.conf"] == paths(facts)


def test_alias_of_a_template(tmp_path: Path) -> None:
    """A template's alias has the same instances."""
    put(tmp_path, f"{LIB}/x@.service")
    link(tmp_path, f"{ETC}/y@.service", "../../../usr/lib/systemd/system/x@.service")
    assert "x@a.service" == find(tmp_path, "y@a.service").name
    assert ("x@a.service", "y@a.service") == find(tmp_path, "x@a.service").names


def test_aliases_in_a_ring(tmp_path: Path) -> None:
    """Links in a ring end in an error, not in a loop."""
    link(tmp_path, f"{ETC}/a.service", "b.service")
    link(tmp_path, f"{ETC}/b.service", "a.service")
    assert "error" == find(tmp_path, "a.service").load_state


def test_linked_from_elsewhere(tmp_path: Path) -> None:
    """A link to a file of the same name outside of the search path is followed, within the root."""
    put(tmp_path, "opt/x.service", "[Service]\nNice=5\n")
    link(tmp_path, f"{ETC}/x.service", "/opt/x.service")
    assert "5" == find(tmp_path, "x.service").value("Service", "Nice")


@pytest.mark.parametrize("up", ["", "../../../../../../../../../../../.."])
def test_links_do_not_leave_the_root(tmp_path: Path, up: str) -> None:
    """A link that would lead out of the root ends at it."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(outside, "x.service")
    link(root, f"{ETC}/x.service", f"{up}{outside}/x.service")
    assert "not-found" == find(root, "x.service").load_state


def test_merged_usr(tmp_path: Path) -> None:
    """With /lib a link to /usr/lib every file is read once."""
    put(tmp_path, f"{LIB}/x.service")
    put(tmp_path, f"{LIB}/x.service.d/a.conf")
    link(tmp_path, "lib", "usr/lib")
    expected = ["/lib/systemd/system/x.service", "/lib/systemd/system/x.service.d/a.conf"]
    assert expected == paths(find(tmp_path, "x.service"))


def test_dropins(tmp_path: Path) -> None:
    """Drop-ins of all kinds of directories are sorted; a link to /dev/null hides a lower one."""
    put(tmp_path, f"{LIB}/a-b@.service")
    put(tmp_path, f"{LIB}/service.d/10.conf")
    put(tmp_path, f"{LIB}/a-b@i.service.d/20.conf")
    put(tmp_path, f"{ETC}/a-.service.d/20.conf")
    put(tmp_path, f"{LIB}/a-b@.service.d/30.conf")
    link(tmp_path, f"{ETC}/a-b@.service.d/30.conf", "/dev/null")
    put(tmp_path, f"{ETC}/a-b@.service.d/40.conf.bak")
    facts = find(tmp_path, "a-b@i.service")
    expected = [
        f"/{LIB}/a-b@.service",
        f"/{LIB}/service.d/10.conf",
        f"/{ETC}/a-.service.d/20.conf",
        f"/{ETC}/a-b@.service.d/30.conf",
    ]
    assert expected == paths(facts)
    assert not facts.texts[-1].text


def test_triggers(tmp_path: Path) -> None:
    """Sockets, timers and paths that start a unit are found by their name and by what they say."""
    put(tmp_path, f"{LIB}/x.service")
    put(tmp_path, f"{LIB}/x.socket", "[Socket]\nListenStream=80\n")
    put(tmp_path, f"{LIB}/y.timer", "[Timer]\nUnit=x.service\n")
    put(tmp_path, f"{LIB}/x.path", "[Path]\nPathExists=/x\nUnit=z.service\n")
    put(tmp_path, f"{LIB}/z.socket", "[Socket]\nListenStream=81\n")
    put(tmp_path, f"{ETC}/z.socket.d/a.conf", "[Socket]\nService=x.service\n")
    assert ("x.socket", "y.timer", "z.socket") == find(tmp_path, "x.service").triggered_by


def test_masked_socket(tmp_path: Path) -> None:
    """A masked socket starts nothing."""
    put(tmp_path, f"{LIB}/x.service")
    put(tmp_path, f"{LIB}/x.socket", "[Socket]\nListenStream=80\n")
    link(tmp_path, f"{ETC}/x.socket", "/dev/null")
    assert () == find(tmp_path, "x.service").triggered_by


def test_socket_template(tmp_path: Path) -> None:
    """A template socket starts the instances of its service."""
    put(tmp_path, f"{LIB}/x@.service")
    put(tmp_path, f"{LIB}/x@.socket", "[Socket]\nListenStream=80\n")
    assert ("x@a.socket",) == find(tmp_path, "x@a.service").triggered_by


def test_socket_by_specifier(tmp_path: Path) -> None:
    """What a socket starts may be written with a specifier of its name."""
    put(tmp_path, f"{LIB}/x.service")
    put(tmp_path, f"{LIB}/x-y@x.socket", "[Socket]\nService=%i.service\n")
    assert ("x-y@x.socket",) == find(tmp_path, "x.service").triggered_by


def test_joiners(tmp_path: Path) -> None:
    """Units that name one in JoinsNamespaceOf= are found, in drop-ins too; masked ones are not."""
    put(tmp_path, f"{LIB}/x.service", "[Unit]\nJoinsNamespaceOf=x.service own.service\n")
    put(tmp_path, f"{LIB}/a.service", "[Unit]\nJoinsNamespaceOf=z.service x.service\n")
    put(tmp_path, f"{LIB}/b.service")
    put(tmp_path, f"{ETC}/b.service.d/j.conf", "[Unit]\nJoinsNamespaceOf=alias.service\n")
    put(tmp_path, f"{LIB}/c@.service")
    put(tmp_path, f"{ETC}/c@i.service.d/j.conf", "[Unit]\nJoinsNamespaceOf=x.service\n")
    put(tmp_path, f"{LIB}/d@.service", "[Unit]\nJoinsNamespaceOf=%i.service\n")
    put(tmp_path, f"{LIB}/e.service", "[Unit]\nJoinsNamespaceOf=x.service\n")
    link(tmp_path, f"{ETC}/e.service", "/dev/null")
    put(tmp_path, f"{LIB}/f.service", "[Unit]\nAfter=x.service # JoinsNamespaceOf=x.service\n")
    link(tmp_path, f"{ETC}/alias.service", f"/{LIB}/x.service")
    assert ("a.service", "b.service", "c@i.service", "d@alias.service", "d@x.service") == (
        find(tmp_path, "x.service").joined
    )


def test_joiner_of_an_instance(tmp_path: Path) -> None:
    """A template that names the same instance of another joins each one."""
    put(tmp_path, f"{LIB}/x@.service")
    put(tmp_path, f"{LIB}/y@.service", "[Unit]\nJoinsNamespaceOf=x@%i.service\n")
    assert ("y@a.service",) == find(tmp_path, "x@a.service").joined


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is read up to the line that is not."""
    put(tmp_path, f"{LIB}/x.service")
    (tmp_path / LIB / "x.service").write_bytes(b"[Service]\nNice=5\nUser=\xff\nNice=6\n")
    assert "5" == find(tmp_path, "x.service").value("Service", "Nice")
