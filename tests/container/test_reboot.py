"""A reboot of a machine with confined services, with the order of a real boot."""

from pathlib import Path

import pytest

from lab.fixtures import BootContainer
from tests.matrix import EVERYWHERE
from tests.reboot import assert_release_is_a_word

pytestmark = pytest.mark.container


@pytest.mark.parametrize("release", EVERYWHERE)
def test_release_is_a_word_over_a_reboot(
    boot_container: BootContainer, release: str, wheelhouse: Path
) -> None:
    """Whatever ends a confinement but the word for it: after a reboot none runs in the open."""
    assert_release_is_a_word(boot_container(release, wheelhouse=wheelhouse))
