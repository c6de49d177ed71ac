"""Track whether the card of an earlier session is still in its reader."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.status.model import CardStatus
from ghostroll.status.run_records import Board

_BLOCK_DEVICES = Path("/sys/class/block")


@dataclass(frozen=True)
class SourceCard:
    """The card that an earlier session came from, if it is still in its reader.

    Nothing follows a card while a run without a card works on its session. So look before the run and after it.
    """

    board: Board
    requests: HelperRequests
    card: CardStatus | None
    diskseq: str | None

    @classmethod
    def observe(cls, status_path: Path, session_id: str, block_devices: Path = _BLOCK_DEVICES) -> Self:
        """Record which card is in the reader. To be called before the run."""
        board, requests = Board(status_path), HelperRequests(status_path.parent, block_devices)
        card = board.card_of(session_id) if requests.is_available else None
        device = _known_device(card, requests)
        return cls(board, requests, card if device else None, requests.last_seen_diskseq(device) if device else None)

    def if_unchanged(self) -> CardStatus | None:
        """Return the card if it never left its reader, was not ejected, and no other run reports on that reader."""
        device = _known_device(self.card, self.requests)
        if device is None or self.board.speaks_of(f"/dev/{device}") or self.requests.is_ejected(device):
            return None
        is_same = self.requests.last_seen_diskseq(device) == self.diskseq and self.requests.is_present(device)
        return self.card if is_same else None


def _known_device(card: CardStatus | None, requests: HelperRequests) -> str | None:
    device = str(card.device).removeprefix("/dev/") if card else ""
    return device if device in requests.devices() else None
