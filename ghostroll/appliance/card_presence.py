"""Where a card is that the appliance's units mounted: in its reader, ejected, or gone."""

from ghostroll.appliance.helper_requests import HelperRequests
from ghostroll.status.compose import Presence


def presence_of(requests: HelperRequests, device: str, medium: str | None) -> Presence:
    """Return where the card is that had the `diskseq` `medium` in `device`, such as sda1, when its run began."""
    if medium is None or device not in requests.devices():
        return Presence.UNKNOWN
    is_same = medium == requests.seen_medium(device)
    if is_same and requests.is_ejected(device):
        return Presence.EJECTED
    return Presence.PRESENT if is_same and requests.is_present(device) else Presence.GONE
