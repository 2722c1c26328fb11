"""Settings as they lie in /etc/wgconfine: of this machine, and of a tree that is its builder's."""

import os
import stat
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.model.errors import NeedsRoot, OperationFailed, ProblemsFound
from wgconfine.model.problem import Problem
from wgconfine.runtime.failure import Failure
from wgconfine.system import sources

CONFIG = 'config = "/etc/wireguard/vpn.conf"\n'
VPN = PurePosixPath("/etc/wgconfine/vpn.toml")


def put(root: Path, path: str, text: str | bytes) -> Path:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text.encode() if isinstance(text, str) else text)
    return place


def problems(root: Path) -> list[str]:
    with pytest.raises(ProblemsFound) as caught:
        sources.load_all(root)
    return [str(each) for each in caught.value.problems]


def test_nothing_is_no_tunnel(tmp_path: Path) -> None:
    """A machine before its first tunnel."""
    assert sources.load_all(tmp_path) == ()


def test_tunnels_and_their_fragments(tmp_path: Path) -> None:
    """By name; fragments in the order of theirs, and other files are somebody else's."""
    put(tmp_path, "/etc/wgconfine/vpn.toml", CONFIG + 'services = ["a.service"]')
    put(tmp_path, "/etc/wgconfine/vpn.d/20.toml", 'services = ["c.service"]')
    put(tmp_path, "/etc/wgconfine/vpn.d/10.toml", 'services = ["b.service"]')
    put(tmp_path, "/etc/wgconfine/vpn.d/10.toml~", "[")
    put(tmp_path, "/etc/wgconfine/vpn.d/.10.toml", "[")
    put(tmp_path, "/etc/wgconfine/.#vpn.toml", "[")
    put(tmp_path, "/etc/wgconfine/two.toml", CONFIG.replace("vpn", "two"))
    put(tmp_path, "/etc/wgconfine/vpn.json", "[")

    assert [("two", ()), ("vpn", ("a.service", "b.service", "c.service"))] == [
        (each.name, each.services) for each in sources.load_all(tmp_path)
    ]


def test_every_problem_of_every_file(tmp_path: Path) -> None:
    """And what is wrong between files, beside a tunnel that is right."""
    put(tmp_path, "/etc/wgconfine/one.toml", CONFIG + 'services = ["a.service"]')
    put(tmp_path, "/etc/wgconfine/two.toml", CONFIG + 'services = ["a.service"]')
    put(tmp_path, "/etc/wgconfine/vpn.toml", "mtu = 1\n")
    put(tmp_path, "/etc/wgconfine/Bad.toml", b"\n\xff")

    found = problems(tmp_path)

    for begin in ("/etc/wgconfine/Bad.toml:2: is not UTF-8", "/etc/wgconfine/vpn.toml: mtu: 1 is"):
        assert any(each.startswith(begin) for each in found), begin
    assert any("'a.service' is also a service of" in each for each in found)
    tunnels, same = sources.read_all(tmp_path)
    assert ["one", "two"] == [each.name for each in tunnels]
    assert sorted(map(str, same)) == sorted(found)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The kernel's words; the other files are read all the same."""
    (tmp_path / "etc/wgconfine/vpn.toml").mkdir(parents=True)

    assert ["/etc/wgconfine/vpn.toml: Is a directory."] == problems(tmp_path)


