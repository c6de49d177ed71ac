"""Compute the disk space that is kept free."""

_RESERVE_BYTES = 256 << 20
_RESERVE_DIVISOR = 20  # small disks: one twentieth


def reserve_bytes(disk_bytes: int) -> int:
    """Return how many bytes to keep free on a disk of `disk_bytes` for the catalog, the system and its logs."""
    return min(_RESERVE_BYTES, disk_bytes // _RESERVE_DIVISOR)
