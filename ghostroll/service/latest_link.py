"""Try the short link of the share that the status shows, which changes with this machine's address."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ghostroll.base.config import Settings
from ghostroll.base.errors import translate_disk_errors
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import SessionRow
from ghostroll.shortlink import registry
from ghostroll.status.recorder import StatusRecord

# A short link that did not work, or could not be tried, is tried again after this.
_RETRY_SECONDS = 60.0


@dataclass
class LatestLink:
    """Keeps the steady loop's own `record` at what was seen of the link that is shown."""

    settings: Settings
    catalog: Catalog
    record: StatusRecord
    _tried: tuple[str, str | None] | None = None  # link and what its short link should be
    _retry_at: float = 0.0

    def is_due(self, status: Mapping[str, Any]) -> bool:
        """Tell whether the link in `status`, or this machine's address, is another one than at the last look."""
        share = self._share_of(status)
        if share is None:
            return False
        wanted = (share.url, registry.published_url(self.settings, share))
        has_short_url = status["short_url"] == wanted[1]
        return not has_short_url and (wanted != self._tried or time.monotonic() >= self._retry_at)

    def look(self, status: Mapping[str, Any]) -> None:
        """Try the short link of the link in `status` over the network, and record what came of it."""
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        share = self._share_of(status)
        if share is None:
            return
        with translate_disk_errors():
            short = registry.of(self.settings, self.catalog, share)
        self._tried = (share.url or "", registry.published_url(self.settings, share))
        self.record.change(url=share.url, short_url=short.url, expires_at=share.expires_utc)

    def _share_of(self, status: Mapping[str, Any]) -> SessionRow | None:
        valid = self.catalog.shares_valid_at(datetime.now(UTC))
        return next((row for row in valid if row.url == status["url"]), None)
