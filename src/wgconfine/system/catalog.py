"""Whether journalctl(1) knows our message catalog as it lies there."""

from pathlib import Path

from wgconfine.render.catalog import CATALOG

__all__ = ["is_unread"]

DATABASE = Path("/var/lib/systemd/catalog/database")
"""What `journalctl --update-catalog` makes of all catalogs: systemd's own file."""


def is_unread(catalog: Path = Path(CATALOG), database: Path = DATABASE) -> bool:
    """Tell whether the catalog was written after the database, as by a run that was cut off."""
    try:
        return catalog.stat().st_mtime_ns > database.stat().st_mtime_ns
    except OSError:  # without a database this machine has no use for it
        return False
