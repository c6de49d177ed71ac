"""Closing the books of a session: what lies beside its photos tells all that the catalog knows of them."""

from ghostroll import publish, sidecar
from ghostroll.catalog import Catalog
from ghostroll.rows import SessionState
from ghostroll.session import Session


def close_books(catalog: Catalog, session: Session, *, state: SessionState | None = None) -> None:
    """Write SHA256SUMS and the sidecar as things stand, or will once the session is in `state`; raises OSError.

    Cut off in between, the sidecar is older than the sums, and both say nothing that is not so.
    """
    originals = catalog.originals(session.session_id)
    if originals:
        publish.write_checksums(session, [(original.sha256, original.path) for original in originals])
    sidecar.write(catalog, session, state=state)


def bring_books_up_to_date(catalog: Catalog, session: Session) -> None:
    """Close the books of a session whose run ended before it came to that; raises OSError."""
    recorded = {original.path: original.sha256 for original in catalog.originals(session.session_id)}
    if recorded != publish.read_checksums(session):
        close_books(catalog, session)
