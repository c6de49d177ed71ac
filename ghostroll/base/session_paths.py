"""A session: what one insertion of a card produced. Every path and key of it is made here."""

import os
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ghostroll.base.config import Settings

if TYPE_CHECKING:
    from pathlib import Path

import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

from ghostroll.base.errors import UsageError

_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# What else lies in the base directory.
_RESERVED = frozenset(
    ("store", "status.d", "status.json", "status.png", "ghostroll.db", "sign-anew", "links", "links.key")
)
_STAMP = "shoot-%Y-%m-%d_%H%M%S_%f"
# Letters that no two of look or sound alike on a small panel.
_RECEIPT_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Session:
    """The places of one session, on disk and in the store. Nothing is created by naming it."""

    session_id: str
    base_dir: Path
    prefix_root: str

    def sibling(self, session_id: str) -> "Session":
        """Return another session of the same base directory."""
        return replace(self, session_id=session_id)

    @property
    def directory(self) -> Path:
        """Where everything of this session lies."""
        return self.base_dir / self.session_id

    @property
    def originals(self) -> Path:
        """Verified copies, laid out as on the card."""
        return self.directory / "originals"

    @property
    def share_images(self) -> Path:
        """Derivatives for viewing."""
        return self.directory / "derived" / "share"

    @property
    def thumbnails(self) -> Path:
        """Derivatives for the overview."""
        return self.directory / "derived" / "thumbs"

    @property
    def temporary(self) -> Path:
        """Files on their way; whatever lies here when nobody works on the session is left over."""
        return self.directory / ".incoming"

    @property
    def share_zip(self) -> Path:
        """All share images in one file."""
        return self.directory / "share.zip"

    @property
    def local_page(self) -> Path:
        """The gallery with relative links."""
        return self.directory / "index.html"

    @property
    def s3_page(self) -> Path:
        """The gallery with presigned links, as uploaded."""
        return self.directory / "index.s3.html"

    @property
    def share_text(self) -> Path:
        """The link, one line."""
        return self.directory / "share.txt"

    @property
    def share_qr(self) -> Path:
        """The link's QR code."""
        return self.directory / "share-qr.png"

    @property
    def checksums(self) -> Path:
        """SHA-256 of every original, in the format of sha256sum(1)."""
        return self.directory / "SHA256SUMS"

    @property
    def log(self) -> Path:
        """The story of this session."""
        return self.directory / "ghostroll.log"

    @property
    def receipt(self) -> str:
        """Six letters by which panel and page recognise each other."""
        digest = hashlib.sha256(self.session_id.encode()).digest()
        return "".join(_RECEIPT_LETTERS[byte % len(_RECEIPT_LETTERS)] for byte in digest[:6])

    @property
    def key_prefix(self) -> str:
        """What every key of this session begins with."""
        return f"{self.prefix_root}{self.session_id}/"

    @property
    def page_key(self) -> str:
        """Key of the gallery."""
        return self.key_prefix + "index.html"

    @property
    def zip_key(self) -> str:
        """Key of the zip."""
        return self.key_prefix + "share.zip"

    def share_image(self, name: str) -> Path:
        """Path of the share image with the derivative name `name`."""
        return self.share_images / name

    def thumbnail(self, name: str) -> Path:
        """Path of the thumbnail with the derivative name `name`."""
        return self.thumbnails / name

    def share_key(self, name: str) -> str:
        """Key of the share image with the derivative name `name`."""
        return self.key_prefix + object_name("share/" + name)

    def thumbnail_key(self, name: str) -> str:
        """Key of the thumbnail with the derivative name `name`."""
        return self.key_prefix + object_name("thumbs/" + name)

    def new_temporary(self) -> Path:
        """Return a fresh name below `temporary`, short whatever the file was called."""
        return self.temporary / secrets.token_hex(8)


def new_session_id(now: datetime, latest: str | None) -> str:
    """Return an id for a session that begins `now`, sorting after `latest` even if the clock went back."""
    session_id = now.strftime(_STAMP)
    if latest is not None and session_id <= latest:
        try:
            session_id = (datetime.strptime(latest, _STAMP) + timedelta(microseconds=1)).strftime(_STAMP)  # noqa: DTZ007
        except (ValueError, OverflowError):
            return session_id
    return session_id


def checked_session_id(text: str) -> str:
    """Return `text` if it can be a session id, a directory and a part of a key; raises UsageError if not."""
    if not _ID_PATTERN.fullmatch(text) or text in _RESERVED:
        raise UsageError(f"{text!r} cannot be a session id: use letters, digits, dots, hyphens and underscores.")
    return text


# What Amazon lists as characters to avoid in keys, and = itself, which marks an escape here.
_KEY_ESCAPED = frozenset(b'\\{}^%`[]"<>~#|=?*:&')
_KEY_BYTES_MOST = 700
_PART_BYTES_MOST = 255  # of a filesystem's name, and so of what file-backed stores such as SeaweedFS take


def object_name(path: str) -> str:
    """Return `path` in a form that any S3 store, browser and zip tool takes; different paths stay different.

    Ordinary names, of any language, are unchanged. Other bytes become `=XX`; what is longer than a key (1,024
    bytes with the prefix) or a part of it may be is cut and made unique by a hash after a `~`, else escaped.
    """
    name = "/".join(_cut(_escaped(part), part, _PART_BYTES_MOST) for part in path.split("/"))
    return _cut(name, path, _KEY_BYTES_MOST)


def _cut(name: str, origin: str, bytes_most: int) -> str:
    if len(name.encode()) <= bytes_most:
        return name
    digest = hashlib.sha256(origin.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    ending = f"~{digest}{PurePosixPath(name).suffix[:8]}"
    ending_bytes = len(ending.encode())
    kept = name.encode()[: bytes_most - ending_bytes]
    last_part = kept.rfind(b"/") + 1  # the ending makes it longer
    return kept[: last_part + _PART_BYTES_MOST - ending_bytes].decode("utf-8", "ignore") + ending


def _escaped(text: str) -> str:
    return "".join(_escaped_char(char) for char in text)


def _escaped_char(char: str) -> str:
    raw = char.encode("utf-8", "surrogateescape")
    if char.isprintable() and not (len(raw) == 1 and raw[0] in _KEY_ESCAPED):
        return char
    return "".join(f"={byte:02X}" for byte in raw)


def files_below(top: Path) -> Iterator[tuple[str, int]]:
    """Yield path and size in bytes of every file below a directory."""
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory, name)
            yield str(path.relative_to(top)), path.lstat().st_size


def session_of(settings: Settings, session_id: str) -> Session:
    """Return a session by its id."""
    return Session(session_id, settings.base_dir, settings.s3_prefix_root)
