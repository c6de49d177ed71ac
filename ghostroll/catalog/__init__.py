"""The catalog: what was ingested, what was rendered and uploaded, how far each session is (SQLite).

It is also the queue between the steps: a step that finishes a file records it here, the next asks for what is
pending. So memory does not grow with the card, and a run that was cut short goes on from what stands here.

A row that says a file is safe is written only after the file is. Each method is one transaction.
"""

from ghostroll.catalog.cards import CardQueries
from ghostroll.catalog.database import CatalogDamaged
from ghostroll.catalog.derivatives import DerivativeQueries
from ghostroll.catalog.originals import OriginalQueries
from ghostroll.catalog.sessions import SessionQueries

__all__ = ["Catalog", "CatalogDamaged"]


class Catalog(SessionQueries, OriginalQueries, CardQueries, DerivativeQueries):
    """The whole catalog: one file, its questions by topic."""
