"""List directories of a card without following links or changing access times."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# O_NOATIME: reading must not even touch a time stamp. Granted to a file's owner and root (open(2)).
_O_NOATIME = getattr(os, "O_NOATIME", 0)


def find_directory(root: Path, relative: str) -> Path | None:
    """Return the directory `relative` below `root`, its parts matched without regard to case; never a link."""
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
    """What lies in a directory. `error` says why nothing else is known of it."""

    name: str
    mode: int
    size_bytes: int = 0
    mtime_ns: int = 0
    error: str = ""


def list_directory(directory: Path, alive: Callable[[], None] = lambda: None) -> list[Entry]:
    """Return a directory's entries, links not followed, without changing its access time."""
    fd = open_without_atime(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with os.scandir(fd) as entries:
            return [facts for entry in entries if (facts := _facts(entry, alive))]
    finally:
        os.close(fd)


def _facts(entry: "os.DirEntry[str]", alive: Callable[[], None]) -> Entry | None:
    alive()
    try:
        facts = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # it went while its directory was listed
        return None
    except OSError as error:  # the card fails right here
        return Entry(entry.name, 0, error=error.strerror or "cannot be looked at")
    return Entry(entry.name, facts.st_mode, facts.st_size, facts.st_mtime_ns)


def subdirectories(directory: Path) -> list[Path]:
    """Return the directories in a directory, links not counted, leaving no trace; none where it cannot be listed."""
    try:
        return sorted(directory / entry.name for entry in list_directory(directory) if stat.S_ISDIR(entry.mode))
    except OSError:
        return []


def open_without_atime(path: Path, flags: int) -> int:
    """Open without changing the access time where that is allowed."""
    try:
        return os.open(path, flags | _O_NOATIME)
    except PermissionError:
        return os.open(path, flags)
