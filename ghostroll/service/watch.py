"""The steady loop: waits for cards, runs each once per insertion, finishes what is unfinished."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ghostroll.base.errors import DiskFailed, GhostrollError, translate_disk_errors
from ghostroll.base.log import logger, printable
from ghostroll.card import volume as card
from ghostroll.card.discovery import find_volumes, hotplug_trigger, is_accepted
from ghostroll.card.volume import Volume
from ghostroll.pipeline import pipeline
from ghostroll.pipeline.invocation import Invocation, capture_errors
from ghostroll.service.latest_link import LatestLink
from ghostroll.service.maintenance import Maintenance
from ghostroll.service.run_journal import RunJournal
from ghostroll.status.model import CardState, CardStatus, State, Step
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind
from ghostroll.status.systemd import SystemdNotifier

WAITING_MESSAGE = "Waiting for SD card…"
_POLL_SECONDS = 2.0
# How long runs are given, all together, to write their last words when the loop ends.
_STOP_SECONDS = 1.5


@dataclass
class Watch:
    """The loop. Each card is run in a thread of its own, so that none waits for another, or for the network.

    It ends with the invocation's stop, never by a card that fails.
    """

    invocation: Invocation
    poll_seconds: float = _POLL_SECONDS
    _served: dict[Path, card.Medium] = field(default_factory=dict)
    _rejected: set[Path] = field(default_factory=set)
    _runs: list[threading.Thread] = field(default_factory=list)
    _trouble: str = ""

    def until_stopped(self) -> None:
        """Watch."""
        stop = self.invocation.stop
        wake = hotplug_trigger()
        with ExitStack() as stack:
            notifier = SystemdNotifier()
            record = self.invocation.record(stack, RunKind.WATCH, notifier)
            link = LatestLink(self.invocation.settings, self.invocation.catalog, record)
            record.change(state=State.IDLE, step=Step.WATCH, message=WAITING_MESSAGE)
            logger.info("Waiting for cards labelled %s.", self.invocation.settings.sd_label)
            maintenance = Maintenance(self.invocation)
            journal = RunJournal(self.invocation.run_records, self.invocation.run_ids.__contains__)
            journal.begin()
            while not stop.is_set():
                with self._going_on():
                    self._look(record, maintenance)
                    self._keep_status_current(record, link)
                    journal.update()
                notifier.heartbeat()  # what hangs here is noticed by systemd
                wake.wait(self.poll_seconds, stop)
            deadline = time.monotonic() + _STOP_SECONDS
            for run in self._runs:
                run.join(max(0.0, deadline - time.monotonic()))
            self.invocation.leave_runs()
        logger.info("Stopped watching.")

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Let a disk that fails, such as a full one, end nothing: it is tried again at the next turn, and said once."""
        try:
            with translate_disk_errors():
                yield
            self._trouble = ""
        except DiskFailed as error:
            if str(error) != self._trouble:
                logger.warning("%s %s", error, error.hint)
            self._trouble = str(error)

    def _look(self, record: StatusRecord, maintenance: Maintenance) -> None:
        """See which cards came and went, and start what there is to do."""
        settings = self.invocation.settings
        self._forget_removed(record)
        present = find_volumes(settings.mount_roots)
        if left := self._rejected - {volume.root for volume in present}:
            self._rejected -= left
            record.change(card=CardStatus(state=CardState.REMOVED))
        for volume in present:
            if not is_accepted(settings.sd_label, volume):
                self._reject(record, volume)
            elif volume.root not in self._served and volume.medium:
                self._served[volume.root] = volume.medium
                self._start("card", functools.partial(self._serve, volume, maintenance))
        card_at_work = any(run.name == "card" and run.is_alive() for run in self._runs)
        for name, work in maintenance.due(card_at_work=card_at_work):
            self._start(name, work)

    def _start(self, name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except GhostrollError as error:
                logger.warning("%s %s", error, error.hint)
            except Exception:  # noqa: BLE001 - a bug in one run must not keep the next card from being saved
                logger.exception("GhostRoll itself failed; it goes on watching.")

        self._runs = [run for run in self._runs if run.is_alive()]
        run = threading.Thread(target=guarded, name=name, daemon=True)
        self._runs.append(run)
        run.start()

    def _serve(self, volume: Volume, maintenance: Maintenance) -> None:
        """Run one card, once per insertion."""
        with self.invocation.run() as run:
            capture_errors(run, lambda: pipeline.run_pipeline(run, volume))
            is_in = self._served.get(volume.root) == volume.medium
            if run.record.status.card.state is CardState.SAFE and not is_in:  # pulled while its pictures went up
                run.record.change_card(state=CardState.REMOVED)
        maintenance.card_done(run)

    def _keep_status_current(self, record: StatusRecord, link: LatestLink) -> None:
        """Have the status show what has changed in the world, and the short link tried if the link has changed."""
        status = record.refresh()
        is_trying = any(run.name == "link" and run.is_alive() for run in self._runs)
        if status and not is_trying and link.is_due(status):
            self._start("link", functools.partial(link.look, status))

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
        for root, medium in list(self._served.items()):
            if _current_medium(root) == medium:
                continue
            del self._served[root]
            logger.info("Card at %s removed.", printable(str(root)))
            record.change(card=CardStatus(state=CardState.REMOVED))


def _current_medium(root: Path) -> card.Medium | None:
    try:
        return card.find_volume(root).medium
    except (GhostrollError, OSError):
        return None
