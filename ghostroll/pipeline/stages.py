"""The three stages of a session at work at once: saving the card, rendering, uploading.

They meet only in the catalog, which is the queue between them: no stage waits for a later one, and none
holds more in memory than it works on. The main thread waits, and tells how far things are.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ghostroll.base import log
from ghostroll.base.background import run_in_thread
from ghostroll.base.errors import (
    CardFailed,
    ConfigurationError,
    CredentialsRefused,
    GhostrollError,
    Interrupted,
    StoreUnreachable,
    translate_disk_errors,
)
from ghostroll.base.session_paths import Session
from ghostroll.card.scan import Scan
from ghostroll.catalog.models import RenderState
from ghostroll.derivatives import Recipe
from ghostroll.derivatives.stage import RenderStage
from ghostroll.derivatives.workers import RenderPool
from ghostroll.ingest.plan import Plan, changed_files, plan_reread
from ghostroll.ingest.stage import Ingest
from ghostroll.pipeline.format_check import conclude_card
from ghostroll.pipeline.progress import Progress
from ghostroll.pipeline.run import Run
from ghostroll.pipeline.select_session import SessionChoice
from ghostroll.recovery.orphans import catalogue_orphans
from ghostroll.store.retry import Backoff
from ghostroll.store.upload_stage import UploadStage

if TYPE_CHECKING:
    from ghostroll.store.s3 import Store

_POLL_SECONDS = 0.2
# A thread that hangs in the network when a stop is asked for is left behind.
_STOP_SECONDS = 1.0
# What keeps a session from being shared, but not from being saved and rendered.
_STORE_PROBLEMS = (StoreUnreachable, CredentialsRefused, ConfigurationError)


class Stages:
    """Works on one session. Leaving the context ends every thread, at once where a stop was asked for."""

    def __init__(self, run: Run, session: Session) -> None:
        self._run = run
        self._session = session
        self._pictures_saved = threading.Event()
        self._saved = threading.Event()
        self._rendered = threading.Event()
        self._threads: list[threading.Thread] = []
        self._fatal: list[tuple[str, BaseException]] = []
        self._store_problem: GhostrollError | None = None
        self._left_behind = False  # a request that does not end is not waited for
        self.store: Store | None = None
        self.backoff = Backoff(run.give_up_seconds, run.stop, self._tell_waiting, run.heartbeat)
        settings = run.settings
        recipe = Recipe(
            settings.share_max_long_edge,
            settings.share_quality,
            settings.thumb_max_long_edge,
            settings.thumb_quality,
        )
        self._pool = RenderPool(recipe, settings.process_workers)
        self._render = RenderStage(session, run.catalog, run.record, self._pool, self._failed, run.stop)
        self._upload = UploadStage(session, run.catalog, run.record, self.backoff, settings.upload_workers, run.stop)
        self._progress = Progress(run, session)

    def __enter__(self) -> Self:
        self._pool.__enter__()
        self._start("render", self._run_render)
        self._start("upload", self._run_upload)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or self._left_behind:
            self._run.stop.set()
        self._pool.__exit__(kind, error, trace)
        deadline = time.monotonic() + _STOP_SECONDS if self._run.stop.is_set() else None
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def start_saving(self, choice: SessionChoice, found: Scan, plan: Plan, *, rehash: bool) -> None:
        """Read the card in a thread of its own, and close its books at the end."""
        self._start("save", lambda: self._save(choice, found, plan, rehash=rehash))

    def nothing_to_save(self) -> None:
        """Work on what is saved already."""
        self._pictures_saved.set()
        self._all_saved()

    def wait_for_pictures(self) -> None:
        """Wait until every still is in the store, or there is no more reason to: all is saved, or no store."""
        self._wait(self._pictures_are_shared)

    def wait_for_renders(self) -> None:
        """Wait until the card is saved and all derivatives are made."""
        self._wait(self._rendered.is_set)

    def wait_for_uploads(self) -> None:
        """Wait until all derivatives are in the store; raises what keeps them from it."""
        self._wait(lambda: not self._uploading() or self.backoff.is_over)
        if self._uploading():
            self._left_behind = True
            raise self._no_answer
        if self.store is None or self._store_problem:
            raise self._store_problem or StoreUnreachable("The store was not reached.")

    def attend(self, work: Callable[[], None], *, patient: bool = True) -> None:
        """Do `work`, which may take long, in a thread: this one must hear a signal while that waits.

        Without `patient` it is left behind, as StoreUnreachable, when backoff with the store is over.
        """
        done = run_in_thread(work, "publish")
        self._wait(lambda: done.done() or (not patient and self.backoff.is_over))
        if not done.done():
            self._left_behind = True
            raise self._no_answer
        done.result()

    @property
    def _no_answer(self) -> StoreUnreachable:
        return self._progress.waiting_for_store or StoreUnreachable("The store does not answer.")

    def leave_uploads(self) -> None:
        """Wait for no upload any more: there is nothing to share."""
        self._left_behind = True

    @property
    def is_saving(self) -> bool:
        """Whether the card is still being read."""
        return not self._saved.is_set()

    def upload_again(self) -> None:
        """Upload, in this thread, what turned out to be missing in the store."""
        if self.store:
            self._upload.run(self.store, lambda: False)

    # The threads

    def _start(self, name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again in the main thread
                self._fatal.append((name, error))

        thread = log.new_thread(guarded, name)
        self._threads.append(thread)
        thread.start()

    def _save(self, choice: SessionChoice, found: Scan, plan: Plan, *, rehash: bool) -> None:
        run, session, volume = self._run, self._session, choice.volume
        ingest = Ingest(
            volume, session, run.catalog, run.record, self._failed, run.stop,
            verify=run.settings.verify == "readback", rehash=rehash, on_saved=self._render.woken.set,
            heartbeat=run.heartbeat, is_eject_requested=lambda: run.slot is not None and run.slot.is_eject_requested,
        )  # fmt: skip
        try:
            ingest.read(plan.stills())
            ingest.finish()
            self._pictures_saved.set()
            ingest.read(plan.others())
            ingest.finish()
            if changed := changed_files(volume, plan.known, run.stop, run.heartbeat):
                run.record.add(skipped=-len(changed), new=len(changed), saved=-len(changed))
                run.record.add_bytes(total=sum(file.size_bytes for file in changed))
                names = (*choice.names, *(planned.name for planned in plan.to_read if planned.name))
                ingest.read(plan_reread(changed, found, names))
                ingest.finish()
        except CardFailed as error:
            if run.stop.is_set():  # pulled from a run that was asked to end: that is its outcome; the card was not read
                raise Interrupted("The copy was interrupted.") from error
            run.report_problem(error)
        finally:
            ingest.close()
        with translate_disk_errors():
            catalogue_orphans(run.catalog, session, run.heartbeat)
            conclude_card(run, volume, found, plan, session)
        self._pictures_saved.set()
        self._all_saved()

    def _all_saved(self) -> None:
        self._saved.set()
        self.backoff.begin()
        self._render.woken.set()

    def _run_render(self) -> None:
        self._render.run(lambda: self.is_saving)
        self.backoff.all_is_ready()  # a small machine may render for longer than backoff lasts
        self._rendered.set()

    def _run_upload(self) -> None:
        try:
            self.store = self.backoff.keep_trying(self._run.open_store)
            self._upload.run(self.store, lambda: not self._rendered.is_set())
        except _STORE_PROBLEMS as error:
            self._store_problem = error

    # Waiting and telling

    def _wait(self, until: Callable[[], bool]) -> None:
        while not until():
            self._raise_fatal()
            if self._run.stop.wait(_POLL_SECONDS):
                raise Interrupted("Interrupted. What was saved is safe.")
            self._progress.tell(saving=self.is_saving, rendering=not self._rendered.is_set())
        self._raise_fatal()

    def _raise_fatal(self) -> None:
        """Raise what ended a stage; what is wrong with rendering or sharing waits until the card is saved."""
        for name, error in self._fatal:
            if name == "save" or not self.is_saving:
                raise error

    def _uploading(self) -> bool:
        return any(thread.is_alive() for thread in self._threads if thread.name == "upload")

    def _pictures_are_shared(self) -> bool:
        if not self.is_saving or not self._uploading():
            return True
        if not self._pictures_saved.is_set() or self.store is None:
            return False
        catalog, session_id = self._run.catalog, self._session.session_id
        return not (catalog.count_renders(session_id, RenderState.PENDING) or self._upload.has_pending(self.store))

    def _failed(self, path: str, step: str, reason: str) -> None:
        self._run.report_failure(self._session.session_id, path, step, reason)

    def _tell_waiting(self, error: StoreUnreachable | None) -> None:
        self._progress.waiting_for_store = error
        if error is not None:
            with contextlib.suppress(StoreUnreachable):  # it is tried again
                self._run.revive_store()
