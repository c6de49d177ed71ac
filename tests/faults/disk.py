"""A disk whose power can be cut: ext4 on a loop device, its image on a filesystem that copies by reference.

`snapshot` is one FICLONE (ioctl_ficlonerange(2)) of the image: atomic beside the loop device's writes, so it is
what a disk holds that stops at that moment. What the kernel still has in its page cache is not in it.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.mounts import NotPossible, own_mounts, run, unmount

# Big enough for mkfs.xfs, which refuses less than 300 MB; both are sparse files.
_SHELF_BYTES = 4 << 30
_DISK_BYTES = 1 << 30
# As little as possible reaches the disk unasked: no commit of the journal by time, no allocation because of a rename,
# no order between data and journal (ext4(5)). What is on it after a cut was flushed by the program.
HARSH = "noatime,commit=3600,noauto_da_alloc,data=writeback"
USUAL = "noatime,commit=3600"
PROGRAMS = ("mkfs.xfs", "mkfs.ext4", "mount", "umount", "losetup", "cp")


@dataclass(frozen=True)
class Shelf:
    """An XFS with reflinks, on which images of disks lie."""

    root: Path

    def new_disk(self, name: str, size_bytes: int = _DISK_BYTES) -> Path:
        """Return the image of an empty ext4."""
        image = self.root / name
        with image.open("wb") as file:
            file.truncate(size_bytes)
        # Nothing is left for the kernel to do in the background.
        run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
        return image

    def snapshot(self, image: Path, name: str) -> Path:
        """Return a copy of an image as it is now."""
        copy = self.root / name
        run("cp", "--reflink=always", str(image), str(copy))
        return copy


@contextmanager
def mounted(image: Path, place: Path, options: str) -> Iterator[None]:
    """Mount an image through a loop device; a journal that was cut off is replayed."""
    run("mount", "-o", f"loop,{options}", str(image), str(place))
    try:
        yield
    finally:
        unmount(place)


@contextmanager
def shelf(directory: Path) -> Iterator[Shelf]:
    """Make a shelf below a directory. Raises NotPossible where nothing can be mounted."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise NotPossible(f"{', '.join(missing)} is not installed")
    own_mounts()
    image, place = directory / "shelf.xfs", directory / "shelf"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(_SHELF_BYTES)
    run("mkfs.xfs", "-q", "-m", "reflink=1", str(image))
    try:
        run("mount", "-o", "loop,noatime", str(image), str(place))
    except subprocess.CalledProcessError as error:
        raise NotPossible(f"a disk cannot be mounted here: {error.stderr.strip()}") from error
    try:
        yield Shelf(place)
    finally:
        unmount(place)
        image.unlink()
