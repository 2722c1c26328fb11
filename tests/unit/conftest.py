"""A directory that only root can write to, as /etc is: pytest's own lies below /tmp."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def rooted() -> Iterator[Path]:
    """An empty directory whose every parent belongs to root; fails for another user."""
    place = Path(tempfile.mkdtemp(prefix="wgconfine-test-", dir="/var/lib"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)
