"""Check the disk for sessions: is it writable, not in memory, and large enough for a card."""

import errno
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ghostroll.base.config import Settings
from ghostroll.base.disk_space import reserve_bytes
from ghostroll.base.durable import is_memory_filesystem
from ghostroll.doctor.findings import EX_DISK, Finding, failed, ok, warning
from ghostroll.doctor.installation import STATE_DIRECTORY, is_appliance

SERVICE_USER = "ghostroll"
# Decimal, as printed on cards.
_CARD_BYTES = 64 * 10**9
# Derivatives per byte of originals, for JPEGs of 8 MB: a run reserves up to 1.6 MB for each.
_DERIVED_SHARE = 0.2
_TEST_BYTES = 64 << 10


def findings(settings: Settings) -> Iterator[Finding]:
    """Check the directories that GhostRoll writes to, then the free space for sessions."""
    writable = True
    for directory in dict.fromkeys((settings.base_dir, settings.db_path.parent, settings.status_path.parent)):
        finding = _writable(directory)
        writable = writable and not finding.exit_code
        yield finding
    yield _persistence(settings)
    if writable:
        yield _free_space(settings)


def _writable(directory: Path) -> Finding:
    """Write and flush an unnamed file in a directory, or in its nearest existing parent."""
    name = "disk"
    place = _existing(directory)
    try:
        with tempfile.TemporaryFile(dir=place) as test_file:  # unnamed: nothing is left behind
            test_file.write(os.urandom(_TEST_BYTES))
            test_file.flush()
            os.fsync(test_file.fileno())
    except OSError as error:
        text = f"Nothing can be saved in {directory}: {error.strerror}."
        return failed(name, text, _write_fix(error, place), EX_DISK)
    if owner := _wrong_owner(directory):
        text = (
            f"{directory} belongs to {owner}: the service, which runs as {SERVICE_USER}, may be unable to save there."
        )
        return warning(name, text, f"`sudo chown -R {SERVICE_USER}: {directory}`")
    return ok(name, f"{directory} can be written.")


def _write_fix(error: OSError, place: Path) -> str:
    if error.errno == errno.EROFS:
        return (
            f"The disk is mounted read-only. Linux does that to a disk that fails: `journalctl -k | grep -i error`; "
            f"`sudo mount -o remount,rw {_mount_point(place)}` tries it again."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Run `sudo ghostroll doctor`, or give {place} to the user that runs GhostRoll."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space."
    return f"Check the disk that holds {place}, and its cable; replace an SD card that fails."


def _wrong_owner(directory: Path) -> str:
    """Return the owner of a directory that is not the service's; "" if it is, or if not run by root."""
    if os.geteuid() != 0 or not directory.is_dir():
        return ""
    try:
        service = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        return ""
    facts = directory.stat()
    # Writable by the service's group: /run/ghostroll belongs to root on purpose.
    if facts.st_uid == service.pw_uid or (facts.st_gid == service.pw_gid and facts.st_mode & 0o020):
        return ""
    try:
        return pwd.getpwuid(facts.st_uid).pw_name
    except KeyError:
        return f"user {facts.st_uid}"


def _persistence(settings: Settings) -> Finding:
    """Check that sessions and catalog are not on a filesystem in memory."""
    for directory, what in ((settings.base_dir, "Photos"), (settings.db_path.parent, "The catalog's entries")):
        if is_memory_filesystem(_existing(directory)):
            return warning(
                "filesystem",
                f"{directory} is in memory. {what} kept there are lost in a power cut, and reading them back"
                " proves nothing.",
                f"Keep them on a disk: {_other_disk_fix(settings, 'base_dir' if what == 'Photos' else 'db_path')}",
            )
    return ok("filesystem", f"{settings.base_dir} is on a disk.")


def _free_space(settings: Settings) -> Finding:
    """Compare the free space with what a full 64 GB card needs."""
    disk = shutil.disk_usage(_existing(settings.base_dir))
    # The embedded store keeps a second copy of what is shared on the same disk.
    derived = _DERIVED_SHARE * (2 if settings.uses_embedded_store else 1)
    reserve = reserve_bytes(disk.total)
    needed = _CARD_BYTES * (1 + derived) + reserve
    fix = (
        f"Move finished sessions away from {settings.base_dir}, or keep all on a larger disk: "
        f"{_other_disk_fix(settings, 'base_dir')}"
    )
    if disk.free <= reserve:
        return failed("space", f"{_gigabytes(disk.free)} are free: no card can be saved.", fix, EX_DISK)
    if disk.free < needed:
        room = (disk.free - reserve) / (1 + derived)
        return warning(
            "space",
            f"{_gigabytes(disk.free)} are free: enough for {_gigabytes(room)} of a card, not for a full 64 GB card.",
            fix,
        )
    return ok("space", f"{_gigabytes(disk.free)} are free: a full 64 GB card has room.")


def _other_disk_fix(settings: Settings, name: str) -> str:
    """Return how to use another disk: on an appliance the units fix the setting `name`."""
    if is_appliance(settings):
        return f"mount it at {STATE_DIRECTORY} (docs/configuration.md)."
    return f"set {name} to a directory on it."


def _gigabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:,.1f} GB"


def _existing(directory: Path) -> Path:
    """Return a directory or its nearest existing parent."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return directory


def _mount_point(place: Path) -> Path:
    while not place.is_mount() and place != place.parent:
        place = place.parent
    return place
