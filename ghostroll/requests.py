"""What the pipeline, which may mount nothing, asks of the root's helpers, and what these note for it.

A request is a file whose name says what is asked; that of a release also holds which card is meant.
The notes are the root's: deploy/libexec/places.sh lists them.
Where there is no such directory this is no appliance, and nothing is asked.
"""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from ghostroll import durable
from ghostroll.errors import UsageError

# A kernel name, such as sda1 or mmcblk1p1; it becomes part of a file's name.
_DEVICE = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class Requests:
    """The helpers' directories below `run_directory`, which on an appliance is `/run/ghostroll`."""

    run_directory: Path
    block_devices: Path = Path("/sys/class/block")

    @property
    def are_heard(self) -> bool:
        """Whether there is somebody to ask: the appliance's units."""
        return self._requests.is_dir()

    def release(self, device: str, medium: str) -> None:
        """Give a card back that was read: it is unmounted. Nothing happens if another one is mounted there by now."""
        if self.are_heard and self.mounted_medium(device) == medium:
            # Whole at once: it is read as soon as it is there. By then another card may be in its place.
            request = self._requests / f"release-{_kernel_name(device)}"
            durable.write_lightly(request, medium, by_way_of=self.run_directory)

    def eject(self, device: str | None = None) -> None:
        """Ask for a card, or all of them: read or not, it is released as soon as its current file is saved.

        Raises UsageError for what is no device, or where nobody would hear it; OSError without the right to ask.
        """
        if not self.are_heard:
            raise UsageError(
                f"Nobody ejects cards here: {self._requests} is missing.", hint="Unmount the card, and pull it."
            )
        (self._requests / (f"eject-{_kernel_name(device)}" if device else "eject")).touch()

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


def _kernel_name(device: str) -> str:
    name = device.removeprefix("/dev/")
    if not _DEVICE.fullmatch(name):
        raise UsageError(f"{device!r} is no device such as /dev/sda1.")
    return name
