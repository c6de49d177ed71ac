"""A damaged catalog is moved aside, never deleted: its name tells when."""

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

from ghostroll.base import durable
from ghostroll.catalog import Catalog, CatalogDamaged

# SQLite's own files beside a database (sqlite.org/fileformat2.html); the database itself comes first.
_PARTS = ("", "-wal", "-shm")


def is_damaged(path: Path) -> bool:
    """Tell whether a catalog is there and is not what was written; raises GhostrollError where it cannot be read."""
    if not path.exists():
        return False
    try:
        with Catalog(path) as catalog:
            catalog.check(thorough=True)
    except CatalogDamaged:
        return True
    return False


def move_aside(path: Path) -> Path:
    """Move a catalog to a name of its own, which is returned; raises OSError.

    All of it has its second name before the first is taken away: SQLite deletes what it finds without its database.
    """
    aside = _free_name(path)
    parts = [part for part in _PARTS if Path(f"{path}{part}").exists()]
    for part in parts:
        with contextlib.suppress(OSError):  # FAT, for one, knows no second names: link(2), EPERM
            os.link(f"{path}{part}", f"{aside}{part}")
    durable.flush_directory(path.parent)
    for part in parts:
        if Path(f"{aside}{part}").exists():
            Path(f"{path}{part}").unlink()
        else:
            durable.put_in_place(Path(f"{path}{part}"), Path(f"{aside}{part}"))
    durable.flush_directory(path.parent)
    return aside


def _free_name(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y-%m-%d_%H%M%S")
    name, number = path.with_name(f"{path.name}.damaged-{stamp}"), 1
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    return name
