"""The render stage: makes the derivatives of every original that the catalog has pending."""

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from ghostroll.base import durable
from ghostroll.base.errors import FileFailed, Interrupted, disk_error, translate_disk_errors
from ghostroll.base.session_paths import Session
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import Derivative, Original, RenderState, Shot
from ghostroll.derivatives import Rendered, Task
from ghostroll.derivatives.workers import RenderPool
from ghostroll.status.model import THUMBNAILS_MOST
from ghostroll.status.recorder import StatusRecord

_POLL_SECONDS = 0.2


@dataclass
class RenderStage:
    """Renders one session. `failed` is told (path, step, reason) of each picture that cannot be rendered."""

    session: Session
    catalog: Catalog
    record: StatusRecord
    pool: RenderPool
    failed: Callable[[str, str, str], None]
    stop: threading.Event
    woken: threading.Event = field(default_factory=threading.Event)

    def run(self, more_to_come: Callable[[], bool]) -> None:
        """Render what is pending, until nothing is and no more will come.

        Raises DiskFailed where derivatives cannot be written, Interrupted where the run is asked to end.
        """
        working: dict[Future[Rendered], Original] = {}
        while True:
            # Asked before the catalog is, so that what is saved in between is seen the next time round.
            last_round = not more_to_come()
            self._hand_out(working)
            if not working and last_round:
                return
            if working:
                done, _ = wait(working, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                self._collect([(working.pop(future), future) for future in done])
            else:
                self.woken.wait(_POLL_SECONDS)
                self.woken.clear()
            if self.stop.is_set():
                raise Interrupted("Rendering was interrupted.")

    def _hand_out(self, working: dict[Future[Rendered], Original]) -> None:
        """Keep every worker busy, with one task each in waiting."""
        most = 2 * self.pool.size
        if len(working) >= most:
            return
        at_work = {original.path for original in working.values()}
        for original in self.catalog.pending_renders(self.session.session_id, most + len(working)):
            if original.path not in at_work and len(working) < most:
                working[self.pool.submit(self._task(original))] = original

    def _task(self, original: Original) -> Task:
        name = original.name or ""
        return Task(
            original=self.session.originals / original.path,
            kind=original.kind,
            share=self.session.share_image(name),
            thumbnail=self.session.thumbnail(name),
            temporary=self.session.temporary,
        )

    def _collect(self, finished: list[tuple[Original, Future[Rendered]]]) -> None:
        """Flush and record what the workers made."""
        shots = []
        for original, future in finished:
            try:
                shots.append(self._shot(original, future.result()))
            except FileFailed as error:
                self.failed(original.path, "derive", str(error))
                self.catalog.set_render(self.session.session_id, original.path, RenderState.FAILED)
            except OSError as error:
                raise disk_error(error) from error
        if not shots:
            return
        with translate_disk_errors():
            self._flush(shots)
        self.catalog.record_rendered(self.session.session_id, shots)
        self.record.add(processed=len(shots))
        self._show(shots)

    def _flush(self, shots: list[Shot]) -> None:
        files = [self.session.share_image(shot.share.name) for shot in shots]
        files += [self.session.thumbnail(shot.thumb.name) for shot in shots]
        durable.flush_files(files + list({file.parent for file in files}))

    def _show(self, shots: list[Shot]) -> None:
        shown = self.record.status.thumbnails
        if len(shown) < THUMBNAILS_MOST:
            more = tuple(str(self.session.thumbnail(shot.thumb.name)) for shot in shots)
            self.record.change(thumbnails=(shown + more)[:THUMBNAILS_MOST])

    def _shot(self, original: Original, rendered: Rendered) -> Shot:
        name = original.name or ""
        share = Derivative(
            path=original.path,
            role="share",
            name=name,
            s3_key=self.session.share_key(name),
            sha256=rendered.share_sha256,
            size_bytes=rendered.share_bytes,
            width=rendered.share_size[0],
            height=rendered.share_size[1],
        )
        thumb = Derivative(
            path=original.path,
            role="thumb",
            name=name,
            s3_key=self.session.thumbnail_key(name),
            sha256=rendered.thumb_sha256,
            size_bytes=rendered.thumb_bytes,
            width=rendered.thumb_size[0],
            height=rendered.thumb_size[1],
        )
        return Shot(original, rendered.captured, rendered.camera, share, thumb)
