"""Quarantine a damaged catalog: rename it with a time stamp, never delete it."""

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

from ghostroll.base import durable
from ghostroll.catalog import Catalog, CatalogDamaged

# The database and the files that SQLite keeps beside it (sqlite.org/fileformat2.html).
_PARTS = ("", "-wal", "-shm")


def is_damaged(path: Path) -> bool:
    """Tell whether the catalog exists and is damaged. Raises GhostrollError if it cannot be read."""
    if not path.exists():
        return False
    try:
        with Catalog(path) as catalog:
            catalog.check(thorough=True)
    except CatalogDamaged:
        return True
    return False


def quarantine_catalog(path: Path) -> Path:
    """Rename a catalog and its SQLite files; return its new path. Raises OSError.

    All files are linked to their new names before the old names are removed: SQLite deletes a -wal without a database.
    """
    target = _free_name(path)
    parts = [part for part in _PARTS if Path(f"{path}{part}").exists()]
    for part in parts:
        with contextlib.suppress(OSError):  # no hard links, as on FAT: link(2), EPERM
            os.link(f"{path}{part}", f"{target}{part}")
    durable.flush_directory(path.parent)
    for part in parts:
        if Path(f"{target}{part}").exists():
            Path(f"{path}{part}").unlink()
        else:
            durable.rename_unflushed(Path(f"{path}{part}"), Path(f"{target}{part}"))
    durable.flush_directory(path.parent)
    return target


def _free_name(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y-%m-%d_%H%M%S")
    name, number = path.with_name(f"{path.name}.damaged-{stamp}"), 1
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    return name
