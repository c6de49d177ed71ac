"""List the media files of a volume, without opening any."""

import math
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ghostroll.base.errors import CardFailed, CardUnreadable
from ghostroll.card.directories import Entry, find_directory, list_directory
from ghostroll.card.media import MEDIA_ROOTS, CardFile, is_housekeeping, kind_of, reading_order_key
from ghostroll.card.volume import Volume, require_medium

# A damaged FAT can be cyclic; cameras never nest this deep.
_MAX_DEPTH = 40
# Directories that computers create.
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


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A directory that could not be listed, or an entry whose type or size could not be read or cannot be right."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scan:
    """The media files of a volume in reading order, and what was skipped. `ignored` counts housekeeping files."""

    files: tuple[CardFile, ...]
    ignored: int
    outside: tuple[str, ...]  # files outside the media roots, which are not saved
    unreadable: tuple[Unreadable, ...]


def scan(volume: Volume, heartbeat: Callable[[], None] = lambda: None) -> Scan:
    """List the media files of a volume, skipping symbolic links and special files.

    `heartbeat` is called for each directory entry. Raises CardFailed if the medium was removed or changed meanwhile,
    CardUnreadable if the filesystem is damaged and no file is readable.
    """
    before = volume.medium or require_medium(volume)
    roots = [found for name in MEDIA_ROOTS if (found := find_directory(volume.root, name))]
    unreadable: list[Unreadable] = []
    files: list[CardFile] = []
    ignored = 0
    capacity_bytes = _capacity_bytes(volume)
    for root in roots:
        for path, entry in _regular_files(volume.root, root, unreadable, heartbeat):
            if is_housekeeping(entry.name):
                ignored += 1
            elif entry.size_bytes > capacity_bytes:
                unreadable.append(Unreadable(path, "its size is more than the card holds: is the card damaged?"))
            else:
                files.append(CardFile(path, kind_of(entry.name), entry.size_bytes, entry.mtime_ns))
    outside = [
        path
        for path, entry in _regular_files(volume.root, volume.root, unreadable, heartbeat, skip=frozenset(roots))
        if not is_housekeeping(entry.name)
    ]
    if require_medium(volume) != before or not roots:
        raise CardFailed("The card was taken out or changed while it was listed.")
    if volume.damage:
        unreadable.append(Unreadable("", f"the card is damaged: {volume.damage}"))
        if not files:
            raise CardUnreadable(f"The card cannot be read: {volume.damage}")
    return Scan(tuple(sorted(files, key=reading_order_key)), ignored, tuple(sorted(outside)), tuple(unreadable))


def _capacity_bytes(volume: Volume) -> float:
    """Return the volume's capacity: a file listed as larger comes from a damaged entry. Raises CardFailed."""
    try:
        facts = os.statvfs(volume.root)
    except OSError:
        raise CardFailed("The card was taken out.") from None
    return facts.f_blocks * facts.f_frsize or math.inf  # 0: unknown


def _regular_files(
    top: Path,
    start: Path,
    unreadable: list[Unreadable],
    heartbeat: Callable[[], None],
    skip: frozenset[Path] = frozenset(),
) -> Iterator[tuple[str, Entry]]:
    """Yield (path relative to `top`, entry) of every regular file below `start`."""
    pending = [(start, 0)]
    while pending:
        directory, depth = pending.pop()
        relative = "" if directory == top else f"{directory.relative_to(top)}/"
        try:
            entries = list_directory(directory, heartbeat)
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
            elif depth >= _MAX_DEPTH:
                unreadable.append(Unreadable(relative + entry.name, "nested too deep: is the card damaged?"))
            elif (inner := directory / entry.name) not in skip:
                pending.append((inner, depth + 1))
