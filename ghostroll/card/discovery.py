"""Find mounted cards and wait for new ones, on machines where no udev rule starts the runs."""

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
    """Tell whether `label` is `wanted`, or `wanted` with a space and a number, ignoring case. `*` matches any label."""
    return wanted == "*" or bool(re.fullmatch(rf"{re.escape(wanted)}(?: \d+)?", label, re.IGNORECASE))


def is_accepted(wanted: str, volume: Volume) -> bool:
    """Tell whether a volume's label, or the name of its mount point, matches `sd_label`."""
    return label_matches(wanted, volume.label) or label_matches(wanted, volume.root.name)


def find_volumes(roots: tuple[Path, ...]) -> list[Volume]:
    """Return the volumes with `DCIM/`, of any label, among the children and grandchildren of `roots`."""
    found = []
    for root in roots:
        for directory in _two_levels(root):
            if directories.find_directory(directory, "DCIM") is None:
                continue
            with contextlib.suppress(GhostrollError, OSError):  # removed meanwhile
                found.append(card.find_volume(directory))
    return found


def _two_levels(root: Path) -> Iterator[Path]:
    for child in directories.subdirectories(root):
        yield child
        yield from directories.subdirectories(child)


class HotplugTrigger(Protocol):
    """Wakes the watch loop when a card may have been inserted."""

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return after an event, after `seconds`, or on a stop."""


class PollingTrigger:
    """Wakes after the full timeout, for machines without udev."""

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait for the whole time or a stop."""
        stop.wait(seconds)


class UdevTrigger:
    """Wakes on events of block devices."""

    def __init__(self) -> None:
        import pyudev  # noqa: PLC0415 - Linux with udev only

        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context())
        self._monitor.filter_by("block")
        self._monitor.start()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return soon after an event of a block device, after `seconds`, or on a stop."""
        deadline = time.monotonic() + seconds
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            if self._monitor.poll(min(left, 0.5)) is not None:
                stop.wait(0.5)  # the mount follows the event
                return


def hotplug_trigger() -> HotplugTrigger:
    """Return the trigger for this machine: udev, else polling."""
    try:
        return UdevTrigger()
    except (ImportError, OSError):
        return PollingTrigger()
