"""Look up what the status says of the world: valid links, shared sessions, cards in their readers."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ghostroll.appliance.card_presence import presence_of
from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.base.config import Settings
from ghostroll.base.errors import GhostrollError
from ghostroll.card.volume import diskseq_of
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import SessionState
from ghostroll.shortlink import registry
from ghostroll.status.compose import Facts, Presence, Share
from ghostroll.status.run_record import CardPlace, RunRecord

_BLOCK_DEVICES = Path("/sys/class/block")
_FINISHED = (SessionState.SHARED, SessionState.ABANDONED)

Records = Mapping[str, RunRecord]


@dataclass(frozen=True)
class FactFinder:
    """Looks up facts for the status. Without a catalog, what the runs have seen themselves must do."""

    settings: Settings
    catalog: Catalog | None
    block_devices: Path = _BLOCK_DEVICES

    def __call__(self, records: Records) -> Facts:
        """Return what is true now of the sessions and cards of these runs."""
        requests = HelperRequests(self.settings.status_path.parent, self.block_devices)
        devices = requests.devices() if requests.is_available else []
        facts = Facts(
            datetime.now(UTC),
            cards={run_id: _presence(requests, devices, record) for run_id, record in records.items()},
            has_ejected_card=any(map(requests.is_ejected, devices)),
        )
        if self.catalog is None:
            return facts
        try:
            return Facts(
                facts.now,
                shares=self._shares(self.catalog, facts.now, records),
                shared_sessions=_shared_sessions(self.catalog, records),
                cards=facts.cards,
                has_ejected_card=facts.has_ejected_card,
            )
        except GhostrollError:  # such as a damaged catalog; whoever works with it says so
            return facts

    def _shares(self, catalog: Catalog, now: datetime, records: Records) -> tuple[Share, ...]:
        short_urls = self._short_urls() if any(record.short_url for record in records.values()) else {}
        return tuple(
            Share(row.session_id, row.url, row.expires_utc or "", short_urls.get(row.session_id))
            for row in catalog.shares_valid_at(now)
            if row.url
        )

    def _short_urls(self) -> dict[str, str]:
        """Return by session what its short link must be now, with the address that this machine has now."""
        with suppress(OSError, GhostrollError):
            base = None if registry.obstacle(self.settings) else registry.address(self.settings)
            if base:
                return {session_id: f"{base}/{code}" for session_id, code in registry.codes(self.settings).items()}
        return {}


def _shared_sessions(catalog: Catalog, records: Records) -> frozenset[str]:
    ids = {record.session_id for record in records.values() if record.session_id}
    rows = filter(None, map(catalog.session, ids))
    return frozenset(row.session_id for row in rows if row.state in _FINISHED)


def _presence(requests: HelperRequests, devices: list[str], record: RunRecord) -> Presence:
    device = (record.card.device or "").removeprefix("/dev/")
    if record.diskseq and device in devices:
        return presence_of(requests, device, record.diskseq)
    return _presence_at(record.place) if record.place else Presence.UNKNOWN


def _presence_at(place: CardPlace) -> Presence:
    """Return where a card is that no unit mounted, from what is at its mount point now."""
    try:
        facts = os.stat(place.root)  # noqa: PTH116 - the text of a record
    except PermissionError:
        return Presence.UNKNOWN
    except (OSError, ValueError):
        return Presence.GONE
    is_same = (facts.st_dev, facts.st_ino) == (place.device_number, place.root_inode)
    return Presence.PRESENT if is_same and diskseq_of(facts.st_dev) == place.diskseq else Presence.GONE
