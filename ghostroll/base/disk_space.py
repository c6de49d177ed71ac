"""The free space that is left alone on the disk."""

_RESERVE_BYTES = 256 << 20
_RESERVE_FRACTION = 20  # of a small disk, a twentieth


def reserve_bytes(disk_bytes: int) -> int:
    """Return how many bytes stay free on a disk of `disk_bytes`, so that catalog, system and logs go on."""
    return min(_RESERVE_BYTES, disk_bytes // _RESERVE_FRACTION)
