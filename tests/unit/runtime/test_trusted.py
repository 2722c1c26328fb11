"""Invariant 8: files that decide where packets go are judged before they are believed. As root."""

import os
from pathlib import Path

import pytest

from wgconfine.runtime.failure import Failure
from wgconfine.runtime.trusted import LIMIT, read_trusted

STRANGER = 65534


def written(path: Path, mode: int = 0o600, content: bytes = b"text") -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def read(path: Path | str, *, secret: bool = True) -> bytes:
    return read_trusted(os.fspath(path), secret=secret)


def refusal(path: Path | str, *, secret: bool = True) -> str:
    with pytest.raises(Failure) as caught:
        read(path, secret=secret)
    return str(caught.value)


def test_gives_the_content_of_a_file_of_roots(rooted: Path) -> None:
    """Mode 0600 and root all the way: it is read."""
    assert read(written(rooted / "key")) == b"text"


def test_others_may_read_what_is_no_secret(rooted: Path) -> None:
    """Settings are 0644."""
    assert read(written(rooted / "a.toml", 0o644), secret=False) == b"text"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_refuses_a_secret_that_others_may_read(rooted: Path, mode: int) -> None:
    """The hint is the command that mends it."""
    path = written(rooted / "key", mode)

    assert f"{path}: holds a secret and others than root may read it. chmod 600 it." == refusal(
        path
    )


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_refuses_a_file_that_others_may_write(rooted: Path, mode: int) -> None:
    """Secret or not."""
    path = written(rooted / "a.toml", mode)

    assert f"{path}: others than root may write there. chmod go-w it." == refusal(
        path, secret=False
    )


def test_refuses_a_file_of_another_user(rooted: Path) -> None:
    """Its owner could change it at any time."""
    path = written(rooted / "a.toml")
    os.chown(path, STRANGER, STRANGER)

    assert f"{path}: belongs to user 65534, not to root. chown root it." == refusal(path)


def test_refuses_what_lies_in_a_directory_that_others_may_write(rooted: Path) -> None:
    """There the file could be replaced by another."""
    (rooted / "shared").mkdir()
    path = written(rooted / "shared" / "key")
    (rooted / "shared").chmod(0o775)

    assert f"{rooted}/shared: others than root may write there. chmod go-w it." == refusal(path)


def test_refuses_a_directory_of_another_user(rooted: Path) -> None:
    """The same, by owner."""
    (rooted / "theirs").mkdir()
    path = written(rooted / "theirs" / "key")
    os.chown(rooted / "theirs", STRANGER, STRANGER)

    assert f"{rooted}/theirs: belongs to user 65534, not to root. chown root it." == refusal(path)


def test_refuses_what_lies_in_tmp(tmp_path: Path) -> None:
    """A sticky directory that all may write to is none that only root can change."""
    path = written(tmp_path / "key")

    place = next(each for each in reversed(path.parents) if each.stat().st_mode & 0o022)
    assert f"{place}: others than root may write there. chmod go-w it." == refusal(path)


def test_follows_a_symbolic_link_of_roots(rooted: Path) -> None:
    """NixOS and `alternatives` have them everywhere; relative and absolute ones both work."""
    (rooted / "real").mkdir()
    written(rooted / "real" / "key")
    (rooted / "way").symlink_to("real")
    (rooted / "link").symlink_to(rooted / "way" / "key")

    assert read(rooted / "link") == b"text"


def test_refuses_a_symbolic_link_of_another_user(rooted: Path) -> None:
    """Even where it leads to a file that is in order."""
    written(rooted / "key")
    (rooted / "link").symlink_to("key")
    os.chown(rooted / "link", STRANGER, STRANGER, follow_symlinks=False)

    assert (
        f"{rooted}/link: is a symbolic link of user 65534, not of root. chown -h root it."
        == refusal(rooted / "link")
    )


def test_refuses_a_loop_of_links(rooted: Path) -> None:
    """It ends, and says what it is."""
    (rooted / "a").symlink_to("b")
    (rooted / "b").symlink_to("a")

    assert refusal(rooted / "a").endswith(": symbolic links lead in a circle there. Mend them.")


def test_a_link_cannot_hide_a_bad_directory(rooted: Path) -> None:
    """What a link leads to is judged as every other part of the way."""
    (rooted / "shared").mkdir()
    written(rooted / "shared" / "key")
    (rooted / "shared").chmod(0o777)
    (rooted / "link").symlink_to(rooted / "shared" / "key")

    (rooted / "other").symlink_to(
        "../" + (rooted / "shared" / "key").relative_to("/var/lib").as_posix()
    )

    expected = f"{rooted}/shared: others than root may write there. chmod go-w it."
    assert [expected, expected] == [refusal(rooted / "link"), refusal(rooted / "other")]


def test_a_fifo_neither_blocks_nor_passes(rooted: Path) -> None:
    """It is opened without waiting for a writer, and refused."""
    os.mkfifo(rooted / "key", 0o600)

    assert f"{rooted}/key: is not a regular file. Put one there." == refusal(rooted / "key")


@pytest.mark.parametrize("path", ["", "/"])
def test_refuses_a_directory(rooted: Path, path: str) -> None:
    """With a slash at its end, too."""
    assert "is not a regular file." in refusal(f"{rooted}{path}")


def test_refuses_the_root_directory() -> None:
    """It has no last part that could be a file."""
    assert refusal("/") == "/: is a directory. Name a file."


def test_names_a_missing_file(rooted: Path) -> None:
    """The kernel's own words."""
    assert f"{rooted}/key: No such file or directory." == refusal(rooted / "key")


def test_refuses_a_relative_path() -> None:
    """It would depend on where the process happens to be."""
    assert refusal("wg.key") == "wg.key: is not an absolute path."


def test_refuses_more_than_a_mebibyte(rooted: Path) -> None:
    """No key file and no .conf is that long."""
    path = written(rooted / "key", content=bytes(LIMIT + 1))

    assert f"{path}: is larger than 1 MiB. Name the right file." == refusal(path)


def test_a_refusal_never_quotes_the_content(rooted: Path) -> None:
    """Invariant 8: the secret stays in its file."""
    path = written(rooted / "key", 0o644, b"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MDA=")

    assert "c2Vj" not in refusal(path)
