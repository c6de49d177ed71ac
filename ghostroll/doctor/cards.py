"""The cards that are in the readers now, and whether their label lets them be taken."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ghostroll.base.config import Settings
from ghostroll.card.discovery import find_volumes, is_accepted, label_matches
from ghostroll.card.volume import label_in
from ghostroll.doctor.findings import Finding, ok, warning

# Where the units mount cards.
_CARDS_PLACE = Path("/run/ghostroll/cards")
# Cameras format cards with these: SD Association, SDHC (FAT32) and SDXC (exFAT).
_FILESYSTEMS = frozenset(("vfat", "exfat"))
_SYSTEM_PLACES = ("/", "/boot", "/boot/firmware", "/boot/efi")


def findings(settings: Settings, cards_place: Path = _CARDS_PLACE) -> Iterator[Finding]:
    """Try the label rule on every volume with photos, and on every card that is not mounted."""
    found = []
    devices = set()
    for volume in find_volumes((*settings.mount_roots, cards_place)):
        devices.add(volume.device)
        label = volume.label if volume.device else volume.root.name
        found.append(_told(settings, label, f"at {volume.root}", taken=is_accepted(settings.sd_label, volume)))
    found += [
        told for each in _block_devices() if each["DEVNAME"] not in devices and (told := of_device(settings, each))
    ]
    yield from found
    if not found:
        yield ok("card", f"No card is in a reader. {_rule(settings)}")


def of_device(settings: Settings, device: Mapping[str, str]) -> Finding | None:
    """Return what becomes of a card by udev's properties of it; None where it is none."""
    if device.get("ID_FS_TYPE") not in _FILESYSTEMS:
        return None
    label = label_in(device)
    return _told(settings, label, f"in {device['DEVNAME']}", taken=label_matches(settings.sd_label, label))


def _told(settings: Settings, label: str, where: str, *, taken: bool) -> Finding:
    card = f"The card {label} {where}" if label else f"The card without a label {where}"
    if taken:
        return ok("card", f"{card} is taken.")
    only = f"sd_label = {json.dumps(label, ensure_ascii=False)} for cards of this name, or " if label else ""
    text = f"{card} is not taken: sd_label is {json.dumps(settings.sd_label, ensure_ascii=False)}."
    return warning("card", text, f'Set {only}sd_label = "*" for any card with a DCIM folder.')


def _rule(settings: Settings) -> str:
    if settings.sd_label == "*":
        return "Any card with a DCIM folder is taken."
    return f'A card is taken if its label is "{settings.sd_label}", or that with a number.'


def _block_devices() -> Iterator[Mapping[str, str]]:
    """Yield udev's properties of every block device that is not the system's own; nothing where there is no udev."""
    try:
        import pyudev  # noqa: PLC0415 - Linux with udev only

        own = _system_disks()
        for device in pyudev.Context().list_devices(subsystem="block"):
            if _disk_of(device.device_number) not in own:
                yield dict(device.properties)
    except (ImportError, OSError):
        return


def _system_disks() -> set[str]:
    disks = set()
    for place in _SYSTEM_PLACES:
        if os.path.ismount(place):
            disks.add(_disk_of(Path(place).stat().st_dev))
    return disks


def _disk_of(number: int) -> str:
    """Return the name of the disk that a block device is, or is a part of (sysfs, /sys/dev/block)."""
    block = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    place = block.resolve()
    return place.parent.name if (block / "partition").exists() else place.name
