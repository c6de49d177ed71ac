"""The steady loop: waits for cards, runs each once per insertion, finishes what is unfinished."""

import contextlib
import functools
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ghostroll import card, pipeline
from ghostroll.card import Volume
from ghostroll.errors import GhostrollError
from ghostroll.invocation import Invocation, finished, told
from ghostroll.log import logger, printable
from ghostroll.record import StatusRecord
from ghostroll.status import CardState, CardStatus, State, Step

WAITING_MESSAGE = "Waiting for SD card…"
_POLL_SECONDS = 2.0
# Unfinished sessions are tried again after this, twice as long each time it fails.
_RETRY_SECONDS, _RETRY_SECONDS_MOST = 15.0, 600.0
# How often it is seen to that the embedded store serves what was shared.
_REVIVE_SECONDS = 60.0
# How long a run is given to write its last word when the loop ends.
_STOP_SECONDS = 1.5


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
    """The loop. Each card is run in a thread of its own, so that none waits for another, or for the network.

    It ends with the invocation's stop, never by a card that fails.
    """

    invocation: Invocation
    poll_seconds: float = _POLL_SECONDS
    _served: dict[Path, card.Presence] = field(default_factory=dict)
    _rejected: set[Path] = field(default_factory=set)
    _runs: list[threading.Thread] = field(default_factory=list)
    _retry_at: float = 0.0
    _revive_at: float = 0.0
    _pause: float = _RETRY_SECONDS

    def until_stopped(self) -> None:
        """Watch."""
        stop = self.invocation.stop
        wake = alarm()
        with ExitStack() as stack:
            record = self.invocation.record(stack, "watch")
            self._idle(record)
            logger.info("Waiting for cards labelled %s.", self.invocation.settings.sd_label)
            while not stop.is_set():
                self._look(record)
                wake.wait(self.poll_seconds, stop)
            for run in self._runs:
                run.join(_STOP_SECONDS)
        logger.info("Stopped watching.")

    def _look(self, record: StatusRecord) -> None:
        """See which cards came and went, and start what there is to do."""
        settings = self.invocation.settings
        self._forget_removed(record)
        present = find_volumes(settings.mount_roots)
        self._rejected &= {volume.root for volume in present}
        for volume in present:
            if not is_ours(settings.sd_label, volume):
                self._reject(record, volume)
            elif volume.root not in self._served and volume.presence:
                self._served[volume.root] = volume.presence
                self._start("card", functools.partial(self._serve, volume))
        if settings.uses_embedded_store and time.monotonic() >= self._revive_at:
            self._revive_at = time.monotonic() + _REVIVE_SECONDS
            if self.invocation.catalog.latest_share():
                self._start("store", self.invocation.opener.revive)
        if time.monotonic() >= self._retry_at:
            self._retry_at = float("inf")  # until this try has ended
            self._start("resume", lambda: self._finish_others(record))

    def _start(self, name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception:  # noqa: BLE001 - a bug in one run must not keep the next card from being saved
                logger.exception("GhostRoll itself failed; it goes on watching.")

        self._runs = [run for run in self._runs if run.is_alive()]
        run = threading.Thread(target=guarded, name=name, daemon=True)
        self._runs.append(run)
        run.start()

    def _serve(self, volume: Volume) -> None:
        """Run one card, once per insertion."""
        with self.invocation.run() as run:
            told(run, lambda: pipeline.run_pipeline(run, volume))
        self._retry_at = min(self._retry_at, time.monotonic() + _RETRY_SECONDS)

    def _reject(self, record: StatusRecord, volume: Volume) -> None:
        """Say, once, why a card is not taken."""
        if volume.root in self._rejected:
            return
        self._rejected.add(volume.root)
        label = printable(volume.label)
        reason = f"Its label is {label}; only {self.invocation.settings.sd_label} is taken (setting sd_label)."
        logger.info("Card at %s left alone. %s", printable(str(volume.root)), reason)
        record.change_card(label=label, state=CardState.REJECTED, reason=reason)

    def _forget_removed(self, record: StatusRecord) -> None:
        for root, presence in list(self._served.items()):
            if _presence(root) == presence:
                continue
            del self._served[root]
            logger.info("Card at %s removed.", printable(str(root)))
            # What waits for the network, or went wrong, is not over with the card.
            record.clear_finished(State.DONE)
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

    def _finish_others(self, record: StatusRecord) -> None:
        """Finish what is unfinished, and say when to try again."""
        pause = min(2 * self._pause, _RETRY_SECONDS_MOST)
        try:
            rows = self.invocation.catalog.unfinished_sessions()
            ended = list(finished(self.invocation, rows))
            if not any(run.problems for run, _ in ended):
                pause = _RETRY_SECONDS
            if any(summary.url for _, summary in ended) and not self._served:
                record.clear_finished(State.DONE)
                self._idle(record)
        finally:
            self._pause = pause
            self._retry_at = time.monotonic() + pause


def _presence(root: Path) -> card.Presence | None:
    try:
        return card.find_volume(root).presence
    except (GhostrollError, OSError):
        return None
