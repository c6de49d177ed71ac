"""The card in the appliance's reader that an earlier session came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.status.model import CardStatus
from ghostroll.status.run_records import Board

_BLOCK_DEVICES = Path("/sys/class/block")


@dataclass(frozen=True)
class Staying:
    """The card that an earlier session came from: it may be in the appliance's reader still, safe to remove.

    Nobody follows the card of a run that is at work. So this is looked at before and after, and said in the end.
    """

    board: Board
    requests: HelperRequests
    card: CardStatus | None
    medium: str | None

    @classmethod
    def of(cls, status_path: Path, session_id: str, block_devices: Path = _BLOCK_DEVICES) -> Self:
        """Look before a session is worked on."""
        board, requests = Board(status_path), HelperRequests(status_path.parent, block_devices)
        card = board.card_of(session_id) if requests.are_available else None
        device = _known_device(card, requests)
        return cls(board, requests, card if device else None, requests.seen_medium(device) if device else None)

    def still(self) -> CardStatus | None:
        """Return the card if it was in the whole time, and nobody else has anything to say of its reader."""
        device = _known_device(self.card, self.requests)
        if device is None or self.board.speaks_of(f"/dev/{device}") or self.requests.is_ejected(device):
            return None
        is_same = self.requests.seen_medium(device) == self.medium and self.requests.is_present(device)
        return self.card if is_same else None


def _known_device(card: CardStatus | None, requests: HelperRequests) -> str | None:
    device = str(card.device).removeprefix("/dev/") if card else ""
    return device if device in requests.devices() else None
