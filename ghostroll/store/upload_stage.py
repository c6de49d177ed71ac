"""The upload stage: brings every derivative that the catalog has pending into the store, patiently."""

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ghostroll.base.errors import FileFailed, Interrupted
from ghostroll.base.log import logger
from ghostroll.base.session_paths import Session
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import Derivative
from ghostroll.status.recorder import StatusRecord
from ghostroll.store.retry import Backoff, HighWaterMark

if TYPE_CHECKING:
    from ghostroll.store.s3 import Store


_POLL_SECONDS = 0.2
# Derivatives never change under their key; the link is as private as the page.
PICTURE_CACHE_CONTROL = "private, max-age=604800, immutable"


@dataclass
class UploadStage:
    """Uploads one session's derivatives."""

    session: Session
    catalog: Catalog
    record: StatusRecord
    backoff: Backoff
    workers: int
    stop: threading.Event
    woken: threading.Event = field(default_factory=threading.Event)
    _at_once: int = field(init=False)  # fewer after a failure, one more after each success, up to `workers`
    _furthest: dict[str, HighWaterMark] = field(
        default_factory=dict, init=False
    )  # of what was tried and is not sent yet
    _done_up_to: int = field(default=0, init=False)  # every derivative with this number or a smaller one is sent

    def __post_init__(self) -> None:
        self._at_once = self.workers

    def run(self, store: "Store", more_to_come: Callable[[], bool]) -> None:
        """Upload what is pending, until nothing is and no more will come.

        Raises StoreUnreachable, CredentialsRefused, ConfigurationError, Interrupted.
        """
        self._done_up_to = 0
        with ThreadPoolExecutor(self.workers, thread_name_prefix="upload") as pool:
            while True:
                last_round = not more_to_come()
                idle = self.backoff.keep_trying(lambda: self._round(store, pool))
                if idle and last_round:
                    return
                if idle:
                    self.woken.wait(_POLL_SECONDS)
                    self.woken.clear()
                if self.stop.is_set():
                    raise Interrupted("The upload was interrupted.")

    def has_pending(self, store: "Store") -> bool:
        """Tell whether anything that was rendered is not in the store yet."""
        session_id = self.session.session_id
        return bool(self.catalog.pending_uploads(session_id, store.identity, 1, after=self._done_up_to))

    def _round(self, store: "Store", pool: ThreadPoolExecutor) -> bool:
        """Upload until nothing is pending; return whether there was nothing to do. The first error ends the round."""
        flying: dict[Future[None], Derivative] = {}
        error: BaseException | None = None
        idle = True
        while True:
            if error is None and not self.stop.is_set():
                self._send_off(store, pool, flying)
            if not flying:
                break
            idle = False
            done, _ = wait(flying, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            landed = [(future, flying.pop(future)) for future in done]
            self._record(store, [derivative for future, derivative in landed if future.exception() is None])
            for future, derivative in landed:
                if isinstance(failed := future.exception(), FileFailed):
                    self._make_anew(derivative, failed)
                else:
                    error = error or failed
        if error:
            self._at_once = max(1, self._at_once // 2)  # a store or a network that has too much to do gets less
            raise error
        return idle

    def _send_off(self, store: "Store", pool: ThreadPoolExecutor, flying: dict[Future[None], Derivative]) -> None:
        enough = most = self._at_once
        if self._at_once == self.workers:  # all goes well: the next ones wait in the pool, so that no thread waits
            enough, most = self.workers + 1, 2 * self.workers
        if len(flying) >= enough:
            return
        keys = {derivative.s3_key for derivative in flying.values()}
        pending = self.catalog.pending_uploads(
            self.session.session_id, store.identity, most + len(flying), after=self._done_up_to
        )
        if pending:
            self._done_up_to = pending[0].number - 1
        for derivative in pending:
            if derivative.s3_key not in keys and len(flying) < most:
                flying[pool.submit(self._put, store, derivative)] = derivative

    def _put(self, store: "Store", derivative: Derivative) -> None:
        high_water = self._furthest.setdefault(derivative.s3_key, HighWaterMark(self.backoff.made_progress))
        high_water.begin()
        places = {"share": self.session.share_image, "thumb": self.session.thumbnail}
        store.put(
            derivative.s3_key,
            places[derivative.role](derivative.name),
            sha256=derivative.sha256,
            size_bytes=derivative.size_bytes,
            content_type="image/jpeg",
            cache_control=PICTURE_CACHE_CONTROL,
            part_sent=high_water.step,
        )
        self._furthest.pop(derivative.s3_key, None)

    def _make_anew(self, derivative: Derivative, error: FileFailed) -> None:
        """A derivative is not on disk as it was recorded: its original, which is safe, gets new ones."""
        logger.warning("%s It is made anew.", error)
        self.catalog.render_again(self.session.session_id, [derivative.path])
        self._done_up_to = 0

    def _record(self, store: "Store", uploaded: list[Derivative]) -> None:
        if uploaded:
            self.backoff.made_progress()
            self._at_once = min(self.workers, self._at_once + len(uploaded))
            self.catalog.record_uploaded(
                store.identity, [(each.s3_key, each.sha256, each.size_bytes) for each in uploaded]
            )
            self.record.add(uploaded=len(uploaded))


def refill(session: Session, catalog: Catalog, store: "Store") -> bool:
    """Forget uploads that the store does not have as we sent them; return whether any were missing.

    What was cut off in the middle of an upload is removed from there. A store that does not let us list is believed.
    """
    store.abort_unfinished(session.key_prefix)
    present = store.listing(session.key_prefix)
    if present is None:
        return False
    missing = [
        key
        for key, size_bytes in catalog.uploads(session.key_prefix, store.identity).items()
        if present.get(key) != size_bytes
    ]
    if missing:
        logger.warning("%d of this session's files are missing in the store: they are sent again.", len(missing))
        catalog.forget_uploads(missing)
    return bool(missing)
