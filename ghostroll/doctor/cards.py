"""Check the cards in the readers: whether their labels match `sd_label`."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ghostroll.base.block_devices import disk_of_number
from ghostroll.base.config import Settings
from ghostroll.card.discovery import find_volumes, is_accepted, label_matches
from ghostroll.card.volume import label_in
from ghostroll.doctor.findings import Finding, ok, warning

# Mount points of the units.
_CARDS_DIRECTORY = Path("/run/ghostroll/cards")
# The SD Association's filesystems: FAT32 on SDHC cards, exFAT on SDXC cards.
_FILESYSTEMS = frozenset(("vfat", "exfat"))
_SYSTEM_MOUNT_POINTS = ("/", "/boot", "/boot/firmware", "/boot/efi")


def findings(settings: Settings, cards_directory: Path = _CARDS_DIRECTORY) -> Iterator[Finding]:
    """Check the label of every volume with `DCIM/`, and of every card that is not mounted."""
    found = []
    devices = set()
    for volume in find_volumes((*settings.mount_roots, cards_directory)):
        devices.add(volume.device)
        label = volume.label if volume.device else volume.root.name
        found.append(_label_finding(settings, label, f"at {volume.root}", taken=is_accepted(settings.sd_label, volume)))
    found += [
        finding
        for each in _block_devices()
        if each["DEVNAME"] not in devices and (finding := device_finding(settings, each))
    ]
    yield from found
    if not found:
        yield ok("card", f"No card is in a reader. {_rule(settings)}")


def device_finding(settings: Settings, device: Mapping[str, str]) -> Finding | None:
    """Return the finding for a device from its udev properties; None if it has no card's filesystem."""
    if device.get("ID_FS_TYPE") not in _FILESYSTEMS:
        return None
    label = label_in(device)
    return _label_finding(settings, label, f"in {device['DEVNAME']}", taken=label_matches(settings.sd_label, label))


def _label_finding(settings: Settings, label: str, where: str, *, taken: bool) -> Finding:
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
    """Yield the udev properties of every block device that is not on a system disk; nothing without udev."""
    try:
        import pyudev  # noqa: PLC0415 - Linux with udev only

        system_disks = _system_disks()
        for device in pyudev.Context().list_devices(subsystem="block"):
            if disk_of_number(device.device_number).name not in system_disks:
                yield dict(device.properties)
    except (ImportError, OSError):
        return


def _system_disks() -> set[str]:
    disks = set()
    for mount_point in _SYSTEM_MOUNT_POINTS:
        if os.path.ismount(mount_point):
            disks.add(disk_of_number(Path(mount_point).stat().st_dev).name)
    return disks
