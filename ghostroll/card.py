"""Finding a card's volume, and listing what is on it. Nothing here opens a media file or writes anything."""

import math
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ghostroll.errors import CardFailed, CardUnreadable, VolumeNotFound
from ghostroll.log import printable
from ghostroll.media import MEDIA_ROOTS, CardFile, is_housekeeping, kind_of, reading_key

# A damaged FAT can contain itself; cameras never nest this deep.
_DEPTH_MOST = 40
# What computers leave beside the owner's files.
_HOUSEKEEPING_DIRECTORIES = frozenset(
    name.casefold()
    for name in (
        "System Volume Information",
        "$RECYCLE.BIN",
        ".Trashes",
        ".Spotlight-V100",
        ".fseventsd",
        ".TemporaryItems",
        ".DocumentRevisions-V100",
        "lost+found",
    )
)
_BY_PLACE = "place:"
# O_NOATIME: reading must not even touch a time stamp. Granted to a file's owner and root (open(2)).
_O_NOATIME = getattr(os, "O_NOATIME", 0)


@dataclass(frozen=True, slots=True)
class Volume:
    """A mounted filesystem of a card. `card_id` says which; without a filesystem's own id it is just the place."""

    root: Path
    label: str
    device: str | None
    card_id: str
    presence: "Presence | None" = field(default=None, compare=False)  # the medium that all this was read from
    damage: str | None = field(default=None, compare=False)  # what the kernel found wrong with the filesystem

    @property
    def is_identified(self) -> bool:
        """Whether `card_id` stays with the card, so that its files can be recognised by name, size and time."""
        return not self.card_id.startswith(_BY_PLACE)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A directory of the card that could not be listed, or a file of which it cannot be told what it is."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What is on a volume: media files in reading order, and what was passed over."""

    files: tuple[CardFile, ...]
    ignored: int
    outside: tuple[str, ...]  # files outside the media roots, which are not saved
    unreadable: tuple[Unreadable, ...]


@dataclass(frozen=True, slots=True)
class Presence:
    """Which medium is behind a volume just now: `diskseq` changes with each medium, names do not."""

    device_number: int
    root_inode: int
    diskseq: str
    size: str


def find_volume(root: Path) -> Volume:
    """Return the volume mounted at `root`, or the directory `root` taken as one.

    Raises VolumeNotFound where there is no directory, or no `DCIM` directory in it.
    """
    try:
        root = root.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # no such place, a name that cannot be one, links in a circle
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
        card_id=f"{identity}:{os.statvfs(root).f_blocks}" if identity else f"{_BY_PLACE}{printable(str(root))}",
    )
    try:
        return replace(volume, presence=presence(volume))
    except OSError:
        raise VolumeNotFound(f"The volume at {printable(str(root))} is gone.") from None


def volume_of_device(device: str) -> Volume:
    """Return the volume of a mounted block device such as `/dev/sda1`; raises VolumeNotFound."""
    return find_volume(mount_point(device))


def mount_point(device: str) -> Path:
    """Return where a block device such as `/dev/sda1` is mounted; raises VolumeNotFound where it is not."""
    wanted = _number_of(device)
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split()  # proc_pid_mountinfo(5): 3 is major:minor, 5 the mount point
        if fields[2] == wanted:
            return Path(_unescaped(fields[4]))
    raise VolumeNotFound(f"{printable(device)} is not mounted.", hint="Mount it, or give its directory with --volume.")


def _number_of(device: str) -> str:
    """Return a block device's number as mountinfo has it: from sysfs(5), since a service may have no such `/dev`."""
    try:
        return (Path("/sys/class/block") / Path(device).name / "dev").read_text().strip()
    except (OSError, ValueError):
        raise VolumeNotFound(f"There is no device {printable(device)}.") from None


def find_directory(root: Path, relative: str) -> Path | None:
    """Return the directory `relative` below `root`, its parts matched without regard to case; never a link."""
    here = root
    for part in relative.split("/"):
        try:
            names = sorted(entry.name for entry in _list(here) if stat.S_ISDIR(entry.mode))
        except OSError:
            return None
        exact = part if part in names else next((name for name in names if name.casefold() == part.casefold()), None)
        if exact is None:
            return None
        here = here / exact
    return here


def scan(volume: Volume, alive: Callable[[], None] = lambda: None) -> Scan:
    """List the media files of a volume. Symbolic links and special files are never followed.

    `alive` is called for each entry that was looked at. Raises CardFailed where the volume went away.
    """
    before = volume.presence or _presence_or_gone(volume)
    roots = [found for name in MEDIA_ROOTS if (found := find_directory(volume.root, name))]
    unreadable: list[Unreadable] = []
    files: list[CardFile] = []
    ignored = 0
    size_most = _capacity_bytes(volume)
    for root in roots:
        for path, entry in _regular_files(volume.root, root, unreadable, alive):
            if is_housekeeping(entry.name):
                ignored += 1
            elif entry.size_bytes > size_most:
                unreadable.append(Unreadable(path, "its size is more than the card holds: is the card damaged?"))
            else:
                files.append(CardFile(path, kind_of(entry.name), entry.size_bytes, entry.mtime_ns))
    outside = [
        path
        for path, entry in _regular_files(volume.root, volume.root, unreadable, alive, skip=frozenset(roots))
        if not is_housekeeping(entry.name)
    ]
    if _presence_or_gone(volume) != before or not roots:
        raise CardFailed("The card was taken out or changed while it was listed.")
    if volume.damage:
        unreadable.append(Unreadable("", f"the card is damaged: {volume.damage}"))
        if not files:
            raise CardUnreadable(f"The card cannot be read: {volume.damage}")
    return Scan(tuple(sorted(files, key=reading_key)), ignored, tuple(sorted(outside)), tuple(unreadable))


