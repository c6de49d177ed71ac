"""Originals that a crash kept from the catalog: whole copies, but without a row."""

import os
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

from ghostroll.base import durable
from ghostroll.base.log import logger, printable
from ghostroll.base.media_kind import MediaKind
from ghostroll.base.session_paths import Session
from ghostroll.card.media import CardFile, has_picture_signature, is_housekeeping, kind_of
from ghostroll.catalog import Catalog
from ghostroll.catalog.manifests import write_manifests
from ghostroll.catalog.models import Original, RenderState, SavedFile
from ghostroll.ingest.names import derivative_names, picture_sources
from ghostroll.recovery.disk_reader import Reader, Reading


def catalogue_orphans(catalog: Catalog, session: Session, alive: Callable[[], None] = lambda: None) -> None:
    """Catalogue the files below `originals/` that have no row.

    They got their names after they were copied and flushed, so each is whole; but nobody compared them with the
    card, so they don't count as verified. One whose content another session has is removed.
    """
    known = catalog.originals(session.session_id)
    found = find_orphans(session, known)
    if not found:
        return
    row = catalog.session(session.session_id)
    durable.flush_files([session.originals / file.path for file in found])
    total_bytes = sum(file.size_bytes for file in found)
    reader = Reader(threading.Event(), total_bytes, tell=lambda _: alive())
    readings = {file.path: reader.read(session.originals / file.path) for file in found}
    saved = as_saved(found, known, readings)
    for twin in catalog.record_saved(session.session_id, row.card_id if row else "", saved):
        _drop_if_elsewhere(catalog, session, twin)
    write_manifests(catalog, session)
    for file in found:
        logger.info("Taken into the session: %s, whose copy was cut off from the catalog.", printable(file.path))


def find_orphans(session: Session, known: Iterable[Original]) -> list[CardFile]:
    """Return the files below a session's `originals/` that have no row among `known`."""
    paths = {original.path for original in known}
    return [
        file
        for file in _files_below(session.originals)
        if file.path not in paths and not is_housekeeping(PurePosixPath(file.path).name)
    ]


def as_saved(files: list[CardFile], known: Iterable[Original], readings: Mapping[str, Reading]) -> list[SavedFile]:
    """Return `files` as saved but not verified, with derivatives' names beside those of the `known` originals."""
    here = [CardFile(original.path, original.kind, original.size_bytes, 0) for original in known]
    names = derivative_names(
        picture_sources(files, [*files, *here]), [original.name for original in known if original.name]
    )
    return [_saved(file, names.get(file.path), readings[file.path]) for file in files]


def _drop_if_elsewhere(catalog: Catalog, session: Session, twin: SavedFile) -> None:
    """Remove a file only if the copy that the catalog has of its content is another one, and there."""
    copy = catalog.saved_copy(twin.original.sha256)
    if copy is None or copy == (session.session_id, twin.original.path):
        return
    other = session.sibling(copy[0]).originals / copy[1]
    if other.is_file() and other.stat().st_size == twin.original.size_bytes:
        (session.originals / twin.original.path).unlink()


def _files_below(top: Path) -> list[CardFile]:
    files = []
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory, name)
            facts = path.lstat()
            if stat.S_ISREG(facts.st_mode):
                files.append(CardFile(str(path.relative_to(top)), kind_of(name), facts.st_size, facts.st_mtime_ns))
    return files


def _saved(file: CardFile, name: str | None, reading: Reading) -> SavedFile:
    is_picture = name is not None and (file.kind is not MediaKind.OTHER or has_picture_signature(reading.head))
    original = Original(
        path=file.path,
        kind=file.kind,
        size_bytes=reading.size_bytes,
        sha256=reading.sha256,
        name=name if is_picture else None,
        render=RenderState.PENDING if is_picture else RenderState.NONE,
    )
    return SavedFile(original, file.path, reading.mtime_ns, reading.sample_sha256, verified=False)
