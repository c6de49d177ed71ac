"""Look up block devices in sysfs(5)."""

import os
from pathlib import Path


def disk_of(block: Path) -> Path:
    """Return the sysfs directory of the disk that a block device, given by its sysfs directory, is or belongs to."""
    device = block.resolve()
    return device.parent if (block / "partition").exists() else device


def disk_of_number(device_number: int) -> Path:
    """Return the sysfs directory of the disk of a block device, given its device number (`st_dev`)."""
    return disk_of(Path(f"/sys/dev/block/{os.major(device_number)}:{os.minor(device_number)}"))
