"""A tree that `--root` names: settings, two units, and the command line as a function."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wgconfine.cli.main import main

Run = Callable[..., int]

SETTINGS = """\
# My provider.
config = "/etc/wireguard/vpn.conf"
services = [
  "a.service",  # the first
  # the second one is slow
  "b.service",
]
"""


class Machine:
    """Files below a directory, by their absolute paths on the machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text, encoding="utf-8")

    def read(self, path: str) -> str:
        return self.path(path).read_text(encoding="utf-8")

    def has(self, path: str) -> bool:
        return os.path.lexists(self.path(path))

    def files(self) -> dict[str, str]:
        """Every file that is there, with its text or target, and when it was last written."""
        return {
            os.fspath(path.relative_to(self.root)): f"{path.lstat().st_mtime_ns} "
            + (os.fspath(path.readlink()) if path.is_symlink() else path.read_text("utf-8"))
            for path in sorted(self.root.rglob("*"))
            if path.is_symlink() or not path.is_dir()
        }


def dropin(unit: str) -> str:
    return f"/etc/systemd/system/{unit}.d/zz-wgconfine.conf"


def closing(unit: str) -> str:
    return f"/usr/local/lib/systemd/system/{unit}.d/zz-wgconfine-closed.conf"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One tunnel with two services, not applied yet."""
    made = Machine(tmp_path)
    made.write("/etc/wgconfine/vpn.toml", SETTINGS)
    for unit in ("a.service", "b.service"):
        made.write(f"/usr/lib/systemd/system/{unit}", "[Service]\nExecStart=/usr/bin/x\n")
    return made


@pytest.fixture
def run(machine: Machine) -> Run:
    """`wgconfine COMMAND --root MACHINE …`; gives the exit code."""

    def run_command(command: str, *arguments: str) -> int:
        needs_python = command != "check"
        # The tests' own interpreter lies wherever its developer likes.
        python = ["--python", "/usr/bin/python3"] if needs_python else []
        return main([command, "--root", os.fspath(machine.root), *python, *arguments])

    return run_command
