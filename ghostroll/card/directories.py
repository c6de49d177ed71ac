"""List directories of a card without following links or changing access times."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# O_NOATIME: reading must not change the access time. Only the file's owner and root may use it (open(2)).
_O_NOATIME = getattr(os, "O_NOATIME", 0)


def find_directory(root: Path, relative: str) -> Path | None:
    """Return the directory `relative` below `root`, ignoring case; None if there is none. Links are not followed."""
    here = root
    for part in relative.split("/"):
        try:
            names = sorted(entry.name for entry in list_directory(here) if stat.S_ISDIR(entry.mode))
        except OSError:
            return None
        exact = part if part in names else next((name for name in names if name.casefold() == part.casefold()), None)
        if exact is None:
            return None
        here = here / exact
    return here


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory entry. With an `error`, only its name is known."""

    name: str
    mode: int
    size_bytes: int = 0
    mtime_ns: int = 0
    error: str = ""


def list_directory(directory: Path, heartbeat: Callable[[], None] = lambda: None) -> list[Entry]:
    """Return a directory's entries without following links or changing its access time.

    `heartbeat` is called for each entry. Raises OSError.
    """
    fd = open_without_atime(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with os.scandir(fd) as entries:
            return [entry for found in entries if (entry := _entry(found, heartbeat))]
    finally:
        os.close(fd)


def _entry(found: "os.DirEntry[str]", heartbeat: Callable[[], None]) -> Entry | None:
    heartbeat()
    try:
        facts = found.stat(follow_symlinks=False)
    except FileNotFoundError:  # deleted while its directory was listed
        return None
    except OSError as error:  # a read error of the card
        return Entry(found.name, 0, error=error.strerror or "cannot be looked at")
    return Entry(found.name, facts.st_mode, facts.st_size, facts.st_mtime_ns)


def subdirectories(directory: Path) -> list[Path]:
    """Return the sorted subdirectories of a directory, without links; [] if it cannot be listed."""
    try:
        return sorted(directory / entry.name for entry in list_directory(directory) if stat.S_ISDIR(entry.mode))
    except OSError:
        return []


def open_without_atime(path: Path, flags: int) -> int:
    """Open a file without changing its access time, where that is permitted. Raises OSError."""
    try:
        return os.open(path, flags | _O_NOATIME)
    except PermissionError:
        return os.open(path, flags)
