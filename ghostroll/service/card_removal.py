"""Cards whose run has ended, on an appliance: ejected by their owner, or pulled. The status says so.

The run is over and tells nothing more; the steady loop looks at the readers in its place.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostroll.appliance.card_presence import _BLOCK_DEVICES
from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.status.model import CardState, CardStatus
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_records import Board

# What a card that is still in its reader is in.
_PRESENT = (CardState.SAFE, CardState.REJECTED)


@dataclass
class CardRemoval:
    """Follows the cards of other processes' runs. `record` is the steady loop's own."""

    status_path: Path
    record: StatusRecord
    block_devices: Path = _BLOCK_DEVICES
    _media: dict[str, str | None] = field(default_factory=dict)  # by run: which card it was in its device

    def look(self) -> None:
        """Bring the records of runs that have ended up to date, and say what was ejected while nothing ran."""
        requests = HelperRequests(self.status_path.parent, self.block_devices)
        if not requests.is_available:
            return
        board = Board(self.status_path)
        records = board.records()
        known = requests.devices()  # not those that the units did not mount
        for run_id, told in records.items():
            device = str(told["card"].get("device")).removeprefix("/dev/")
            if device not in known:
                continue
            # Its upload goes on, and the next card may be in its reader by then.
            self._media.setdefault(run_id, requests.last_seen_diskseq(device))
            if told["card"].get("state") in _PRESENT and board.is_over(run_id):
                self._follow(requests, run_id, told, device)
        self._media = {run_id: medium for run_id, medium in self._media.items() if run_id in records}
        self._tell_of_idle_readers(requests)

    def _follow(self, requests: HelperRequests, run_id: str, told: dict[str, Any], device: str) -> None:
        is_same = self._media[run_id] == requests.last_seen_diskseq(device)
        if is_same and requests.is_ejected(device):
            self.record.amend(run_id, _put(CardState.EJECTED))
        elif not is_same or not requests.is_present(device):
            # A card that is not to be taken is no problem any more.
            is_over = told["card"]["state"] == CardState.REJECTED
            self.record.amend(run_id, (lambda _: None) if is_over else _put(CardState.REMOVED))

    def _tell_of_idle_readers(self, requests: HelperRequests) -> None:
        """A card may be ejected that no record on the board is about."""
        ejected = any(map(requests.is_ejected, requests.devices()))
        if ejected != (self.record.status.card.state is CardState.EJECTED):
            self.record.change(card=CardStatus(state=CardState.EJECTED) if ejected else CardStatus())


def _put(state: CardState) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda told: told | {"card": told["card"] | {"state": state}}
