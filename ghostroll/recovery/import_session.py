"""Taking one session on the disk into a catalog that does not know it.

Its sidecar says what the lost catalog knew; every original is read again from the disk and compared with it and with
SHA256SUMS. What differs came in, but does not count as saved.
"""

import errno
import os
from dataclasses import dataclass, field, replace

from ghostroll.base import durable
from ghostroll.base.errors import ConfigurationError, FileFailed
from ghostroll.base.log import logger, printable
from ghostroll.base.session_paths import Session
from ghostroll.base.text import rfc3339
from ghostroll.catalog import Catalog, manifests, session_backup
from ghostroll.catalog.models import Original, RenderState, SavedFile, SessionState
from ghostroll.recovery.disk_reader import Reader, Reading
from ghostroll.recovery.orphans import as_saved, find_orphans
from ghostroll.recovery.unknown_sessions import changed_at


@dataclass
class TakenIn:
    """What was found of one session. `gone`: files that came in before, and are no longer there.

    `damaged` are paths below `originals/`, fit to be shown, of files that are not what was recorded.
    """

    session_id: str
    had_sidecar: bool
    files: int = 0
    unverified: int = 0
    gone: int = 0
    damaged: list[str] = field(default_factory=list)


def take_in(catalog: Catalog, session: Session, reader: Reader) -> TakenIn | None:
    """Take in a session; None if it is known. Raises OSError, Interrupted; ConfigurationError for a newer one."""
    books, had_sidecar = _opened_books(session)
    with books:
        found = TakenIn(session.session_id, had_sidecar)
        _make_elsewhere_again(books, session)
        _compare(books, session, reader, found)
        if durable.is_memory_filesystem(session.directory):
            books.doubt_copies(session.session_id)
        return found if catalog.take_in(books, session.session_id, session.key_prefix) else None


def _opened_books(session: Session) -> tuple[Catalog, bool]:
    """Return what the sidecar says, or empty books that only know of the session; and whether there was one."""
    books = None
    try:
        books = session_backup.read(session)
    except session_backup.SidecarNewer:
        raise ConfigurationError(
            f"{session.session_id} was written by a newer version of ghostroll.", hint="Update this one first."
        ) from None
    except session_backup.SidecarDamaged as error:
        logger.warning("What %s says of itself is damaged (%s): only its files count.", session.session_id, error)
    if books:
        return books, True
    books = session_backup.empty()
    created_utc = rfc3339(changed_at(session.directory))
    books.create_session(session.session_id, card_id="", card_label="", created_utc=created_utc)
    books.set_state(session.session_id, SessionState.INGESTED)
    return books, False


def _make_elsewhere_again(books: Catalog, session: Session) -> None:
    """Have derivatives made anew whose keys are not this session's: another prefix was configured since, or worse."""
    keys = {"share": session.share_key, "thumb": session.thumbnail_key}
    with books.snapshot() as db:
        made = [
            [os.fsdecode(text) for text in row]
            for row in db.execute("SELECT path, role, name, s3_key FROM derivatives")
        ]
    elsewhere = {path for path, role, name, s3_key in made if s3_key != keys[role](name)}
    if elsewhere:
        books.render_again(session.session_id, elsewhere)
        books.set_state(session.session_id, SessionState.INGESTED)


def _compare(books: Catalog, session: Session, reader: Reader, found: TakenIn) -> None:
    """Bring the books to what is on the disk: what differs is not saved, what has no row gets one."""
    rows = {original.path: original for original in books.originals(session.session_id)}
    sums = manifests.read_checksums(session)
    files = {file.path: file for file in find_orphans(session, ())}
    # A link where an original was is looked at too, and is none.
    there = files.keys() | {path for path in rows if os.path.lexists(session.originals / path)}
    readings = {path: _reading(session, path, reader) for path in sorted(there, key=os.fsencode)}
    damaged = {path for path, reading in readings.items() if not _is_as_recorded(path, reading, rows, sums)}
    found.files, found.gone = len(files), len((rows.keys() | sums.keys()) - there)
    found.damaged = [printable(path) for path in readings if path in damaged]
    for path in damaged:
        logger.warning("%s of %s is damaged: it is not what was recorded.", printable(path), session.session_id)
        if path in rows:
            _doubt(books, session, rows[path])
    new = {path: reading for path, reading in readings.items() if path not in rows and reading}
    found.unverified = len(new.keys() - damaged)
    _record_new(books, session, as_saved([files[path] for path in new], list(rows.values()), new), sums)


def _reading(session: Session, path: str, reader: Reader) -> Reading | None:
    """Return what a file holds now; None for what the disk cannot give, or what is no file. Raises OSError."""
    try:
        return reader.read(session.originals / path)
    except FileFailed:
        return None
    except OSError as error:
        if error.errno in (errno.EIO, errno.ELOOP):
            return None
        raise


def _is_as_recorded(path: str, reading: Reading | None, rows: dict[str, Original], sums: dict[str, str]) -> bool:
    if reading is None:
        return False
    expected = {rows[path].sha256} if path in rows else set()
    return (expected | ({sums[path]} if path in sums else set())) <= {reading.sha256}


def _record_new(books: Catalog, session: Session, files: list[SavedFile], sums: dict[str, str]) -> None:
    """Record files without a row, unverified. One that is not what SHA256SUMS says came in, but is not saved."""
    row = books.session(session.session_id)
    if not files or row is None:
        return
    recorded = [_as_it_was(file, sums.get(file.original.path, file.original.sha256)) for file in files]
    books.record_saved(session.session_id, row.card_id, recorded)
    for before, now in zip(files, recorded, strict=True):
        if now is not before:
            _doubt(books, session, now.original)
    if row.state is not SessionState.OPEN:  # what is new is not shared yet
        books.set_state(session.session_id, SessionState.INGESTED)


def _as_it_was(file: SavedFile, sha256: str) -> SavedFile:
    return file if sha256 == file.original.sha256 else replace(file, original=replace(file.original, sha256=sha256))


def _doubt(books: Catalog, session: Session, original: Original) -> None:
    """Keep the row of what came in, but not that its copy is safe; no picture is made of it any more."""
    if books.saved_copy(original.sha256) == (session.session_id, original.path):
        books.forget_copy(original.sha256)
    if original.render is RenderState.PENDING:
        books.set_render(session.session_id, original.path, RenderState.FAILED)
