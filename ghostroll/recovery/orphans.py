"""Find and catalogue orphans: originals without a row, left by a crash between rename and commit."""

import os
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ghostroll.base import durable
from ghostroll.base.log import logger, printable
from ghostroll.base.session_paths import Session
from ghostroll.card.media import CardFile, is_housekeeping, kind_of
from ghostroll.catalog import Catalog
from ghostroll.catalog.manifests import write_manifests
from ghostroll.catalog.models import Original, SavedFile
from ghostroll.ingest.commit import new_original
from ghostroll.ingest.names import derivative_names, picture_sources
from ghostroll.recovery.disk_reader import DiskReader, ReadResult


def catalogue_orphans(catalog: Catalog, session: Session, heartbeat: Callable[[], None] = lambda: None) -> None:
    """Catalogue the files below `originals/` that have no row.

    Files are renamed after they were copied and flushed, so each is complete; but none was compared with the card, so
    none counts as verified. A duplicate of another session's original is deleted.
    """
    known = catalog.originals(session.session_id)
    found = find_orphans(session, known)
    if not found:
        return
    row = catalog.session(session.session_id)
    durable.flush_files([session.originals / file.path for file in found])
    total_bytes = sum(file.size_bytes for file in found)
    reader = DiskReader(threading.Event(), total_bytes, on_progress=lambda _: heartbeat())
    readings = {file.path: reader.read(session.originals / file.path) for file in found}
    saved = saved_files(found, known, readings)
    for duplicate in catalog.record_saved(session.session_id, row.card_id if row else "", saved):
        if has_other_copy(catalog, session, duplicate.original):
            (session.originals / duplicate.original.path).unlink()
    write_manifests(catalog, session)
    for file in found:
        logger.info("Recovered %s, which was saved but not yet in the catalog.", printable(file.path))


def find_orphans(session: Session, known: Iterable[Original]) -> list[CardFile]:
    """Return the files below a session's `originals/` that have no row among `known`."""
    paths = {original.path for original in known}
    return [
        file
        for file in _files_below(session.originals)
        if file.path not in paths and not is_housekeeping(PurePosixPath(file.path).name)
    ]


def saved_files(
    files: list[CardFile], known: Iterable[Original], readings: Mapping[str, ReadResult]
) -> list[SavedFile]:
    """Return `files` as saved but not verified; derivative names avoid those of the `known` originals."""
    here = [CardFile(original.path, original.kind, original.size_bytes, 0) for original in known]
    names = derivative_names(
        picture_sources(files, [*files, *here]), [original.name for original in known if original.name]
    )
    return [_saved(file, names.get(file.path), readings[file.path]) for file in files]


def has_other_copy(catalog: Catalog, session: Session, original: Original) -> bool:
    """Tell whether the catalog's copy of an original's content is another file, which exists and has its size."""
    copy = catalog.saved_copy(original.sha256)
    if copy is None or copy == (session.session_id, original.path):
        return False
    other = session.sibling(copy[0]).originals / copy[1]
    try:
        return other.is_file() and other.stat().st_size == original.size_bytes
    except OSError:
        return False


def _files_below(top: Path) -> list[CardFile]:
    files = []
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory, name)
            facts = path.lstat()
            if stat.S_ISREG(facts.st_mode):
                files.append(CardFile(str(path.relative_to(top)), kind_of(name), facts.st_size, facts.st_mtime_ns))
    return files


def _saved(file: CardFile, name: str | None, result: ReadResult) -> SavedFile:
    file = replace(file, size_bytes=result.size_bytes)
    original = new_original(file, file.path, result.sha256, name, result.head)
    return SavedFile(original, file.path, result.mtime_ns, result.sample_sha256, verified=False)
