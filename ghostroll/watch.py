"""The steady loop: waits for cards, runs each once per insertion, finishes what is unfinished."""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ghostroll import card, pipeline
from ghostroll.card import Volume
from ghostroll.errors import GhostrollError
from ghostroll.invocation import Invocation, finished, told
from ghostroll.log import logger, printable
from ghostroll.status import CardState, CardStatus, State, StatusRecord, Step

WAITING_MESSAGE = "Waiting for SD card…"
_POLL_SECONDS = 2.0
# Unfinished sessions are tried again after this, twice as long each time it fails.
_RETRY_SECONDS, _RETRY_SECONDS_MOST = 15.0, 600.0


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
            if card.find_directory(directory, "DCIM") is None:
                continue
            with contextlib.suppress(GhostrollError, OSError):  # it may be gone again
                found.append(card.find_volume(directory))
    return found


def _two_levels(root: Path) -> Iterator[Path]:
    for child in card.subdirectories(root):
        yield child
        yield from card.subdirectories(child)


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


@dataclass
class Watch:
    """The loop. It ends with the invocation's stop, never by a card that fails."""

    invocation: Invocation
    poll_seconds: float = _POLL_SECONDS

    def until_stopped(self) -> None:
        """Watch."""
        stop = self.invocation.stop
        settings = self.invocation.settings
        wake = alarm()
        served: dict[Path, card.Presence] = {}
        rejected: set[Path] = set()
        retry_at, pause = 0.0, _RETRY_SECONDS
        with ExitStack() as stack:
            record = self.invocation.record(stack, "watch")
            self._idle(record)
            logger.info("Waiting for cards labelled %s.", settings.sd_label)
            while not stop.is_set():
                self._forget_removed(record, served)
                present = find_volumes(settings.mount_roots)
                rejected &= {volume.root for volume in present}
                for volume in present:
                    if not is_ours(settings.sd_label, volume):
                        self._reject(record, volume, rejected)
                    elif volume.root not in served and not stop.is_set():
                        self._serve(volume, served)
                        retry_at = 0.0
                if time.monotonic() >= retry_at and not stop.is_set():
                    pause = _RETRY_SECONDS if self._finish_others(record) else min(2 * pause, _RETRY_SECONDS_MOST)
                    retry_at = time.monotonic() + pause
                wake.wait(self.poll_seconds, stop)
        logger.info("Stopped watching.")

    def _serve(self, volume: Volume, served: dict[Path, card.Presence]) -> None:
        """Run one card, once per insertion."""
        try:
            served[volume.root] = card.presence(volume)
        except OSError:
            return
        try:
            with self.invocation.run() as run:
                told(run, lambda: pipeline.run_pipeline(run, volume))
        except Exception:  # noqa: BLE001 - a bug in one run must not keep the next card from being saved
            logger.exception("This card could not be finished: GhostRoll itself failed.")

    def _reject(self, record: StatusRecord, volume: Volume, rejected: set[Path]) -> None:
        """Say, once, why a card is not taken."""
        if volume.root in rejected:
            return
        rejected.add(volume.root)
        label = printable(volume.label)
        reason = f"Its label is {label}; only {self.invocation.settings.sd_label} is taken (setting sd_label)."
        logger.info("Card at %s left alone. %s", printable(str(volume.root)), reason)
        record.change_card(label=label, state=CardState.REJECTED, reason=reason)

    def _forget_removed(self, record: StatusRecord, served: dict[Path, card.Presence]) -> None:
        for root, presence in list(served.items()):
            if _presence(root) == presence:
                continue
            del served[root]
            logger.info("Card at %s removed.", printable(str(root)))
            # What waits for the network is not over with the card.
            record.clear_finished(State.DONE, State.ERROR, State.INTERRUPTED)
            self._idle(record)
            record.change_card(state=CardState.REMOVED)

    def _idle(self, record: StatusRecord) -> None:
        last = self.invocation.catalog.latest_share()
        record.change(
            state=State.IDLE,
            step=Step.WATCH,
            message=WAITING_MESSAGE,
            card=CardStatus(),
            url=last.url if last else None,
            expires_at=last.expires_utc if last else None,
        )

    def _finish_others(self, record: StatusRecord) -> bool:
        """Finish what is unfinished; return whether nothing is left to try again soon."""
        rows = self.invocation.catalog.unfinished_sessions()
        problems = [problem for run, _ in finished(self.invocation, rows) for problem in run.problems]
        if rows and not problems:
            record.clear_finished(State.DONE)
            self._idle(record)
        return not problems


def _presence(root: Path) -> card.Presence | None:
    try:
        volume = card.find_volume(root)
        return card.presence(volume)
    except (GhostrollError, OSError):
        return None
