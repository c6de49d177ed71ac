"""Whether the link that the status shows still holds: it ends, or the machine's address changes."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from ghostroll.base.config import Settings
from ghostroll.catalog import Catalog
from ghostroll.shortlink import registry
from ghostroll.status import run_records
from ghostroll.status.model import State

# How often a short link that did not work is tried again.
_RETRY_SECONDS = 600.0
_SHOWN_LONG = (State.IDLE, State.DONE)


@dataclass
class Shown:
    """Looks at the status now and then."""

    settings: Settings
    catalog: Catalog
    _failed: str = ""
    _retry_at: float = 0.0

    def is_outdated(self) -> bool:
        """Tell whether the status should be written anew. Short links lead to what is shared now, and nothing else."""
        codes = {} if registry.obstacle(self.settings) else registry.publish(self.settings, self.catalog)
        now = run_records.current(self.settings.status_path)
        if not now.get("url") or now.get("state") not in _SHOWN_LONG:
            return False
        share = next((row for row in self.catalog.shares_valid_at(datetime.now(UTC)) if row.url == now["url"]), None)
        if share is None:
            return True  # it has ended, or was signed anew
        wanted = registry.expected(self.settings, codes, share)
        if wanted == (was := now.get("short_url")):
            return False
        return was is not None or (wanted is not None and self._works(wanted, share.url))

    def _works(self, short_url: str, url: str | None) -> bool:
        """Try a short link that is not shown yet; one that failed not too often."""
        moment = time.monotonic()
        if short_url == self._failed and moment < self._retry_at:
            return False
        if not registry.failing(short_url, url):
            return True
        self._failed, self._retry_at = short_url, moment + _RETRY_SECONDS
        return False
