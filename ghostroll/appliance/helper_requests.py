"""File-based requests to the root helpers, and the state files that they write.

The program runs without privileges. A file in `requests/` asks the helpers, which run as root, to unmount a card or to
shut down: its name is the request, and a release also holds the card's `diskseq`. The helpers report in `notes/`,
described in deploy/libexec/places.sh. Without `requests/` this is not an appliance, and no helper runs. A new link is
requested from `ghostroll watch`, which has the credentials, by a file beside the status record.
"""

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from ghostroll.base import durable
from ghostroll.base.block_devices import disk_of
from ghostroll.base.errors import UsageError

SIGN_ANEW = "sign-anew"
# An older request has expired: `watch` may have been stopped for days.
_REQUEST_EXPIRY_SECONDS = 60.0
# A kernel name, such as sda1 or mmcblk1p1; it becomes part of a file's name.
_DEVICE = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class HelperRequests:
    """Requests and state files below `run_directory`: `/run/ghostroll` on an appliance."""

    run_directory: Path
    block_devices: Path = Path("/sys/class/block")

    @property
    def is_available(self) -> bool:
        """Whether this is an appliance, whose root helpers read requests."""
        return self._requests.is_dir()

    def release(self, device: str, diskseq: str) -> None:
        """Request that a card is unmounted after it was read; do nothing if another card is mounted there by now."""
        if self.is_available and self.mounted_diskseq(device) == diskseq:
            # Atomic: the helper reads the file as soon as it exists, and must not unmount the next card.
            request = self._requests / f"release-{_kernel_name(device)}"
            durable.write_unflushed(request, diskseq, temporary_dir=self.run_directory)

    def eject(self, device: str | None = None) -> Path:
        """Request that one card, or all, is released as soon as its current file is saved.

        Returns the request file, which the helper deletes when it takes the request. Raises UsageError for an invalid
        device name or outside an appliance, OSError without permission.
        """
        if not self.is_available:
            raise UsageError(
                f"Cards cannot be ejected here: {self._requests} is missing.", hint="Unmount the card, and pull it."
            )
        return _create(self._requests / (f"eject-{_kernel_name(device)}" if device else "eject"))

    def power_off(self) -> Path:
        """Request a shutdown; returns and raises like `eject`."""
        if not self.is_available:
            raise UsageError(f"This machine cannot be switched off from here: {self._requests} is missing.")
        return _create(self._requests / "power-off")

    def request_signing(self) -> Path:
        """Ask `ghostroll watch` for a new link to the last share; return the request file. Raises OSError."""
        return _create(self.run_directory / SIGN_ANEW)

    def consume_signing_request(self) -> bool:
        """Delete a request for a new link; return whether there was one that has not expired. Raises OSError."""
        request = self.run_directory / SIGN_ANEW
        try:
            age_seconds = time.time() - request.lstat().st_mtime
            request.unlink()
        except FileNotFoundError:
            return False
        return abs(age_seconds) < _REQUEST_EXPIRY_SECONDS

    def is_eject_requested(self, device: str) -> bool:
        """Tell whether the owner asked for this card while it is being read. To be polled after each file."""
        return self._note(device, "eject") == "asked"

    def is_ejected(self, device: str) -> bool:
        """Tell whether the card that was last seen in this device was ejected by its owner."""
        return self._note(device, "eject") == "ejected"

    def mounted_diskseq(self, device: str) -> str | None:
        """Return the `diskseq` of the card that was mounted; None if no card is.

        A run must compare with this, not with the device's current `diskseq`: the mount of a card that was pulled
        silently reads the sectors of the next card.
        """
        return self._note(device, "mounted")

    def last_seen_diskseq(self, device: str) -> str | None:
        """Return the `diskseq` of the last card seen in the device, mounted or not; None if there was none."""
        return self._note(device, "seen")

    def filesystem_error(self, device: str) -> str | None:
        """Return what is wrong with the card's filesystem, as a clause for a message; None if nothing is known."""
        return self._note(device, "damaged")

    def is_present(self, device: str) -> bool:
        """Tell whether the last card seen is still in its reader: each medium has its own `diskseq` (sysfs-block)."""
        disk = disk_of(self.block_devices / _kernel_name(device))
        try:
            diskseq, size = ((disk / name).read_text().strip() for name in ("diskseq", "size"))
        except OSError:
            return False
        return diskseq == self.last_seen_diskseq(device) and size != "0"

    def devices(self) -> list[str]:
        """Return the kernel names of the devices in which a card was seen, such as `sda1`."""
        return sorted(note.stem for note in (self.run_directory / "notes").glob("*.seen"))

    @property
    def _requests(self) -> Path:
        return self.run_directory / "requests"

    def _note(self, device: str, kind: str) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.run_directory / "notes" / f"{_kernel_name(device)}.{kind}").read_text().strip()
        return None


def cancel(request: Path) -> bool:
    """Delete a request; return whether it was still pending. Raises OSError."""
    try:
        request.unlink()
    except FileNotFoundError:
        return False
    return True


def _create(request: Path) -> Path:
    """Create an empty file or update its time, without following a symbolic link. Raises OSError."""
    fd = os.open(request, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
    try:
        os.utime(fd)
    finally:
        os.close(fd)
    return request


def _kernel_name(device: str) -> str:
    name = device.removeprefix("/dev/")
    if not _DEVICE.fullmatch(name):
        raise UsageError(f"{device!r} is no device such as /dev/sda1.")
    return name


@dataclass(frozen=True, slots=True)
class MountedCard:
    """A card that a helper has mounted. `diskseq` is the kernel's number of the medium."""

    requests: HelperRequests
    device: str
    diskseq: str

    def release(self) -> None:
        """Request that the card is unmounted. Raises OSError."""
        self.requests.release(self.device, self.diskseq)

    @property
    def is_eject_requested(self) -> bool:
        """Whether the owner asked for the card while it is being read."""
        return self.requests.is_eject_requested(self.device)

    @property
    def is_ejected(self) -> bool:
        """Whether the owner ejected the card, and it may be pulled."""
        return self.requests.is_ejected(self.device)
