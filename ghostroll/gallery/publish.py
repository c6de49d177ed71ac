"""Publishing a session: the zip, the page, the link that was seen to work.

The order is the invariant: pictures, zip, page, link. Whatever is named is already there.
"""

import gzip
import hashlib
import os
import zipfile
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from ghostroll.base import durable
from ghostroll.base.errors import StoreUnreachable
from ghostroll.base.session_paths import Session, object_name
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import Shot

if TYPE_CHECKING:
    from ghostroll.store.s3 import Store

ZIP_CACHE_CONTROL = "private, no-cache"
# The page is replaced in place when more pictures come.
PAGE_CACHE_CONTROL = "private, no-cache"
# The dates that a zip can hold (APPNOTE.TXT 4.4.6: MS-DOS date).
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_ZIP_END = (2107, 12, 31, 23, 59, 58)
# How much of a zip waits for one flush: a minute's work for the slowest disk.
_FLUSH_BYTES = 64 << 20


def write_zip(session: Session, shots: list[Shot], heartbeat: Callable[[], None] = lambda: None) -> bool:
    """Write all share images into `share.zip`, stored; return whether there are any. Raises OSError.

    The same pictures give the same bytes, so that a repeated upload is recognised. `heartbeat` is called per picture.
    The file is flushed on the way: flushing gigabytes at the end would take minutes without a heartbeat.
    """
    if not shots:
        session.share_zip.unlink(missing_ok=True)
        return False
    temporary = session.new_temporary()
    with temporary.open("wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        flushed_bytes = 0
        for shot in sorted(shots, key=lambda shot: os.fsencode(shot.share.name)):
            _add_to_zip(archive, session, shot)
            if file.tell() - flushed_bytes >= _FLUSH_BYTES:
                durable.flush_file(file)
                flushed_bytes = file.tell()
            heartbeat()
    durable.flush_and_rename([(temporary, session.share_zip)])
    return True


def _add_to_zip(archive: zipfile.ZipFile, session: Session, shot: Shot) -> None:
    entry = zipfile.ZipInfo(object_name(shot.share.name), _zip_date(shot.captured))
    entry.external_attr = 0o644 << 16
    with session.share_image(shot.share.name).open("rb") as image, archive.open(entry, "w") as target:
        while chunk := image.read(durable.CHUNK_BYTES):
            target.write(chunk)


def _zip_date(captured: str | None) -> tuple[int, int, int, int, int, int]:
    try:
        moment = datetime.fromisoformat(captured or "")
    except ValueError:
        return _ZIP_EPOCH
    date = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return min(max(date, _ZIP_EPOCH), _ZIP_END)


def upload_zip(
    session: Session, catalog: Catalog, store: "Store", part_sent: Callable[[], None], heartbeat: Callable[[], None]
) -> bool:
    """Upload `share.zip` unless the store has it as it is; return whether it was sent.

    `part_sent` is called as it moves, `heartbeat` for each MiB while it is hashed before that.
    """
    sha256 = durable.sha256_of(session.share_zip, heartbeat)
    if catalog.upload(session.zip_key) == (sha256, store.identity):
        return False
    size_bytes = session.share_zip.stat().st_size
    store.put(
        session.zip_key,
        session.share_zip,
        sha256=sha256,
        size_bytes=size_bytes,
        content_type="application/zip",
        cache_control=ZIP_CACHE_CONTROL,
        part_sent=part_sent,
    )
    catalog.record_uploaded(store.identity, [(session.zip_key, sha256, size_bytes)])
    return True


def keep_page(session: Session, page: str) -> None:
    """Write the page that is about to be uploaded to `index.s3.html`."""
    durable.write_atomically(session.s3_page, page)


def upload_page(session: Session, catalog: Catalog, store: "Store", page: str) -> bytes:
    """Upload the page as `index.html`, and return the bytes as stored."""
    packed = gzip.compress(page.encode(), 6, mtime=0)
    sha256 = hashlib.sha256(packed).hexdigest()
    store.put(
        session.page_key,
        packed,
        sha256=sha256,
        size_bytes=len(packed),
        content_type="text/html; charset=utf-8",
        cache_control=PAGE_CACHE_CONTROL,
        content_encoding="gzip",
    )
    catalog.record_uploaded(store.identity, [(session.page_key, sha256, len(packed))])
    return packed


def try_link(store: "Store", url: str, expected: bytes) -> None:
    """Open the link once as a guest would; raises StoreUnreachable unless it gives the page."""
    if store.fetch(url) != expected:
        raise StoreUnreachable(
            "The link answers with something other than the gallery.",
            hint="A captive portal may stand between here and the store: open its page and sign in.",
        )


def write_share(session: Session, url: str, qr_png: bytes) -> None:
    """Write `share.txt` and `share-qr.png`."""
    durable.write_atomically(session.share_qr, qr_png)
    durable.write_atomically(session.share_text, url + "\n")
