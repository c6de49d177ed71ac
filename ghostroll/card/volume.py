"""Find the mount point, label, id and medium of a card's volume."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ghostroll.base.block_devices import disk_of_number
from ghostroll.base.errors import CardFailed, VolumeNotFound
from ghostroll.base.log import printable
from ghostroll.card.directories import find_directory

_PATH_ID_PREFIX = "place:"


@dataclass(frozen=True, slots=True)
class Volume:
    """A mounted filesystem of a card. `card_id` is the filesystem's UUID and size, or its path if it has no UUID."""

    root: Path
    label: str
    device: str | None
    card_id: str
    medium: "Medium | None" = field(default=None, compare=False)  # the medium that these fields were read from
    damage: str | None = field(default=None, compare=False)  # filesystem errors reported by the kernel

    @property
    def is_identified(self) -> bool:
        """Whether `card_id` is stable, so that files on the card can be recognised by name, size and time."""
        return not self.card_id.startswith(_PATH_ID_PREFIX)


@dataclass(frozen=True, slots=True)
class Medium:
    """The medium behind a volume. The kernel counts `diskseq` up with each medium; device names are reused."""

    device_number: int
    root_inode: int
    diskseq: str
    size: str


def find_volume(root: Path) -> Volume:
    """Return the volume mounted at `root`, or the directory `root` as a volume.

    Raises VolumeNotFound if `root` is not a directory that contains `DCIM`.
    """
    try:
        root = root.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # missing, an invalid name, a cycle of links
        raise VolumeNotFound(f"There is no volume at {printable(str(root))}.") from None
    if find_directory(root, "DCIM") is None:
        raise VolumeNotFound(
            f"No DCIM directory in {printable(str(root))}: this does not look like a camera's card.",
            hint="Give the directory that holds DCIM, such as /media/you/EOS_DIGITAL.",
        )
    properties = _device_properties(root) if root.is_mount() else {}
    identity = properties.get("ID_FS_UUID")
    volume = Volume(
        root=root,
        label=label_in(properties) or root.name,
        device=properties.get("DEVNAME"),
        card_id=f"{identity}:{os.statvfs(root).f_blocks}" if identity else f"{_PATH_ID_PREFIX}{printable(str(root))}",
    )
    try:
        return replace(volume, medium=current_medium(volume))
    except OSError:
        raise VolumeNotFound(f"The volume at {printable(str(root))} is gone.") from None


def mount_point(device: str) -> Path:
    """Return the mount point of a block device such as `/dev/sda1`. Raises VolumeNotFound if it is not mounted."""
    number = _device_number(device)
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split()  # proc_pid_mountinfo(5): 3 is major:minor, 5 the mount point
        if fields[2] == number:
            return Path(_unescaped(fields[4]))
    raise VolumeNotFound(f"{printable(device)} is not mounted.", hint="Mount it, or give its directory with --volume.")


def _device_number(device: str) -> str:
    """Return a device's `major:minor` from sysfs(5): a sandboxed service may not see it in `/dev`."""
    try:
        return (Path("/sys/class/block") / Path(device).name / "dev").read_text().strip()
    except (OSError, ValueError):
        raise VolumeNotFound(f"There is no device {printable(device)}.") from None


def label_of(root: Path) -> str:
    """Return the label of the filesystem mounted at `root`; "" if it has none."""
    return label_in(_device_properties(root))


def label_in(properties: Mapping[str, str]) -> str:
    r"""Return a filesystem's label from the udev properties of its device; "" if it has none.

    ID_FS_LABEL replaces spaces by underscores; ID_FS_LABEL_ENC escapes unsafe bytes as \xHH (blkid_encode_string(3)).
    """
    encoded = properties.get("ID_FS_LABEL_ENC")
    if encoded is None:
        return properties.get("ID_FS_LABEL", "")
    raw = encoded.encode(errors="surrogateescape")
    as_bytes = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda found: bytes.fromhex(found[1].decode()), raw)
    return as_bytes.decode(errors="replace").strip()


def current_medium(volume: Volume) -> Medium:
    """Return the medium behind the volume now. Raises OSError if it is gone."""
    facts = volume.root.stat()
    if not stat.S_ISDIR(facts.st_mode):
        raise NotADirectoryError(str(volume.root))
    os.statvfs(volume.root)  # unlike stat, not answered from a cache when the filesystem is dead
    disk = disk_of_number(facts.st_dev)
    return Medium(facts.st_dev, facts.st_ino, diskseq_of(facts.st_dev), _read_text(disk / "size"))


def diskseq_of(device_number: int) -> str:
    """Return the kernel's number of the medium in a block device; "" if it has none."""
    return _read_text(disk_of_number(device_number) / "diskseq")


def require_medium(volume: Volume) -> Medium:
    """Return the medium behind the volume now. Raises CardFailed if it is gone."""
    try:
        return current_medium(volume)
    except OSError:
        raise CardFailed("The card was taken out.") from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _device_properties(root: Path) -> dict[str, Any]:
    """Return the udev properties of the device mounted at `root`; {} without udev."""
    try:
        import pyudev  # noqa: PLC0415 - Linux only, and only for mounted cards
    except ImportError:
        return {}
    try:
        device = pyudev.Devices.from_device_number(pyudev.Context(), "block", root.stat().st_dev)
        return dict(device.properties)
    except (pyudev.DeviceNotFoundError, OSError):
        return {}


def _unescaped(text: str) -> str:
    """Decode the octal escapes of mountinfo: space, tab, newline and backslash."""
    for code in ("040", "011", "012", "134"):
        text = text.replace("\\" + code, chr(int(code, 8)))
    return text
