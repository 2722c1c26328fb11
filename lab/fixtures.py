"""pytest's side of the lab (`pytest_plugins = ["lab.fixtures"]`): worlds that end with the test.

A tier that cannot run fails with LabUnavailableError, never skips.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.layers import build_wheelhouse
from lab.world import World, boot_container, boot_vm

BootContainer = Callable[..., World]
BootVm = Callable[..., World]


@pytest.fixture(scope="session")
def wheelhouse(pytestconfig: pytest.Config) -> Path:
    """The wheels of the repository that is tested."""
    return build_wheelhouse(pytestconfig.rootpath)


@pytest.fixture(name="boot_container")
def _boot_container() -> Iterator[BootContainer]:
    """`lab.boot_container`; what it boots ends with the test."""
    with ExitStack() as worlds:
        yield lambda *args, **kwargs: worlds.enter_context(boot_container(*args, **kwargs))


@pytest.fixture(name="boot_vm")
def _boot_vm() -> Iterator[BootVm]:
    """`lab.boot_vm`; what it boots ends with the test."""
    with ExitStack() as worlds:
        yield lambda *args, **kwargs: worlds.enter_context(boot_vm(*args, **kwargs))


@pytest.fixture(scope="module")
def trixie() -> Iterator[World]:
    """A container without wgconfine, shared by a module: change nothing there for good."""
    with boot_container("trixie") as world:
        yield world
