"""Bringing a session to its guests: local gallery and zip, then page and link in the store."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ghostroll.base import durable
from ghostroll.base.errors import (
    ConfigurationError,
    CredentialsRefused,
    FileFailed,
    GhostrollError,
    Interrupted,
    NotSharedYet,
    translate_disk_errors,
)
from ghostroll.base.log import logger
from ghostroll.base.session_paths import Session
from ghostroll.base.text import rfc3339
from ghostroll.catalog.manifests import write_manifests
from ghostroll.catalog.models import RenderState, SessionState, Shot
from ghostroll.gallery import page as gallery
from ghostroll.gallery import publish, qr
from ghostroll.pipeline import narration
from ghostroll.pipeline.run import Run
from ghostroll.pipeline.stages import Stages
from ghostroll.shortlink import registry
from ghostroll.status.model import Step
from ghostroll.store.retry import HighWaterMark
from ghostroll.store.upload_stage import refill

if TYPE_CHECKING:
    from ghostroll.store.s3 import Store


def share_whole(run: Run, session: Session, stages: Stages) -> None:
    """Write the gallery and the zip on disk, then publish all; raises DiskFailed."""
    stages.attend(lambda: _write_local(run, session))
    share(run, session, stages)


def _write_local(run: Run, session: Session) -> None:
    run.record.change(step=Step.GALLERY, message="Making the gallery.")
    shots = run.catalog.shots(session.session_id)
    with translate_disk_errors():
        has_zip = publish.write_zip(session, shots, run.heartbeat)
        durable.write_atomically(session.local_page, _local_page(run, session, shots, has_zip=has_zip))


def share_early(run: Run, session: Session, stages: Stages) -> None:
    """Publish the stills while RAW files and video are still being read; what fails now is done at the end."""
    if stages.store is None or not run.catalog.shots(session.session_id, uploaded_to=stages.store.identity):
        return
    store = stages.store
    stages.attend(lambda: _try_early(run, session, store))


def _try_early(run: Run, session: Session, store: "Store") -> None:
    try:
        _publish(run, session, store, whole=False, got_through=lambda: None)
    except (GhostrollError, OSError) as error:
        logger.warning("Not shared yet: %s", error)


def share(run: Run, session: Session, stages: Stages) -> None:
    """Publish the whole session; what keeps it from that is reported as the run's problem."""
    try:
        stages.wait_for_uploads()
        stages.backoff.made_progress()
        run.record.change(step=Step.PUBLISH, message="Opening the gallery.")
        high_water = HighWaterMark(stages.backoff.made_progress)
        stages.attend(
            lambda: stages.backoff.keep_trying(lambda: _publish_whole(run, session, stages, high_water)), patient=False
        )
    except Interrupted:
        raise
    except (NotSharedYet, CredentialsRefused, ConfigurationError) as error:
        run.report_problem(error)
    except FileFailed as error:  # zip or page changed while they were sent
        run.report_problem(NotSharedYet(str(error)))
    else:
        if not run.catalog.count_renders(session.session_id, RenderState.PENDING):
            with translate_disk_errors():  # first, since nobody works on a session any more that is shared
                write_manifests(run.catalog, session, state=SessionState.SHARED)
            run.catalog.set_state(session.session_id, SessionState.SHARED)


def _publish_whole(run: Run, session: Session, stages: Stages, high_water: HighWaterMark) -> None:
    store = stages.store
    assert store is not None  # noqa: S101 - wait_for_uploads has seen it
    if refill(session, run.catalog, store):
        stages.upload_again()
    high_water.begin()
    _publish(run, session, store, whole=True, got_through=high_water.step)
    store.settle()


def _publish(run: Run, session: Session, store: "Store", *, whole: bool, got_through: Callable[[], None]) -> None:
    """Zip, page, link: whatever is named is already there. Raises DiskFailed besides what the store raises.

    `got_through` is called whenever a part of it did: a zip may take minutes on a slow network.
    """
    with translate_disk_errors():
        _publish_in_order(run, session, store, whole=whole, got_through=got_through)