def _capacity_bytes(volume: Volume) -> float:
    """Return how many bytes the volume holds at most: one damaged entry must not claim all room there is for itself."""
    try:
        facts = os.statvfs(volume.root)
    except OSError:
        raise CardFailed("The card was taken out.") from None
    return facts.f_blocks * facts.f_frsize or math.inf  # 0: the filesystem does not tell


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    mode: int
    size_bytes: int = 0
    mtime_ns: int = 0
    error: str = ""


def _regular_files(
    top: Path,
    start: Path,
    unreadable: list[Unreadable],
    alive: Callable[[], None],
    skip: frozenset[Path] = frozenset(),
) -> Iterator[tuple[str, _Entry]]:
    """Yield (path relative to `top`, entry) of every regular file below `start`."""
    waiting = [(start, 0)]
    while waiting:
        directory, depth = waiting.pop()
        relative = "" if directory == top else f"{directory.relative_to(top)}/"
        try:
            entries = _list(directory, alive)
        except OSError as error:
            unreadable.append(Unreadable(relative.rstrip("/"), error.strerror or "cannot be listed"))
            continue
        for entry in entries:
            if stat.S_ISREG(entry.mode):
                yield relative + entry.name, entry
            elif entry.error:
                unreadable.append(Unreadable(relative + entry.name, entry.error))
            elif not stat.S_ISDIR(entry.mode) or (not relative and entry.name.casefold() in _HOUSEKEEPING_DIRECTORIES):
                continue
            elif depth >= _DEPTH_MOST:
                unreadable.append(Unreadable(relative + entry.name, "nested too deep: is the card damaged?"))
            elif (inner := directory / entry.name) not in skip:
                waiting.append((inner, depth + 1))


def _list(directory: Path, alive: Callable[[], None] = lambda: None) -> list[_Entry]:
    """Return a directory's entries, links not followed, without changing its access time."""
    fd = open_quietly(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with os.scandir(fd) as entries:
            return [facts for entry in entries if (facts := _facts(entry, alive))]
    finally:
        os.close(fd)


def _facts(entry: "os.DirEntry[str]", alive: Callable[[], None]) -> _Entry | None:
    alive()
    try:
        facts = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # it went while its directory was listed
        return None
    except OSError as error:  # the card fails right here
        return _Entry(entry.name, 0, error=error.strerror or "cannot be looked at")
    return _Entry(entry.name, facts.st_mode, facts.st_size, facts.st_mtime_ns)


def label_of(root: Path) -> str:
    """Return the label of the filesystem mounted at `root`; empty where it has none."""
    return label_in(_device_properties(root))


def label_in(properties: Mapping[str, str]) -> str:
    r"""Return a filesystem's label from udev's properties of its device; empty where it has none.

    ID_FS_LABEL has underscores for spaces; ID_FS_LABEL_ENC has it all, unsafe bytes as \xHH (blkid_encode_string(3)).
    """
    encoded = properties.get("ID_FS_LABEL_ENC")
    if encoded is None:
        return properties.get("ID_FS_LABEL", "")
    raw = encoded.encode(errors="surrogateescape")
    as_bytes = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda found: bytes.fromhex(found[1].decode()), raw)
    return as_bytes.decode(errors="replace").strip()


def subdirectories(directory: Path) -> list[Path]:
    """Return the directories in a directory, links not counted, leaving no trace; none where it cannot be listed."""
    try:
        return sorted(directory / entry.name for entry in _list(directory) if stat.S_ISDIR(entry.mode))
    except OSError:
        return []


def open_quietly(path: Path, flags: int) -> int:
    """Open without changing the access time where that is allowed."""
    try:
        return os.open(path, flags | _O_NOATIME)
    except PermissionError:
        return os.open(path, flags)


def presence(volume: Volume) -> Presence:
    """Return which medium is behind the volume now; raises OSError where it is gone."""
    facts = volume.root.stat()
    if not stat.S_ISDIR(facts.st_mode):
        raise NotADirectoryError(str(volume.root))
    os.statvfs(volume.root)  # stat may be answered from a cache when the filesystem is dead; this is not
    block = Path(f"/sys/dev/block/{os.major(facts.st_dev)}:{os.minor(facts.st_dev)}")
    disk = block.resolve().parent if (block / "partition").exists() else block
    return Presence(facts.st_dev, facts.st_ino, _read_text(disk / "diskseq"), _read_text(disk / "size"))


def _presence_or_gone(volume: Volume) -> Presence:
    try:
        return presence(volume)
    except OSError:
        raise CardFailed("The card was taken out.") from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _device_properties(root: Path) -> dict[str, Any]:
    """Return udev's properties of the device mounted at `root`; empty where there is no udev."""
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
    """Undo the octal escapes of mountinfo: space, tab, newline and backslash."""
    for code in ("040", "011", "012", "134"):
        text = text.replace("\\" + code, chr(int(code, 8)))
    return text
