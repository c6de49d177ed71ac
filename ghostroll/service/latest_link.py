"""The link that stays in view while nothing else goes on: the last share's, on the steady loop's record.

Others make links, links end, and a short one changes with the address of this machine.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from ghostroll.base.config import Settings
from ghostroll.base.errors import on_disk
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import SessionRow
from ghostroll.shortlink import registry
from ghostroll.status.model import CardState, State
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_records import Board

# After this what failed is tried again.
_RETRY_SECONDS = 60.0


@dataclass
class LinkInView:
    """Keeps it up to date. `record` is the steady loop's own."""

    settings: Settings
    catalog: Catalog
    record: StatusRecord
    _shown: SessionRow | None = None
    _is_outdated: bool = False
    _retry_at: float = 0.0

    def is_due(self) -> bool:
        """Tell whether there is something new to show, and the last time is not too short ago to fail again."""
        is_new = self.catalog.latest_share() != self._shown
        return (is_new or self._is_outdated) and time.monotonic() >= self._retry_at

    def refresh(self) -> None:
        """Have it shown anew, whatever is shown now."""
        self._is_outdated = True

    def show(self) -> None:
        """Show the last share; on the record of a card that is still there, its own as it is now.

        Short links are tried first, over the network.
        """
        self._is_outdated = False
        try:
            with on_disk():
                self._shown = last = self.catalog.latest_share()
                self.record.change(**self._link(last))
                self._renew_links_of_cards()
        except BaseException:
            self._is_outdated = True
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            raise

    def _renew_links_of_cards(self) -> None:
        for run_id, told in Board(self.settings.status_path).records().items():
            if told["state"] == State.DONE and told["card"]["state"] != CardState.NONE and told["url"]:
                link = self._link(self._share_at(told["url"]))
                if link != {name: told[name] for name in link}:
                    self.record.amend(run_id, partial(_put, link))

    def _share_at(self, url: str) -> SessionRow | None:
        """Return the share that a link leads to, by its key, unless it has ended.

        A record's session would not do: a card with nothing new is about more than one.
        """
        valid = self.catalog.shares_valid_at(datetime.now(UTC))
        return next((row for row in valid if f"/{quote(row.session_id)}/index.html" in url), None)

    def _link(self, share: SessionRow | None) -> dict[str, Any]:
        return {
            "url": share.url if share else None,
            "short_url": registry.of(self.settings, self.catalog, share).url,
            "expires_at": share.expires_utc if share else None,
        }


def _put(link: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    return told | link