def test_every_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Beside all that is wrong in those that can be."""
    put(tmp_path, "/etc/wgconfine/vpn.toml", CONFIG + 'services = ["a.service"]')
    put(tmp_path, "/etc/wgconfine/vpn.d/10.toml", 'services = ["a.service", 5]')
    put(tmp_path, "/etc/wgconfine/vpn.d/20.toml", b"\xff")
    (tmp_path / "etc/wgconfine/vpn.d/30.toml").mkdir()
    put(tmp_path, "/etc/wgconfine/two.toml", "mtu = 1\n" + CONFIG)
    put(tmp_path, "/etc/wgconfine/two.d", "a file")

    assert [
        "/etc/wgconfine/two.d: Not a directory.",
        "/etc/wgconfine/two.toml: mtu: 1 is not a whole number from 576 to 65535.",
        (
            "/etc/wgconfine/vpn.d/10.toml: services[0]: 'a.service' is already listed, "
            "at /etc/wgconfine/vpn.toml: services[0]. Keep one of them."
        ),
        "/etc/wgconfine/vpn.d/10.toml: services[1]: 5 is not the name of a service.",
        "/etc/wgconfine/vpn.d/20.toml:1: is not UTF-8 text. Save it as UTF-8.",
        "/etc/wgconfine/vpn.d/30.toml: Is a directory.",
    ] == problems(tmp_path)


def test_a_place_that_is_no_directory(tmp_path: Path) -> None:
    """It is no machine without tunnels: something is wrong there."""
    put(tmp_path, "/etc/wgconfine", "a file")

    assert ["/etc/wgconfine: Not a directory."] == problems(tmp_path)


@pytest.mark.parametrize("closed", ["etc/wgconfine", "etc/wgconfine/vpn.toml"])
def test_what_only_root_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    """It is no mistake of the settings, and nothing that could be passed over."""
    put(tmp_path, "/etc/wgconfine/vpn.toml", CONFIG)
    denied = PermissionError(13, "Permission denied")

    def names(path: Path) -> list[str]:
        if path == tmp_path / closed:
            raise denied
        return ["vpn.toml"]

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "listdir", names)
    monkeypatch.setattr(Path, "read_text", lambda path, **_: names(path))

    with pytest.raises(NeedsRoot) as caught:
        sources.load_all(tmp_path)
    assert f"/{closed}: Permission denied. Run it as root." == str(caught.value)


def test_this_machines_settings_are_judged(rooted: Path) -> None:
    """Invariant 8: who can write there decides what leaves the tunnel."""
    place = put(rooted, "vpn.toml", CONFIG)
    place.chmod(0o666)

    with pytest.raises(ProblemsFound) as caught:
        sources.load_file(Path("/"), PurePosixPath(place))
    assert [
        Problem(
            where=os.fspath(place),
            what="others than root may write there",
            hint="chmod go-w it",
        )
    ] == list(caught.value.problems)
    place.chmod(0o644)
    assert sources.load_file(Path("/"), PurePosixPath(place)).name == "vpn"


def test_one_wrong_directory_is_one_problem(rooted: Path) -> None:
    """It is to be mended once, however many files lie there."""
    paths = [PurePosixPath(put(rooted, f"conf/{name}.toml", CONFIG)) for name in ("one", "two")]
    put(rooted, "conf/two.d/10.toml", 'services = ["a.service"]')
    (rooted / "conf").chmod(0o777)

    assert ([], [f"{rooted}/conf: others than root may write there. chmod go-w it."]) == (
        sources.read_files(Path("/"), paths)[0],
        [str(each) for each in sources.read_files(Path("/"), paths)[1]],
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: is b. Do c.", "a: is b. Do c."),
        ("a: is b.", "a: is b."),
        ("a: its directory x: is b. chmod it.", "a: its directory x: is b. chmod it."),
        ("a", "a: ."),
    ],
)
def test_a_failure_as_a_problem(text: str, expected: str) -> None:
    """The same words, in the parts of a problem."""
    assert expected == str(sources.problem_of(Failure(text)))


def test_settings_are_rewritten_in_one_step(tmp_path: Path) -> None:
    """With their mode, and no trace of a temporary file."""
    place = put(tmp_path, os.fspath(VPN), "a = 1\n")
    place.chmod(0o640)

    sources.write_settings(tmp_path, VPN, lambda text: text.replace("1", "2"))

    assert place.read_text() == "a = 2\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert ["vpn.toml"] == [each.name for each in place.parent.iterdir()]


def test_settings_that_stay_the_same_are_not_written(tmp_path: Path) -> None:
    """Not even their time changes."""
    place = put(tmp_path, os.fspath(VPN), "a = 1\n")
    before = place.stat()

    sources.write_settings(tmp_path, VPN, lambda text: text)

    assert (before.st_ino, before.st_mtime_ns) == (place.stat().st_ino, place.stat().st_mtime_ns)


def test_an_edit_that_fails_leaves_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no temporary file beside them."""
    place = put(tmp_path, os.fspath(VPN), "a = 1\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        sources.write_settings(tmp_path, VPN, lambda text: text + "b = 2\n")
    assert place.read_text() == "a = 1\n"
    assert ["vpn.toml"] == [each.name for each in place.parent.iterdir()]


def test_settings_behind_a_link_out_of_the_tree_are_not_written(tmp_path: Path) -> None:
    """Below `--root` no symbolic link is followed out: that file is another machine's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "vpn.toml").write_text("enable = true\n", encoding="utf-8")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/wgconfine").symlink_to(outside)

    with pytest.raises(OperationFailed, match="a symbolic link leads out"):
        sources.write_settings(
            root, PurePosixPath("/etc/wgconfine/vpn.toml"), lambda _: "enable = false\n"
        )

    assert (outside / "vpn.toml").read_text(encoding="utf-8") == "enable = true\n"


def test_one_file_is_checked_with_what_it_goes_through(tmp_path: Path) -> None:
    """The tunnels beside it are looked at for that, and not told of for themselves."""
    deep = put(tmp_path, "/etc/wgconfine/deep.toml", CONFIG + 'via = "vpn"\n')
    place = PurePosixPath("/etc/wgconfine/deep.toml")

    def found() -> list[str]:
        return [str(each) for each in sources.read_files(tmp_path, [place])[1]]

    assert [f"{place}: via: there is no tunnel 'vpn'."] == found()
    put(tmp_path, "/etc/wgconfine/vpn.toml", "mtu = 1\n")
    assert [] == found()
    put(tmp_path, "/etc/wgconfine/vpn.toml", CONFIG.replace("vpn", "x") + 'via = "deep"\n')
    assert [f"{place}: via: it leads back to itself: deep via vpn via deep."] == found()
    put(tmp_path, "/etc/wgconfine/vpn.toml", CONFIG.replace("vpn", "x") + "enable = false\n")
    assert ["disabled" in each for each in found()] == [True]
    assert deep.exists()


def test_nothing_is_written_over_what_is_there(tmp_path: Path) -> None:
    """Not even over a link that leads nowhere."""
    place = put(tmp_path, os.fspath(VPN), "")
    place.unlink()
    place.symlink_to("nowhere")

    with pytest.raises(OperationFailed, match="something of that name is there already\nRemove or"):
        sources.create_file(tmp_path, VPN, b"x", 0o600)
    assert place.is_symlink()
