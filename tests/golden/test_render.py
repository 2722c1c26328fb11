"""The files that wgconfine writes: the exact set and the exact text."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden.conftest import EXPECTED
from wgconfine.cli.main import main
from wgconfine.model.errors import ExitCode

MACHINE = Path(__file__).parent / "machine"


def render(output: Path) -> Path:
    assert main(["render", "--root", str(MACHINE), "--output", str(output)]) == ExitCode.OK
    return output


def test_rendered_files(tmp_path: Path, compare_tree: Callable[[str, Path], None]) -> None:
    """A tunnel by .conf, one through it, one with every kind of secret, and one switched off."""
    compare_tree("render", render(tmp_path))


def test_every_unit_has_its_sandbox_written_down(tmp_path: Path) -> None:
    """With a reason for each setting that it does not take, and for an exposure above 2.0.

    A probe has the sandbox of its service, and no other.
    """
    import tomllib

    units = render(tmp_path).glob("etc/systemd/system/wgconfine*.service")
    units = (path for path in units if not path.name.startswith("wgconfine-probe@"))
    written = tomllib.loads((EXPECTED / "sandbox.toml").read_text(encoding="utf-8"))

    assert sorted(path.name for path in units if path.is_file()) == sorted(written)
    assert [] == [name for name, each in written.items() if not all(each["not-taken"].values())]


def test_rendering_again_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second time there is nothing to write, so nothing is said."""
    render(tmp_path)
    capsys.readouterr()

    render(tmp_path)

    assert capsys.readouterr().out == ""


def test_every_file_is_readable_by_all_and_writable_by_its_owner(tmp_path: Path) -> None:
    """There is no secret in them."""
    files = [path for path in render(tmp_path).rglob("*") if path.is_file()]

    assert {0o644} == {stat.S_IMODE(path.lstat().st_mode) for path in files}


def test_nothing_is_written_to_the_tree_that_is_read(tmp_path: Path) -> None:
    """`--root` is looked at only."""
    before = sorted(MACHINE.rglob("*"))
    render(tmp_path)

    assert before == sorted(MACHINE.rglob("*"))


def test_plan(capsys: pytest.CaptureFixture[str], compare_text: Callable[[str, str], None]) -> None:
    """What `apply` would do to a tree without systemd, closing files first; exit code 5."""
    code = main(["plan", "--root", str(MACHINE), "--python", "/usr/bin/python3"])

    assert code == ExitCode.CHANGES
    compare_text("plan.txt", capsys.readouterr().out)


def test_verbose_plan_has_the_text_of_the_closing_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As `diff -u` shows it."""
    main(["plan", "-v", "--root", str(MACHINE), "--python", "/usr/bin/python3"])

    path = "/usr/local/lib/systemd/system/mail-fetch.service.d/zz-wgconfine-closed.conf"
    assert f"create {path}\n--- /dev/null\n+++ b{path}\n" in capsys.readouterr().out