def _publish_in_order(
    run: Run, session: Session, store: "Store", *, whole: bool, got_through: Callable[[], None]
) -> None:
    has_zip = whole and session.share_zip.exists()
    if has_zip and publish.upload_zip(session, run.catalog, store, got_through, run.heartbeat):
        run.record.add(uploaded=1)
    shots = run.catalog.shots(session.session_id, uploaded_to=store.identity)
    zip_bytes = session.share_zip.stat().st_size if has_zip else None
    open_gallery(run, session, store, shots, zip_bytes=zip_bytes, got_through=got_through)


def open_gallery(
    run: Run,
    session: Session,
    store: "Store",
    shots: list[Shot],
    *,
    zip_bytes: int | None,
    got_through: Callable[[], None],
) -> None:
    """Make the page of these pictures, upload it, try its link and show that; all of it is in the store.

    Where the session's directory is gone, nothing is written there. Raises OSError besides what the store raises.
    """
    now = store.now()
    presign = store.presigner(_expiry_seconds(run, store, now), now)
    page = gallery.build_page(
        gallery.Page(
            title="",
            receipt=session.receipt,
            created=now,
            photos=_photos(shots),
            companions=(),
            links=gallery.StoreLinks(session, presign),
            zip_bytes=zip_bytes,
            expires_at=presign.expires_at,
            image_source=store.image_origin(),
        )
    )
    if session.directory.is_dir():
        publish.keep_page(session, page)
    packed = publish.upload_page(session, run.catalog, store, page)
    run.record.add(uploaded=1)
    got_through()
    url = run.link or presign(session.page_key)
    publish.try_link(store, url, packed)
    if run.link is None:
        run.link = url
        _announce(run, session, url, presign.expires_at)


def _announce(run: Run, session: Session, url: str, expires_at: datetime) -> None:
    """The link answered: now, and not before, it is shown."""
    if session.directory.is_dir():
        publish.write_share(session, url, qr.qr_png(url))
    run.catalog.set_share(session.session_id, url=url, expires_utc=rfc3339(expires_at))
    short = registry.of_session(run.settings, run.catalog, session.session_id)
    run.record.change(url=url, short_url=short.url, expires_at=rfc3339(expires_at))
    narration.shared(run, session, url, expires_at, qr.qr_terminal(url, ansi=False))
    narration.short_link(url, short)


def _expiry_seconds(run: Run, store: "Store", now: datetime) -> int:
    """Return how long a link signed now is valid: with temporary credentials it dies with them."""
    wanted = run.settings.presign_expiry_seconds
    end = store.credentials_expire_at()
    if end is None or end >= now + timedelta(seconds=wanted):
        return wanted
    logger.warning("The link works only until %s: the credentials end then.", end.astimezone().strftime("%d %B, %H:%M"))
    return max(1, int((end - now).total_seconds()))


def _local_page(run: Run, session: Session, shots: list[Shot], *, has_zip: bool) -> str:
    shown = {shot.original.path for shot in shots}
    originals = run.catalog.originals(session.session_id)
    return gallery.build_page(
        gallery.Page(
            title="",
            receipt=session.receipt,
            created=datetime.now().astimezone(),
            photos=_photos(shots),
            companions=[
                gallery.Companion(original.path, original.size_bytes, original.kind)
                for original in originals
                if original.path not in shown
            ],
            links=gallery.LocalLinks(),
            zip_bytes=session.share_zip.stat().st_size if has_zip else None,
            expires_at=None,
            image_source=gallery.LOCAL_IMAGE_SOURCE,
        )
    )


def _photos(shots: list[Shot]) -> list[gallery.Photo]:
    return [
        gallery.Photo(
            name=shot.share.name,
            title=shot.original.path,
            captured=shot.captured,
            camera=shot.camera,
            share_size=(shot.share.width, shot.share.height),
            thumb_size=(shot.thumb.width, shot.thumb.height),
            share_bytes=shot.share.size_bytes,
        )
        for shot in shots
    ]
