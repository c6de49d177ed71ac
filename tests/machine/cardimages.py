"""Cards as images: FAT32 and exFAT, with and without a partition table, whole and damaged."""

import os
import random
import shlex
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.machine.machine import Machine
from tests.support.appliance import save_photo, sha256, tree

SECTOR_BYTES = 512
CARD_BYTES = 256 * 1024 * 1024
FIRST_SECTOR = 8192  # of the partition, where SD cards have it (SD File System Specification)
TYPES = {"fat32": 0x0C, "exfat": 0x07}  # of a partition in the table


@dataclass(frozen=True)
class Shape:
    """How a card is made."""

    filesystem: str = "fat32"
    is_partitioned: bool = True
    label: str = "EOS_DIGITAL"

    @property
    def first_sector(self) -> int:
        return FIRST_SECTOR if self.is_partitioned else 0


@dataclass(frozen=True)
class Card:
    """An image, what was put on it (SHA-256 by path), and the image's own SHA-256."""

    image: Path
    photos: dict[str, str]
    digest: str

    def is_untouched(self) -> bool:
        return sha256(self.image) == self.digest


class CardMaker(Protocol):
    """Makes a card of so many photos, in the shape that is given."""

    def __call__(self, photos: int, **shape: str | bool) -> Card: ...


def make(image: Path, content: Path, shape: Shape, filler: Machine | None = None) -> Card:
    """Make a card. No program writes into exFAT from outside: the kernel of a running machine does it."""
    with image.open("wb") as file:
        file.truncate(CARD_BYTES)
        if shape.is_partitioned:
            file.write(partition_table(shape))
    offset = shape.first_sector * SECTOR_BYTES
    partition = image.with_suffix(".part")
    with partition.open("wb") as file:
        file.truncate(CARD_BYTES - offset)
    format_partition(partition, shape)
    if shape.filesystem == "fat32":
        fill_fat(partition, content)
    # fmt: off
    subprocess.run(["dd", f"if={partition}", f"of={image}", "bs=64K", "oflag=seek_bytes", f"seek={offset}",
                    "conv=notrunc,sparse", "status=none"], check=True)
    # fmt: on
    partition.unlink()
    if filler:
        fill_exfat(filler, image, content, shape)
    return Card(image, tree(content), sha256(image))


def partition_table(shape: Shape) -> bytes:
    """Return a first sector with one partition to the end of the card."""
    sectors = CARD_BYTES // SECTOR_BYTES - FIRST_SECTOR
    unused = b"\xfe\xff\xff"  # cylinders, heads and sectors, too small for any card
    entry = struct.pack("<B3sB3sII", 0, unused, TYPES[shape.filesystem], unused, FIRST_SECTOR, sectors)
    return bytes(446) + entry + bytes(3 * 16) + b"\x55\xaa"


def format_partition(partition: Path, shape: Shape) -> None:
    if shape.filesystem == "fat32":
        command = ["mkfs.vfat", "-F", "32", "-n", shape.label]
    else:
        command = ["mkfs.exfat", "-L", shape.label]
    subprocess.run([*command, str(partition)], check=True, capture_output=True, env=with_sbin())


def with_sbin() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


def fill_fat(partition: Path, content: Path) -> None:
    environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": os.devnull}
    for entry in sorted(content.iterdir()):
        command = ["mcopy", "-s", "-m", "-Q", "-i", str(partition), str(entry), "::"]
        subprocess.run(command, check=True, env=environment)


def fill_exfat(machine: Machine, image: Path, content: Path, shape: Shape) -> None:
    """Copy files onto an exFAT card in a machine where nothing waits for cards."""
    stick = machine.plug_in_stick(image)
    device = f"/dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_{stick.name}-0:0" + "-part1" * shape.is_partitioned
    machine.run(f"timeout 60 sh -c 'until [ -b {shlex.quote(device)} ]; do sleep 0.2; done'")
    machine.run(f"mkdir -p /run/card && mount -t exfat {shlex.quote(device)} /run/card")
    machine.shell.put(content, "/run/card")
    machine.run("umount /run/card; sync")
    machine.tear_out(stick)


def draw_photos(content: Path, seeds: range, size: tuple[int, int] = (900, 600)) -> Path:
    """Draw photos as a camera names them: IMG_0001.JPG for the first of `seeds`, whatever it is."""
    for number, seed in enumerate(seeds, 1):
        save_photo(content / f"DCIM/100CANON/IMG_{number:04}.JPG", seed, size)
    return content


def destroy_boot_sector(image: Path, shape: Shape) -> None:
    """Leave nothing by which a filesystem could be recognised."""
    with image.open("r+b") as file:
        file.seek(shape.first_sector * SECTOR_BYTES)
        file.write(random.Random(1).randbytes(16 * SECTOR_BYTES))


def fill_fats_with_rubbish(image: Path, shape: Shape) -> None:
    """Leave the boot sector, so that the card mounts, and no sense behind it (FAT32 specification, section 3)."""
    with image.open("r+b") as file:
        start = shape.first_sector * SECTOR_BYTES
        file.seek(start)
        head = file.read(64)
        (reserved,), (size,) = struct.unpack_from("<H", head, 14), struct.unpack_from("<I", head, 36)
        chance = random.Random(2)
        for fat in range(2):
            file.seek(start + (reserved + fat * size) * SECTOR_BYTES)
            file.write(chance.randbytes(min(size, 256) * SECTOR_BYTES))
