"""A card that the appliance's units mounted: is it ours, is it whole, and back to its owner when it was read."""

import os
from dataclasses import replace
from pathlib import Path

from ghostroll.appliance.helper_requests import HelperRequests, MountedCard
from ghostroll.base.errors import CardFailed, CardRejected, CardUnreadable, VolumeNotFound, translate_disk_errors
from ghostroll.base.log import printable
from ghostroll.card import discovery
from ghostroll.card import volume as card
from ghostroll.card.volume import Volume
from ghostroll.pipeline.pipeline import run_pipeline
from ghostroll.pipeline.run import Run, Summary
from ghostroll.pipeline.select_session import check_places

_TAKEN_OUT = "The card was taken out or changed before it was read."


def run_inserted(run: Run, device: str, *, session_id: str | None = None, rehash: bool = False) -> Summary:
    """Do the whole job for the card in `device`. Raises GhostrollError for what ends it at once."""
    requests = HelperRequests(run.settings.status_path.parent)
    diskseq = requests.mounted_diskseq(device) if requests.is_available else None
    slot = MountedCard(requests, device, diskseq) if diskseq else None
    try:
        volume = _volume(run, requests, device, diskseq)
        run.slot = slot
        return run_pipeline(run, volume, session_id=session_id, rehash=rehash)
    finally:
        if slot:
            with translate_disk_errors():
                slot.release()


def _volume(run: Run, requests: HelperRequests, device: str, diskseq: str | None) -> Volume:
    """Return the card's volume if it is to be taken."""
    damage = requests.filesystem_error(device) if requests.is_available else None
    run.record.change_card(device=device)
    if requests.is_available:  # of a card that was not mounted, what the helpers saw
        run.record.change(diskseq=diskseq or requests.last_seen_diskseq(device))
    try:
        root = card.mount_point(device)
    except VolumeNotFound as error:
        if damage is None:
            raise
        raise CardUnreadable(f"The card cannot be read: {damage}") from error
    label = card.label_of(root)
    run.record.change_card(label=printable(label) or None)
    _check_listing(root)
    try:
        volume = replace(card.find_volume(root), damage=damage)
    except VolumeNotFound as error:
        if damage:
            raise CardUnreadable(f"The card cannot be read: {damage}") from error
        raise CardRejected(
            f"There is no DCIM folder on {_named(label)}: it is not a camera's.",
            hint="Only what is in a camera's folders is taken. Nothing on it was changed.",
        ) from error
    if diskseq and volume.medium and volume.medium.diskseq not in ("", diskseq):
        raise CardFailed(_TAKEN_OUT)
    wanted = run.settings.sd_label
    if not discovery.is_accepted(wanted, volume):
        raise CardRejected(
            f"{_described(label)}; only {wanted} is taken.",
            hint=f'Name the card {wanted}, or set sd_label = "*" to take any.',
        )
    check_places(run.settings, volume)
    return volume


def _check_listing(root: Path) -> None:
    """Find out whether the card can be listed at all: one that cannot looks like one without photos."""
    try:
        os.listdir(root)  # noqa: PTH208 - only whether it succeeds counts
        is_mounted = root.is_mount()
    except OSError as error:
        raise CardUnreadable(f"The card cannot be read: {error.strerror}.") from error
    if not is_mounted:
        raise CardFailed(_TAKEN_OUT)


def _named(label: str) -> str:
    return f"the card {printable(label)}" if label else "the card"


def _described(label: str) -> str:
    return f"The card's label is {printable(label)}" if label else "The card has no label"
