"""Write files so that they survive a power cut: the only module that flushes and renames.

Not promised: that a drive keeps data which it acknowledged but only cached, and that a file is on the medium before
the function returns. A crash may leave a temporary file; its owner deletes it at the next start.
"""

import ctypes
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

CHUNK_BYTES = 1 << 20

# Filesystems in memory: reading back from them proves nothing about a disk.
_MEMORY_FILESYSTEMS = frozenset(("tmpfs", "ramfs", "devtmpfs", "rootfs"))
_MEMORY_DEVICES = ("/dev/zram", "/dev/ram")
# With raspi-config's "overlay file system" a Raspberry Pi writes to memory. Where the overlay's upper directory is not
# visible in mountinfo, the kernel's command line has one of these options.
_MEMORY_OVERLAY_OPTIONS = ("boot=overlay", "overlayroot=tmpfs")
# From this number of files, one syncfs is faster than an fsync of each (400 small files: 175 ms against 427 ms).
_SYNCFS_MIN_FILES = 3


def write_atomically(path: Path, content: bytes | str, *, mode: int = 0o644) -> None:
    """Replace `path` atomically; its content and name are flushed when this returns."""
    _replace(path, content, mode, path.parent, flush=True)
    flush_directory(path.parent)


def write_unflushed(path: Path, content: bytes | str, *, temporary_dir: Path | None = None, mode: int = 0o644) -> None:
    """Replace `path` atomically without a flush, for content that a power cut may lose.

    `temporary_dir` is where the temporary file is created, on the same filesystem; by default the parent of `path`.
    """
    _replace(path, content, mode, temporary_dir or path.parent, flush=False)


def _replace(path: Path, content: bytes | str, mode: int, temporary_dir: Path, *, flush: bool) -> None:
    data = content.encode() if isinstance(content, str) else content
    temporary = temporary_dir / f".{secrets.token_hex(8)}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            if flush:
                os.fsync(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def rename_unflushed(temporary: Path, final: Path) -> None:
    """Rename a finished file to its final name without a flush; the caller flushes many files at once."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(final)


def flush_and_rename(moves: Iterable[tuple[Path, Path]]) -> None:
    """Flush files, rename each to its final name, flush the directories.

    `moves` are pairs `(temporary, final)` on one filesystem. If this raises OSError, each file is complete under its
    temporary or its final name.
    """
    pairs = list(moves)
    flush_files([temporary for temporary, _ in pairs])
    for temporary, final in pairs:
        make_directory(final.parent)
        temporary.replace(final)
    flush_files(list({final.parent for _, final in pairs}))


def flush_files(paths: list[Path]) -> None:
    """Flush files or directories of one filesystem to the disk."""
    if len(paths) >= _SYNCFS_MIN_FILES and _syncfs(paths[0]):
        return
    for path in paths:
        _flush(path)


def flush_directory(path: Path) -> None:
    """Flush a directory's entries, so that a rename in it survives a power cut."""
    _flush(path)


def make_directory(path: Path) -> None:
    """Create a directory and its parents, flushing each new entry."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        _flush(directory.parent)


def flush_file(file: IO[bytes]) -> None:
    """Flush an open file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sha256_of(path: Path, heartbeat: Callable[[], None] = lambda: None) -> str:
    """Return the SHA-256 of a file in hex; `heartbeat` is called for each MiB."""
    with path.open("rb", buffering=0) as file:
        return _sha256(file, heartbeat)


def sha256_from_disk(path: Path, heartbeat: Callable[[], None] = lambda: None) -> tuple[str, bool]:
    """Return (a file's SHA-256 in hex, whether the bytes came from a disk), reading past the page cache.

    `heartbeat` is called for each MiB. Only clean pages are dropped, so the file must be flushed (posix_fadvise(2)).
    """
    with path.open("rb", buffering=0) as file:
        drop_from_cache(file.fileno())
        sha256 = _sha256(file, heartbeat)
    return sha256, not is_memory_filesystem(path)


def _sha256(file: IO[bytes], heartbeat: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        heartbeat()
    return digest.hexdigest()


def drop_from_cache(fd: int) -> None:
    """Ask the kernel to drop the cached pages of an open file."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def is_memory_filesystem(path: Path) -> bool:
    """Tell whether `path` is on a filesystem in memory, which a power cut empties."""
    directory = path if path.is_dir() else path.parent  # files on an overlay have other device numbers
    return _is_in_memory(directory.stat().st_dev, _mounts(_read_text("/proc/self/mountinfo")))


@dataclass(frozen=True, slots=True)
class _Mount:
    device: int
    mount_point: str
    filesystem: str
    source: str
    upper: str  # the writable directory of an overlay


def _mounts(mountinfo: str) -> list[_Mount]:
    """Parse proc_pid_mountinfo(5): fields 3, 5 and the three after " - "."""
    mounts = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        filesystem, source, options = after.split(" ", 2)
        major, _, minor = fields[2].partition(":")
        upper = next((each[9:] for each in options.split(",") if each.startswith("upperdir=")), "")
        mounts.append(_Mount(os.makedev(int(major), int(minor)), fields[4], filesystem, source, upper))
    return mounts


def _is_in_memory(device: int, mounts: list[_Mount]) -> bool:
    mount = next((each for each in mounts if each.device == device), None)
    if mount is None:
        return False
    if mount.filesystem != "overlay":
        return mount.filesystem in _MEMORY_FILESYSTEMS or mount.source.startswith(_MEMORY_DEVICES)
    below = [each for each in mounts if f"{mount.upper}/".startswith(f"{each.mount_point.rstrip('/')}/")]
    holder = max(below, key=lambda each: len(each.mount_point), default=mount)
    if holder.device == device:  # the upper directory is not visible
        return any(option in _read_text("/proc/cmdline").split() for option in _MEMORY_OVERLAY_OPTIONS)
    return _is_in_memory(holder.device, [each for each in mounts if each.device != device])


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:  # not Linux, or hidden from a sandboxed service
        return ""


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _syncfs(path: Path) -> bool:
    """Flush the filesystem of `path` by syncfs(2); return False if the system lacks it. Raises OSError."""
    if not hasattr(_libc(), "syncfs"):
        return False
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc().syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(fd)
    return True
