"""Files of ours are written and removed at once or not at all, and nobody else's are touched."""

import errno
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.model.errors import OperationFailed
from wgconfine.model.tree import MARK, File, Link
from wgconfine.system.tree import ReadOnlyPlace, TreeWriter, read_installed

UNITS = PurePosixPath("/etc/systemd/system")
DROPIN = UNITS / "x.service.d/zz-wgconfine.conf"
BOOT = Link(path=UNITS / "a.wants/wgconfine@n.service", target=UNITS / "wgconfine@.service")
PATTERNS = ["/etc/systemd/system/*.service.d/zz-wgconfine.conf", "/etc/systemd/system/*.wants/wg*"]


def ours(path: PurePosixPath = DROPIN, text: str = "", mode: int = 0o644) -> File:
    return File(path=path, text=f"# {MARK}\n{text}", mode=mode)


def at(root: Path, path: PurePosixPath) -> Path:
    return root / path.relative_to("/")


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def test_written_and_read_back(tmp_path: Path) -> None:
    """What was written is what is installed."""
    writer = TreeWriter(tmp_path)
    for entry in (ours(text="é\udcff\n", mode=0o600), BOOT):
        writer.put(entry)
    expected = {BOOT.path: BOOT, DROPIN: ours(text="é\udcff\n", mode=0o600)}
    assert expected == read_installed(tmp_path, PATTERNS)


def test_modes(tmp_path: Path) -> None:
    """Files and new directories have the modes they should, whatever the umask."""
    before = os.umask(0o077)
    try:
        TreeWriter(tmp_path).write(ours())
    finally:
        os.umask(before)
    path = at(tmp_path, DROPIN)
    assert [0o644, 0o755] == [item.stat().st_mode & 0o7777 for item in (path, path.parent)]


def test_replaced_at_once(tmp_path: Path) -> None:
    """A reader of the old file goes on reading the old file, and nothing is left beside the new."""
    writer = TreeWriter(tmp_path)
    writer.write(ours(text="old"))
    with at(tmp_path, DROPIN).open() as reader:
        writer.write(ours(text="new"))
        assert reader.read().endswith("old")
    assert ["zz-wgconfine.conf"] == names(at(tmp_path, DROPIN).parent)


def test_left_by_a_kill(tmp_path: Path) -> None:
    """What a killed run left beside a file goes with the next write, and with a removal."""
    writer = TreeWriter(tmp_path)
    writer.write(ours())
    left = at(tmp_path, DROPIN).with_name(".zz-wgconfine.conf.new")
    left.write_text("half")
    writer.write(ours())
    assert not left.exists()
    left.write_text("half")
    writer.remove(DROPIN)
    assert not left.parent.exists()


def test_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the old file and nothing else."""
    writer = TreeWriter(tmp_path)
    writer.write(ours(text="old"))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OperationFailed, match="No space left"):
        writer.write(ours(text="new"))
    assert at(tmp_path, DROPIN).read_text().endswith("old")
    assert ["zz-wgconfine.conf"] == names(at(tmp_path, DROPIN).parent)


def test_no_mark(tmp_path: Path) -> None:
    """A file without our mark is never written: it could not be removed again."""
    with pytest.raises(ValueError, match="without our mark"):
        TreeWriter(tmp_path).write(File(path=DROPIN, text="x"))


def foreign_file(path: Path) -> None:
    path.write_text("theirs")


def late_mark(path: Path) -> None:
    path.write_text(" " * 200 + MARK)


def foreign_link(path: Path) -> None:
    path.symlink_to("/dev/null")


def directory(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def identity(path: Path) -> tuple[int, ...]:
    """Less the time of the last look, which may fall into the next second."""
    found = path.lstat()
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@pytest.mark.parametrize("make", [foreign_file, late_mark, foreign_link, directory, pipe])
def test_foreign(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """What is not ours is neither read as ours, nor replaced, nor removed, and is named."""
    path = at(tmp_path, DROPIN)
    path.parent.mkdir(parents=True)
    make(path)
    before = identity(path)
    writer = TreeWriter(tmp_path)
    attempts: list[Callable[[], None]] = [
        lambda: writer.write(ours()),
        lambda: writer.link(Link(path=DROPIN, target=UNITS / "wgconfine@.service")),
        lambda: writer.remove(DROPIN),
    ]
    for attempt in attempts:
        with pytest.raises(OperationFailed, match="in the way") as caught:
            attempt()
        assert str(DROPIN) in caught.value.step
    assert before == identity(path)
    assert {} == read_installed(tmp_path, PATTERNS)


def test_link_again(tmp_path: Path) -> None:
    """A link may be made twice, and moved to the same file in another directory."""
    writer = TreeWriter(tmp_path)
    other = Link(path=BOOT.path, target=PurePosixPath("/usr/lib/systemd/system/wgconfine@.service"))
    for link in (BOOT, BOOT, other):
        writer.link(link)
    assert {BOOT.path: other} == read_installed(tmp_path, PATTERNS)


def test_link_over_a_file(tmp_path: Path) -> None:
    """A link does not replace a file, even one of ours."""
    TreeWriter(tmp_path).write(ours(BOOT.path))
    with pytest.raises(OperationFailed, match="a file of ours is in the way"):
        TreeWriter(tmp_path).link(BOOT)


def test_remove(tmp_path: Path) -> None:
    """A removal takes the drop-in directory along if it is empty, and no other directory."""
    writer = TreeWriter(tmp_path)
    writer.put(ours())
    writer.put(BOOT)
    writer.remove(DROPIN)
    writer.remove(BOOT.path)
    assert ["a.wants"] == names(at(tmp_path, UNITS))


@pytest.mark.parametrize("kind", ["service", "mount"])
def test_remove_a_drop_in_of_either_kind(tmp_path: Path, kind: str) -> None:
    """The namespaces' names are mounts, and have drop-ins of ours, too."""
    path = UNITS / f"x.{kind}.d/wgconfine.conf"
    writer = TreeWriter(tmp_path)
    writer.write(File(path=path, text=f"# {MARK}.\n"))
    writer.remove(path)
    assert [] == names(at(tmp_path, UNITS))


