"""Tell whether a card that the units mounted is in its reader, ejected or gone."""

from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.status.compose import Presence


def presence_of(requests: HelperRequests, device: str, diskseq: str | None) -> Presence:
    """Return the presence of the card that had `diskseq` in `device`, such as sda1, when its run began."""
    if diskseq is None or device not in requests.devices():
        return Presence.UNKNOWN
    is_same = diskseq == requests.last_seen_diskseq(device)
    if is_same and requests.is_ejected(device):
        return Presence.EJECTED
    return Presence.PRESENT if is_same and requests.is_present(device) else Presence.GONE
