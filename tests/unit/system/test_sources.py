"""Settings as they lie in /etc/wgconfine: of this machine, and of a tree that is its builder's."""

import os
import stat
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.model.errors import OperationFailed, ProblemsFound
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
    put(tmp_path, "/etc/wgconfine/two.toml", CONFIG)
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
