"""The reader's slot that a card is in, where the appliance's units mounted it: it goes back to its owner from there."""

from dataclasses import dataclass

from ghostroll.requests import Requests


@dataclass(frozen=True, slots=True)
class Slot:
    """One card in one slot. `medium` is the number by which the kernel tells it from the next one."""

    requests: Requests
    device: str
    medium: str

    def give_back(self) -> None:
        """Have the card unmounted: it was read, or will not be. Raises OSError."""
        self.requests.release(self.device, self.medium)

    @property
    def is_wanted_back(self) -> bool:
        """Whether the owner asked for the card while it is being read."""
        return self.requests.is_eject_asked(self.device)

    @property
    def is_ejected(self) -> bool:
        """Whether the card is free at its owner's wish."""
        return self.requests.is_ejected(self.device)
