"""What one part of the appliance asks of another that may do what it may not: files whose name says what.

In `requests/` they are for the root's helpers, which mount, unmount and switch off; that of a release also holds which
card is meant. The helpers' notes are listed in deploy/libexec/places.sh. Where there is no such directory this is no
appliance, and nobody hears them. A link to be signed anew is asked of `ghostroll watch`, which has the credentials, by
a file beside the status record.
"""

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from ghostroll.base import durable
from ghostroll.base.errors import UsageError

SIGN_ANEW = "sign-anew"
# A wish that nobody heard in this time is none any more: `watch` may have been away for days.
_HEARD_SECONDS = 60.0
# A kernel name, such as sda1 or mmcblk1p1; it becomes part of a file's name.
_DEVICE = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class HelperRequests:
    """The helpers' directories below `run_directory`, which on an appliance is `/run/ghostroll`."""

    run_directory: Path
    block_devices: Path = Path("/sys/class/block")

    @property
    def are_available(self) -> bool:
        """Whether there is somebody to ask: the appliance's units."""
        return self._requests.is_dir()

    def release(self, device: str, medium: str) -> None:
        """Give a card back that was read: it is unmounted. Nothing happens if another one is mounted there by now."""
        if self.are_available and self.mounted_medium(device) == medium:
            # Whole at once: it is read as soon as it is there. By then another card may be in its place.
            request = self._requests / f"release-{_kernel_name(device)}"
            durable.write_lightly(request, medium, by_way_of=self.run_directory)

    def eject(self, device: str | None = None) -> Path:
        """Ask for a card, or all of them: read or not, it is released as soon as its current file is saved.

        Return the request, which is gone as soon as somebody has heard it.

        Raises UsageError for what is no device, or where nobody would hear it; OSError without the right to ask.
        """
        if not self.are_available:
            raise UsageError(
                f"Nobody ejects cards here: {self._requests} is missing.", hint="Unmount the card, and pull it."
            )
        return _make(self._requests / (f"eject-{_kernel_name(device)}" if device else "eject"))

    def power_off(self) -> Path:
        """Ask for the machine to be shut down; return and raise as `eject` does."""
        if not self.are_available:
            raise UsageError(f"Nobody switches this machine off: {self._requests} is missing.")
        return _make(self._requests / "power-off")

    def sign_anew(self) -> Path:
        """Ask `ghostroll watch` to sign the last share anew; return the request. Raises OSError."""
        return _make(self.run_directory / SIGN_ANEW)

    def take_sign_anew(self) -> bool:
        """Tell, once, whether somebody has just asked for the last share to be signed anew. Raises OSError."""
        request = self.run_directory / SIGN_ANEW
        try:
            age_seconds = time.time() - request.lstat().st_mtime
            request.unlink()
        except FileNotFoundError:
            return False
        return abs(age_seconds) < _HEARD_SECONDS

    def is_eject_asked(self, device: str) -> bool:
        """Tell whether the owner wants this card while it is being read. To be looked at after each file."""
        return self._note(device, "eject") == "asked"

    def is_ejected(self, device: str) -> bool:
        """Tell whether the card in this device was released at its owner's wish, and is still the same one."""
        return self._note(device, "eject") == "ejected"

    def mounted_medium(self, device: str) -> str | None:
        """Return the `diskseq` of the card that was mounted, None where none is.

        A run takes this, not what it finds itself, for its card's: the mount of a card that was pulled reads the
        next one's sectors.
        """
        return self._note(device, "mounted")

    def seen_medium(self, device: str) -> str | None:
        """Return the `diskseq` of the card that was looked at last, mounted or not; None where none ever was."""
        return self._note(device, "seen")

    def damage(self, device: str) -> str | None:
        """Return what is wrong with the filesystem of the card, as a part of a sentence; None if nothing is known."""
        return self._note(device, "damaged")

    def is_present(self, device: str) -> bool:
        """Tell whether the card that was looked at last is in its reader: `diskseq` changes with each (sysfs-block)."""
        block = self.block_devices / _kernel_name(device)
        disk = block.resolve().parent if (block / "partition").exists() else block
        try:
            diskseq, size = ((disk / name).read_text().strip() for name in ("diskseq", "size"))
        except OSError:
            return False
        return diskseq == self.seen_medium(device) and size != "0"

    def devices(self) -> list[str]:
        """Return the kernel names of the devices that a card was seen in, such as `sda1`."""
        return sorted(note.stem for note in (self.run_directory / "notes").glob("*.seen"))

    @property
    def _requests(self) -> Path:
        return self.run_directory / "requests"

    def _note(self, device: str, kind: str) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.run_directory / "notes" / f"{_kernel_name(device)}.{kind}").read_text().strip()
        return None


def withdraw(request: Path) -> bool:
    """Take a request back; return whether it was still there, since nobody had heard it. Raises OSError."""
    try:
        request.unlink()
    except FileNotFoundError:
        return False
    return True


def _make(request: Path) -> Path:
    """Make an empty file, or one that is there as if made now; a link is not followed. Raises OSError."""
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
    """One card in one slot. `medium` is the number by which the kernel tells it from the next one."""

    requests: HelperRequests
    device: str
    medium: str

    def release(self) -> None:
        """Have the card unmounted: it was read, or will not be. Raises OSError."""
        self.requests.release(self.device, self.medium)

    @property
    def is_eject_requested(self) -> bool:
        """Whether the owner asked for the card while it is being read."""
        return self.requests.is_eject_asked(self.device)

    @property
    def is_ejected(self) -> bool:
        """Whether the card is free at its owner's wish."""
        return self.requests.is_ejected(self.device)
