"""What lies beside the photos of a session and tells all that the catalog knows of them: SHA256SUMS, and its rows."""

import os
import re

from ghostroll.base import durable
from ghostroll.base.session_paths import Session
from ghostroll.catalog import Catalog, session_backup
from ghostroll.catalog.models import SessionState


def write_manifests(catalog: Catalog, session: Session, *, state: SessionState | None = None) -> None:
    """Write SHA256SUMS and the sidecar as things stand, or will once the session is in `state`; raises OSError.

    Cut off in between, the sidecar is older than the sums, and both say nothing that is not so.
    """
    originals = catalog.originals(session.session_id)
    if originals:
        write_checksums(session, [(original.sha256, original.path) for original in originals])
    session_backup.write(catalog, session, state=state)


def refresh_manifests(catalog: Catalog, session: Session) -> None:
    """Close the books of a session whose run ended before it came to that; raises OSError."""
    recorded = {original.path: original.sha256 for original in catalog.originals(session.session_id)}
    if recorded != read_checksums(session):
        write_manifests(catalog, session)


# A line of sha256sum(1): a backslash before it says that there are some in the name.
_CHECKSUM = re.compile(rb"(\\?)([0-9a-f]{64}) [ *]originals/(.+)", re.DOTALL)


_UNESCAPED = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}


def write_checksums(session: Session, sums: list[tuple[str, str]]) -> None:
    """Write SHA256SUMS from (SHA-256, path below `originals/`), in the format of sha256sum(1)."""
    lines = []
    for sha256, path in sums:
        raw = os.fsencode(f"originals/{path}")
        escaped = raw.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
        mark = b"\\" if escaped != raw else b""
        lines.append(mark + sha256.encode() + b"  " + escaped + b"\n")
    durable.write_atomically(session.checksums, b"".join(lines))


def read_checksums(session: Session) -> dict[str, str]:
    """Return SHA-256 by path below `originals/` from SHA256SUMS; lines that say nothing of an original are left out.

    An empty answer where there is no such file. Raises OSError.
    """
    try:
        with session.checksums.open("rb") as file:
            return dict(line for raw in file if (line := _checksum(raw.rstrip(b"\n"))))
    except FileNotFoundError:
        return {}


def _checksum(line: bytes) -> tuple[str, str] | None:
    """Return (path, SHA-256) of one line."""
    match = _CHECKSUM.fullmatch(line)
    if not match:
        return None
    mark, sha256, path = match.groups()
    if mark:
        path = re.sub(rb"\\([\\nr])", lambda escape: _UNESCAPED[escape[1]], path)
    return os.fsdecode(path), sha256.decode()
