"""Verify originals: read them again from the disk, and compare them with the catalog and SHA256SUMS.

A damaged copy no longer counts as saved, so that its card is saved again and not reported as safe to format.
"""

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ghostroll.base import durable
from ghostroll.base.errors import FileFailed
from ghostroll.base.locks import is_busy
from ghostroll.base.log import logger, printable
from ghostroll.base.session_paths import Session
from ghostroll.catalog import Catalog, manifests
from ghostroll.catalog.models import Original, SessionRow
from ghostroll.recovery.disk_reader import DiskReader
from ghostroll.recovery.orphans import find_orphans, has_other_copy


@dataclass
class VerifyResult:
    """The state of one session's originals; the lists hold printable paths below `originals/`.

    `disagreeing` match the catalog but not SHA256SUMS; `replaced` are damaged or missing, but another session has an
    intact copy; `from_disk` is False on a memory filesystem, where reading proves nothing.
    """

    session_id: str
    state: str
    deleted: bool = False
    from_disk: bool = True
    checked: int = 0
    ok: int = 0
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    disagreeing: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        """Whether no file is wrong; a session that its owner deleted is fine."""
        return not (self.missing or self.damaged or self.unreadable or self.disagreeing)


def bytes_to_read(catalog: Catalog, sessions: list[Session]) -> int:
    """Return the sum of the sizes of the sessions' originals."""
    return sum(
        original.size_bytes
        for session in sessions
        if session.directory.is_dir()
        for original in catalog.originals(session.session_id)
    )


def verify_session(catalog: Catalog, session: Session, row: SessionRow, reader: DiskReader) -> VerifyResult:
    """Read a session's originals; damaged copies no longer count as saved. Raises Interrupted, OSError."""
    result = VerifyResult(row.session_id, row.state)
    if not session.directory.is_dir():
        result.deleted = True
        return result
    result.from_disk = not durable.is_memory_filesystem(session.directory)
    busy = is_busy(session)
    on_disk = find_orphans(session, ())  # before the rows are read: a file exists before its row
    originals = catalog.originals(session.session_id)
    check = _Verifier(catalog, session, manifests.read_checksums(session), result)
    for original in originals:
        check.compare(original, reader)
    if not busy:  # a run in progress has files without rows
        known = {original.path for original in originals}
        result.unrecorded += [printable(file.path) for file in on_disk if file.path not in known]
    return result


@dataclass(frozen=True)
class _Verifier:
    """Compares one session's originals with its records, and collects the `result`."""

    catalog: Catalog
    session: Session
    sums: Mapping[str, str]
    result: VerifyResult

    def compare(self, original: Original, reader: DiskReader) -> None:
        """Read one original and add it to the result."""
        try:
            sha256 = reader.read(self.session.originals / original.path).sha256
        except (FileNotFoundError, NotADirectoryError):
            self._note(self.result.missing, original, "is missing")
        except FileFailed as error:
            self._note_damaged(original, f"is damaged: {error}")
        except OSError as error:
            self._note_read_error(original, error)
        else:
            self.result.checked += 1
            self._compare_hash(original, sha256)

    def _note_read_error(self, original: Original, error: OSError) -> None:
        if error.errno in (errno.EIO, errno.ELOOP):  # a read error of the disk, or a link
            self._note_damaged(original, f"is damaged: {error.strerror}")
        else:
            self._note(self.result.unreadable, original, f"cannot be read: {error.strerror}")

    def _compare_hash(self, original: Original, sha256: str) -> None:
        listed = self.sums.get(original.path)
        if sha256 != original.sha256:
            also = ", but it matches SHA256SUMS" if sha256 == listed else ""
            self._note_damaged(original, f"is damaged: it differs from the catalog{also}")
        elif listed not in (None, sha256):
            self._note(self.result.disagreeing, original, "matches the catalog, but not SHA256SUMS")
        else:
            self.result.ok += 1

    def _note_damaged(self, original: Original, problem: str) -> None:
        self._note(self.result.damaged, original, problem)
        if self.catalog.saved_copy(original.sha256) == (self.session.session_id, original.path):
            self.catalog.forget_copy(original.sha256)

    def _note(self, paths: list[str], original: Original, problem: str) -> None:
        """Add a file to `paths`, or to `replaced` if another session has its content."""
        replaced = paths is not self.result.disagreeing and has_other_copy(self.catalog, self.session, original)
        path = printable(original.path)
        (self.result.replaced if replaced else paths).append(path)
        if not replaced:
            logger.warning("%s of %s %s.", path, self.session.session_id, problem)


def summary_lines(result: VerifyResult) -> Iterator[str]:
    """Yield the lines that report one session to the owner."""
    name = result.session_id
    if result.deleted:
        yield f"{name}: deleted from the disk; nothing to read."
        return
    counts = {
        "damaged": result.damaged,
        "missing": result.missing,
        "unreadable": result.unreadable,
        "not as SHA256SUMS says": result.disagreeing,
        "damaged or missing, but intact in another session": result.replaced,
    }
    wrong = [f"{len(paths)} {what}" for what, paths in counts.items() if paths]
    files = f"{result.checked:,} {'file' if result.checked == 1 else 'files'} read"
    yield f"{name}: {files}, {', '.join(wrong) if wrong else 'all as saved'}."
    for what, paths in {**counts, "in no record": result.unrecorded}.items():
        yield from (f"  {what}: {path}" for path in paths)
    if not result.from_disk:
        yield "  These files are in memory, not on a disk: reading them proves little."


def advice(results: list[VerifyResult]) -> Iterator[str]:
    """Yield what the owner can do about damaged and missing files."""
    if any(result.damaged for result in results):
        yield (
            "Damaged copies no longer count as saved. Plug their cards in again before you format them:"
            " the files will be saved again."
        )
    if any(result.missing for result in results):
        yield "To save missing files again: ghostroll run --volume DIR --rehash"