def test_remove_beside_others(tmp_path: Path) -> None:
    """A drop-in directory with another file in it stays."""
    TreeWriter(tmp_path).write(ours())
    at(tmp_path, DROPIN).with_name("override.conf").write_text("theirs")
    TreeWriter(tmp_path).remove(DROPIN)
    assert ["override.conf"] == names(at(tmp_path, DROPIN).parent)


def test_remove_what_is_gone(tmp_path: Path) -> None:
    """Removing what is not there is fine, with or without its directory."""
    TreeWriter(tmp_path).remove(DROPIN)
    at(tmp_path, DROPIN).parent.mkdir(parents=True)
    TreeWriter(tmp_path).remove(DROPIN)
    assert [] == names(at(tmp_path, UNITS))


@pytest.mark.parametrize("component", ["etc", "etc/systemd", "etc/systemd/system/x.service.d"])
def test_links_on_the_way(tmp_path: Path, component: str) -> None:
    """Below another root no link on the way is followed, wherever it leads."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (root / component).parent.mkdir(parents=True)
    (root / component).symlink_to(outside)
    attempts: list[Callable[[], None]] = [
        lambda: TreeWriter(root).write(ours()),
        lambda: TreeWriter(root).remove(DROPIN),
    ]
    for attempt in attempts:
        with pytest.raises(OperationFailed, match=f"/{component}: is a symbolic link"):
            attempt()
    assert [] == names(outside)


def test_links_among_directories(tmp_path: Path) -> None:
    """A linked directory that only a pattern matches is passed over."""
    TreeWriter(tmp_path).write(ours())
    at(tmp_path, UNITS / "y.service.d").symlink_to("x.service.d")
    assert [DROPIN] == list(read_installed(tmp_path, PATTERNS))


def test_links_below_the_real_root(tmp_path: Path) -> None:
    """Below `/` itself a linked directory is the distribution's own and is followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    path = PurePosixPath(tmp_path / "linked/x.service.d/a.conf")
    writer = TreeWriter(Path("/"))
    writer.write(ours(path))
    assert {path: ours(path)} == read_installed(Path("/"), [str(path)])
    writer.remove(path)
    assert [] == names(tmp_path / "real")


def test_dots(tmp_path: Path) -> None:
    """A path with `..` is refused."""
    with pytest.raises(OperationFailed, match=r"a path with '\.\.' is not followed"):
        TreeWriter(tmp_path / ".").write(ours(PurePosixPath("/etc/../../x/a.conf")))


def test_no_root(tmp_path: Path) -> None:
    """A root that is not there is an error, not an empty tree."""
    with pytest.raises(OperationFailed, match=r"open .*gone"):
        read_installed(tmp_path / "gone", PATTERNS)


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/usr/local/lib/systemd/system/x.service.d/a.conf", ReadOnlyPlace, "Read-only"),
        ("/etc/systemd/system/x.service.d/a.conf", OperationFailed, "wgconfine render"),
    ],
)
def test_read_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    kind: type[OperationFailed],
    words: str,
) -> None:
    """A read-only /usr is an error of its own; with a read-only /etc `render` is named."""

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", read_only)
    with pytest.raises(OperationFailed, match=words) as caught:
        TreeWriter(tmp_path).write(ours(PurePosixPath(path)))
    assert kind is type(caught.value)
