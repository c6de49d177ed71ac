"""Originals that a crash kept from the catalog: whole copies, but without a row."""

import os
from pathlib import Path, PurePosixPath

from ghostroll import durable, publish
from ghostroll.log import logger, printable
from ghostroll.media import SNIFF_BYTES, CardFile, Kind, is_housekeeping, kind_of, looks_like_still
from ghostroll.plan import derivative_names, picture_sources
from ghostroll.rows import Original, RenderState, SavedFile
from ghostroll.run import Run
from ghostroll.sample import Sampler
from ghostroll.session import Session


def adopt_originals(run: Run, session: Session) -> None:
    """Catalogue the files below `originals/` that have no row.

    They got their names after they were copied and flushed, so each is whole; but nobody compared them with the
    card, so they don't count as verified. One whose content another session has is removed.
    """
    known = {original.path: original for original in run.catalog.originals(session.session_id)}
    found = [
        file
        for file in _files_below(session.originals)
        if file.path not in known and not is_housekeeping(PurePosixPath(file.path).name)
    ]
    if not found:
        return
    row = run.catalog.session(session.session_id)
    sources = picture_sources(found, [*found, *map(_as_card_file, known.values())])
    names = derivative_names(sources, [original.name for original in known.values() if original.name])
    saved = [_saved(session.originals / file.path, file, names.get(file.path)) for file in found]
    durable.flush_files([session.originals / file.path for file in found])
    for twin in run.catalog.record_saved(session.session_id, row.card_id if row else "", saved):
        _drop_if_elsewhere(run, session, twin)
    originals = run.catalog.originals(session.session_id)
    publish.write_checksums(session, [(original.sha256, original.path) for original in originals])
    for file in found:
        logger.info("Taken into the session: %s, whose copy was cut off from the catalog.", printable(file.path))


def _drop_if_elsewhere(run: Run, session: Session, twin: SavedFile) -> None:
    """Remove a file only if the copy that the catalog has of its content is another one, and there."""
    copy = run.catalog.saved_copy(twin.original.sha256)
    if copy is None or copy == (session.session_id, twin.original.path):
        return
    other = Session(copy[0], session.base_dir, session.prefix_root).originals / copy[1]
    if other.is_file() and other.stat().st_size == twin.original.size_bytes:
        (session.originals / twin.original.path).unlink()


def _files_below(top: Path) -> list[CardFile]:
    files = []
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory, name)
            facts = path.lstat()
            files.append(CardFile(str(path.relative_to(top)), kind_of(name), facts.st_size, facts.st_mtime_ns))
    return files


def _as_card_file(original: Original) -> CardFile:
    return CardFile(original.path, original.kind, original.size_bytes, 0)


def _saved(path: Path, file: CardFile, name: str | None) -> SavedFile:
    sampler = Sampler()
    with path.open("rb") as content:
        head = content.read(SNIFF_BYTES)
        content.seek(0)
        while chunk := content.read(durable.CHUNK_BYTES):
            sampler.update(chunk)
    sha256, _ = durable.sha256_from_disk(path)
    is_picture = name is not None and (file.kind is not Kind.OTHER or looks_like_still(head))
    original = Original(
        path=file.path,
        kind=file.kind,
        size_bytes=file.size_bytes,
        sha256=sha256,
        name=name if is_picture else None,
        render=RenderState.PENDING if is_picture else RenderState.NONE,
    )
    return SavedFile(original, file.path, file.mtime_ns, sampler.hexdigest(), verified=False)
