"""A card that the appliance's units mounted: is it ours, is it whole, and back to its owner when it was read."""

from dataclasses import replace

from ghostroll import card, slots
from ghostroll.begin import check_places
from ghostroll.card import Volume
from ghostroll.errors import CardFailed, CardRejected, VolumeNotFound, on_disk
from ghostroll.log import printable
from ghostroll.pipeline import run_pipeline
from ghostroll.requests import Requests
from ghostroll.run import Run, Summary
from ghostroll.slot import Slot


def run_inserted(run: Run, device: str, *, session_id: str | None = None, rehash: bool = False) -> Summary:
    """Do the whole job for the card in `device`. Raises GhostrollError for what ends it at once."""
    requests = Requests(run.settings.status_path.parent)
    medium = requests.mounted_medium(device) if requests.are_heard else None
    slot = Slot(requests, device, medium) if medium else None
    try:
        volume = _volume(run, requests, device, medium)
        run.slot = slot
        return run_pipeline(run, volume, session_id=session_id, rehash=rehash)
    finally:
        if slot:
            with on_disk():
                slot.give_back()


def _volume(run: Run, requests: Requests, device: str, medium: str | None) -> Volume:
    """Return the card's volume if it is to be taken."""
    damage = requests.damage(device) if requests.are_heard else None
    try:
        volume = replace(card.volume_of_device(device), damage=damage)
    except VolumeNotFound as error:
        if damage is None:
            raise
        raise CardFailed(f"The card cannot be read: {damage}", hint="Try it in the camera; don't format it.") from error
    if medium and volume.presence and volume.presence.diskseq not in ("", medium):
        raise CardFailed("The card was taken out or changed before it was read.")
    wanted = run.settings.sd_label
    if not slots.is_ours(wanted, volume):
        raise CardRejected(
            f"The card's label is {printable(volume.label)}; only {wanted} is taken.",
            hint=f'Name the card {wanted}, or set sd_label = "*" to take any.',
        )
    check_places(run.settings, volume)
    return volume
