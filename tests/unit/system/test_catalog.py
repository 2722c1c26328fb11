"""Whether journalctl(1) has read the message catalog."""

import os
from pathlib import Path

from wgconfine.system.catalog import is_unread


def test_a_catalog_is_unread_when_it_is_newer_than_the_database(tmp_path: Path) -> None:
    """Without a database there is nobody to read it."""
    catalog, database = tmp_path / "catalog", tmp_path / "database"
    catalog.touch()
    assert not is_unread(catalog, database)

    database.touch()
    os.utime(database, (1, 1))
    assert is_unread(catalog, database)

    os.utime(catalog, (1, 1))
    assert not is_unread(catalog, database)
