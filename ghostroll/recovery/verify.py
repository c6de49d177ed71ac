"""Reading the originals again, long after they were saved: are they still what came off the card?

Each is compared with the catalog and with SHA256SUMS. A copy that is damaged does not count as saved any more, so
that its card, when it comes back, is saved anew and not called safe to format.
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
from ghostroll.recovery.disk_reader import Reader
from ghostroll.recovery.orphans import find_orphans


@dataclass
class Findings:
    """What became of one session's originals; the lists hold paths below `originals/`, fit to be shown.

    `disagreeing` are as the catalog says, and not as SHA256SUMS says; `replaced` are damaged or gone, and whole in
    another session; `from_disk` is False where the files lie in memory, so that reading them proves nothing.
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
        """Whether nothing is wrong; a session that its owner deleted is fine."""
        return not (self.missing or self.damaged or self.unreadable or self.disagreeing)


def bytes_to_read(catalog: Catalog, sessions: list[Session]) -> int:
    """Return how much there is to read."""
    return sum(
        original.size_bytes
        for session in sessions
        if session.directory.is_dir()
        for original in catalog.originals(session.session_id)
    )


def verified_session(catalog: Catalog, session: Session, row: SessionRow, reader: Reader) -> Findings:
    """Read a session's originals from the disk; what is damaged is forgotten as a copy. Raises Interrupted, OSError."""
    findings = Findings(row.session_id, row.state)
    if not session.directory.is_dir():
        findings.deleted = True
        return findings
    findings.from_disk = not durable.is_memory_filesystem(session.directory)
    busy = is_busy(session)
    on_disk = find_orphans(session, ())  # before the rows are read: a file is there before its row is
    originals = catalog.originals(session.session_id)
    check = _Check(catalog, session, manifests.read_checksums(session), findings)
    for original in originals:
        check.compare(original, reader)
    if not busy:  # whoever works on it has files without rows just now
        known = {original.path for original in originals}
        findings.unrecorded += [printable(file.path) for file in on_disk if file.path not in known]
    return findings


@dataclass(frozen=True)
class _Check:
    """One session's originals against its records; what is found goes into `findings`."""

    catalog: Catalog
    session: Session
    sums: Mapping[str, str]
    findings: Findings

    def compare(self, original: Original, reader: Reader) -> None:
        """Read one original and say what became of it."""
        try:
            sha256 = reader.read(self.session.originals / original.path).sha256
        except (FileNotFoundError, NotADirectoryError):
            self._note(self.findings.missing, original, "is no longer there")
        except FileFailed as error:
            self._damaged(original, f"is damaged: {error}")
        except OSError as error:
            self._not_read(original, error)
        else:
            self.findings.checked += 1
            self._judge(original, sha256)

    def _not_read(self, original: Original, error: OSError) -> None:
        if error.errno in (errno.EIO, errno.ELOOP):  # the disk has lost it, or it is a link
            self._damaged(original, f"is damaged: {error.strerror}")
        else:
            self._note(self.findings.unreadable, original, f"cannot be read: {error.strerror}")

    def _judge(self, original: Original, sha256: str) -> None:
        listed = self.sums.get(original.path)
        if sha256 != original.sha256:
            also = "; SHA256SUMS, though, says that it is right" if sha256 == listed else ""
            self._damaged(original, f"is damaged: it is not what the catalog says{also}")
        elif listed not in (None, sha256):
            self._note(self.findings.disagreeing, original, "is as the catalog says, but not as SHA256SUMS says")
        else:
            self.findings.ok += 1

    def _damaged(self, original: Original, words: str) -> None:
        self._note(self.findings.damaged, original, words)
        if self.catalog.saved_copy(original.sha256) == (self.session.session_id, original.path):
            self.catalog.forget_copy(original.sha256)

    def _note(self, among: list[str], original: Original, words: str) -> None:
        """Note what is wrong with a file, unless another session has its content."""
        replaced = among is not self.findings.disagreeing and self._is_whole_elsewhere(original)
        path = printable(original.path)
        (self.findings.replaced if replaced else among).append(path)
        if not replaced:
            logger.warning("%s of %s %s.", path, self.session.session_id, words)

    def _is_whole_elsewhere(self, original: Original) -> bool:
        copy = self.catalog.saved_copy(original.sha256)
        if copy is None or copy == (self.session.session_id, original.path):
            return False
        other = self.session.sibling(copy[0]).originals / copy[1]
        try:
            return other.stat().st_size == original.size_bytes
        except OSError:
            return False


def in_words(findings: Findings) -> Iterator[str]:
    """Yield what an owner reads of one session."""
    name = findings.session_id
    if findings.deleted:
        yield f"{name}: deleted from the disk; nothing to read."
        return
    counts = {
        "damaged": findings.damaged,
        "missing": findings.missing,
        "unreadable": findings.unreadable,
        "not as SHA256SUMS says": findings.disagreeing,
        "damaged or gone, but whole in another session": findings.replaced,
    }
    wrong = [f"{len(paths)} {what}" for what, paths in counts.items() if paths]
    files = f"{findings.checked:,} {'file' if findings.checked == 1 else 'files'} read"
    yield f"{name}: {files}, {', '.join(wrong) if wrong else 'all as they were saved'}."
    for what, paths in {**counts, "in no record": findings.unrecorded}.items():
        yield from (f"  {what}: {path}" for path in paths)
    if not findings.from_disk:
        yield "  They lie in memory, not on a disk: that they can be read says little."


def advice(all_findings: list[Findings]) -> Iterator[str]:
    """Yield what to do about it."""
    if any(findings.damaged for findings in all_findings):
        yield (
            "Damaged copies no longer count as saved. Plug their cards in again before they are formatted:"
            " the files will be saved anew."
        )
    if any(findings.missing for findings in all_findings):
        yield "To save missing files again: ghostroll run --volume DIR --rehash"
