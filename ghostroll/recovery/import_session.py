"""Import a session on the disk into a catalog that does not know it.

The session's backup holds what the lost catalog knew. Every original is read again from the disk and compared with the
backup and with SHA256SUMS; one that differs is recorded, but does not count as saved.
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
from ghostroll.recovery.disk_reader import DiskReader, ReadResult
from ghostroll.recovery.orphans import find_orphans, saved_files
from ghostroll.recovery.unknown_sessions import modified_at


@dataclass
class ImportedSession:
    """The result of importing a session. `gone` counts recorded files that are missing on the disk.

    `damaged` lists printable paths below `originals/` of files whose content differs from the records.
    """

    session_id: str
    had_sidecar: bool
    files: int = 0
    unverified: int = 0
    gone: int = 0
    damaged: list[str] = field(default_factory=list)


def import_session(catalog: Catalog, session: Session, reader: DiskReader) -> ImportedSession | None:
    """Import a session; return None if it is known by now.

    Raises OSError, Interrupted; ConfigurationError if a newer version wrote its backup.
    """
    backup, had_sidecar = _open_backup(session)
    with backup:
        found = ImportedSession(session.session_id, had_sidecar)
        _rerender_foreign_keys(backup, session)
        _compare(backup, session, reader, found)
        if durable.is_memory_filesystem(session.directory):
            backup.doubt_copies(session.session_id)
        return found if catalog.take_in(backup, session.session_id, session.key_prefix) else None


def _open_backup(session: Session) -> tuple[Catalog, bool]:
    """Return (the session's backup, whether it is usable); without one, a new catalog with just the session's row."""
    backup = None
    try:
        backup = session_backup.read(session)
    except session_backup.SidecarNewer:
        raise ConfigurationError(
            f"{session.session_id} was written by a newer version of ghostroll.", hint="Update this one first."
        ) from None
    except session_backup.SidecarDamaged as error:
        logger.warning("The backup of %s is damaged (%s): only its files count.", session.session_id, error)
    if backup:
        return backup, True
    backup = session_backup.empty()
    created_utc = rfc3339(modified_at(session.directory))
    backup.create_session(session.session_id, card_id="", card_label="", created_utc=created_utc)
    backup.set_state(session.session_id, SessionState.INGESTED)
    return backup, False


def _rerender_foreign_keys(backup: Catalog, session: Session) -> None:
    """Render originals again whose derivatives have unexpected keys, as after a change of `s3_prefix_root`."""
    keys = {"share": session.share_key, "thumb": session.thumbnail_key}
    with backup.snapshot() as db:
        made = [
            [os.fsdecode(text) for text in row]
            for row in db.execute("SELECT path, role, name, s3_key FROM derivatives")
        ]
    foreign = {path for path, role, name, s3_key in made if s3_key != keys[role](name)}
    if foreign:
        backup.render_again(session.session_id, foreign)
        backup.set_state(session.session_id, SessionState.INGESTED)


def _compare(backup: Catalog, session: Session, reader: DiskReader, found: ImportedSession) -> None:
    """Update the backup to the disk: mark originals that differ as not saved, add rows for files without one."""
    rows = {original.path: original for original in backup.originals(session.session_id)}
    sums = manifests.read_checksums(session)
    files = {file.path: file for file in find_orphans(session, ())}
    # A link in the place of an original counts as damaged, not as missing.
    present = files.keys() | {path for path in rows if os.path.lexists(session.originals / path)}
    readings = {path: _reading(session, path, reader) for path in sorted(present, key=os.fsencode)}
    damaged = {path for path, reading in readings.items() if not _is_as_recorded(path, reading, rows, sums)}
    found.files, found.gone = len(files), len((rows.keys() | sums.keys()) - present)
    found.damaged = [printable(path) for path in readings if path in damaged]
    for path in damaged:
        logger.warning("%s of %s is damaged: it differs from what was recorded.", printable(path), session.session_id)
        if path in rows:
            _mark_not_saved(backup, session, rows[path])
    new = {path: reading for path, reading in readings.items() if path not in rows and reading}
    found.unverified = len(new.keys() - damaged)
    _record_new(backup, session, saved_files([files[path] for path in new], list(rows.values()), new), sums)


def _reading(session: Session, path: str, reader: DiskReader) -> ReadResult | None:
    """Read an original; return None if the disk cannot read it or it is not a regular file. Raises OSError."""
    try:
        return reader.read(session.originals / path)
    except FileFailed:
        return None
    except OSError as error:
        if error.errno in (errno.EIO, errno.ELOOP):
            return None
        raise


def _is_as_recorded(path: str, reading: ReadResult | None, rows: dict[str, Original], sums: dict[str, str]) -> bool:
    if reading is None:
        return False
    expected = {rows[path].sha256} if path in rows else set()
    return (expected | ({sums[path]} if path in sums else set())) <= {reading.sha256}


def _record_new(backup: Catalog, session: Session, files: list[SavedFile], sums: dict[str, str]) -> None:
    """Record files without a row as unverified, and as not saved where they differ from SHA256SUMS."""
    row = backup.session(session.session_id)
    if not files or row is None:
        return
    recorded = [_with_sha256(file, sums.get(file.original.path, file.original.sha256)) for file in files]
    backup.record_saved(session.session_id, row.card_id, recorded)
    for before, now in zip(files, recorded, strict=True):
        if now is not before:
            _mark_not_saved(backup, session, now.original)
    if row.state is not SessionState.OPEN:  # new files are not shared yet
        backup.set_state(session.session_id, SessionState.INGESTED)


def _with_sha256(file: SavedFile, sha256: str) -> SavedFile:
    return file if sha256 == file.original.sha256 else replace(file, original=replace(file.original, sha256=sha256))


def _mark_not_saved(backup: Catalog, session: Session, original: Original) -> None:
    """Keep an original's row, but not its copy as saved, and do not render it."""
    if backup.saved_copy(original.sha256) == (session.session_id, original.path):
        backup.forget_copy(original.sha256)
    if original.render is RenderState.PENDING:
        backup.set_render(session.session_id, original.path, RenderState.FAILED)
