"""Which cards are in the readers, and waking up when one comes: for machines where no udev rule starts the runs."""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ghostroll.base.errors import GhostrollError
from ghostroll.card import directories
from ghostroll.card import volume as card
from ghostroll.card.volume import Volume


def label_matches(wanted: str, label: str) -> bool:
    """Tell whether a card of this label is ours: the same, or followed by a space and a number; case ignored.

    `*` takes any.
    """
    return wanted == "*" or bool(re.fullmatch(rf"{re.escape(wanted)}(?: \d+)?", label, re.IGNORECASE))


def find_cards(roots: tuple[Path, ...], wanted: str) -> list[Volume]:
    """Return the volumes with a matching label and `DCIM/` among the children and grandchildren of `roots`."""
    return [volume for volume in find_volumes(roots) if is_ours(wanted, volume)]


def is_ours(wanted: str, volume: Volume) -> bool:
    """Tell whether a volume's label, or its directory's name, is the one we take."""
    return label_matches(wanted, volume.label) or label_matches(wanted, volume.root.name)


def find_volumes(roots: tuple[Path, ...]) -> list[Volume]:
    """Return the volumes with `DCIM/`, of any label, among the children and grandchildren of `roots`."""
    found = []
    for root in roots:
        for directory in _two_levels(root):
            if directories.find_directory(directory, "DCIM") is None:
                continue
            with contextlib.suppress(GhostrollError, OSError):  # it may be gone again
                found.append(card.find_volume(directory))
    return found


def _two_levels(root: Path) -> Iterator[Path]:
    for child in directories.subdirectories(root):
        yield child
        yield from directories.subdirectories(child)


class Alarm(Protocol):
    """Wakes the loop when something may have been plugged in."""

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return when something happened, after `seconds`, or on a stop."""


class Polling:
    """Looks again after a while."""

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait the whole time."""
        stop.wait(seconds)


class Udev:
    """Is woken by the kernel's block devices; a mount follows soon after."""

    def __init__(self) -> None:
        import pyudev  # noqa: PLC0415 - Linux with udev only

        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context())
        self._monitor.filter_by("block")
        self._monitor.start()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait for an event of a block device."""
        deadline = time.monotonic() + seconds
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            if self._monitor.poll(min(left, 0.5)) is not None:
                stop.wait(0.5)  # let it be mounted
                return


def alarm() -> Alarm:
    """Return what wakes the loop on this machine."""
    try:
        return Udev()
    except (ImportError, OSError):
        return Polling()
