"""The ids, paths and keys of sessions."""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from ghostroll.base.errors import UsageError
from ghostroll.base.settings import Settings

_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Other names in the base directory.
_RESERVED = frozenset(
    ("store", "status.d", "status.json", "status.png", "ghostroll.db", "sign-anew", "links", "links.key")
)
_STAMP = "shoot-%Y-%m-%d_%H%M%S_%f"
# Letters that are hard to confuse on a small panel.
_RECEIPT_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Session:
    """The paths of one session on the disk and its keys in the store; nothing is created."""

    session_id: str
    base_dir: Path
    prefix_root: str

    def sibling(self, session_id: str) -> "Session":
        """Return another session of the same base directory."""
        return replace(self, session_id=session_id)

    @property
    def directory(self) -> Path:
        """The session's directory."""
        return self.base_dir / self.session_id

    @property
    def originals(self) -> Path:
        """Directory of the originals, with paths as on the card."""
        return self.directory / "originals"

    @property
    def share_images(self) -> Path:
        """Directory of the share images."""
        return self.directory / "derived" / "share"

    @property
    def thumbnails(self) -> Path:
        """Directory of the thumbnails."""
        return self.directory / "derived" / "thumbs"

    @property
    def temporary(self) -> Path:
        """Directory of temporary files; they are stale when no run holds the session's lock."""
        return self.directory / ".incoming"

    @property
    def share_zip(self) -> Path:
        """The zip of all share images."""
        return self.directory / "share.zip"

    @property
    def local_page(self) -> Path:
        """The local gallery, with relative links."""
        return self.directory / "index.html"

    @property
    def s3_page(self) -> Path:
        """The uploaded gallery, with presigned URLs."""
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
        """The session's log."""
        return self.directory / "ghostroll.log"

    @property
    def receipt(self) -> str:
        """Six letters, derived from the id, that panel and gallery both show."""
        digest = hashlib.sha256(self.session_id.encode()).digest()
        return "".join(_RECEIPT_LETTERS[byte % len(_RECEIPT_LETTERS)] for byte in digest[:6])

    @property
    def key_prefix(self) -> str:
        """The common prefix of the session's keys."""
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
        """Return a new random path below `temporary`."""
        return self.temporary / secrets.token_hex(8)


def new_session_id(now: datetime, latest: str | None) -> str:
    """Return the id of a session that begins `now`; it sorts after `latest` even if the clock was set back."""
    session_id = now.strftime(_STAMP)
    if latest is not None and session_id <= latest:
        try:
            session_id = (datetime.strptime(latest, _STAMP) + timedelta(microseconds=1)).strftime(_STAMP)  # noqa: DTZ007
        except (ValueError, OverflowError):
            return session_id
    return session_id


def validate_session_id(text: str) -> str:
    """Return `text` if it is valid as a session id; raises UsageError if not."""
    if not _ID_PATTERN.fullmatch(text) or text in _RESERVED:
        raise UsageError(f"{text!r} cannot be a session id: use letters, digits, dots, hyphens and underscores.")
    return text


# The characters that Amazon S3 lists as to avoid in keys, and =, which starts an escape here.
_KEY_ESCAPED = frozenset(b'\\{}^%`[]"<>~#|=?*:&')
_MAX_KEY_BYTES = 700  # S3 allows 1,024 with the prefix
_MAX_PART_BYTES = 255  # NAME_MAX of file systems, which limits file-backed stores such as SeaweedFS


def object_name(path: str) -> str:
    """Return `path` in a form that every S3 store, browser and zip tool accepts; distinct paths stay distinct.

    Printable names are unchanged, but for characters that S3 advises against: these, and bytes that are not printable,
    become `=XX`. A key or part that is too long is truncated and made unique by `~` and a hash.
    """
    name = "/".join(_truncated(_escaped(part), part, _MAX_PART_BYTES) for part in path.split("/"))
    return _truncated(name, path, _MAX_KEY_BYTES)


def _truncated(name: str, origin: str, max_bytes: int) -> str:
    if len(name.encode()) <= max_bytes:
        return name
    digest = hashlib.sha256(origin.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    ending = f"~{digest}{PurePosixPath(name).suffix[:8]}"
    ending_bytes = len(ending.encode())
    kept = name.encode()[: max_bytes - ending_bytes]
    last_part = kept.rfind(b"/") + 1  # the ending adds to its length
    return kept[: last_part + _MAX_PART_BYTES - ending_bytes].decode("utf-8", "ignore") + ending


def _escaped(text: str) -> str:
    return "".join(_escaped_char(char) for char in text)


def _escaped_char(char: str) -> str:
    raw = char.encode("utf-8", "surrogateescape")
    if char.isprintable() and not (len(raw) == 1 and raw[0] in _KEY_ESCAPED):
        return char
    return "".join(f"={byte:02X}" for byte in raw)


def files_below(top: Path) -> Iterator[tuple[str, int]]:
    """Yield (path relative to `top`, size in bytes) of every file below a directory."""
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory, name)
            yield str(path.relative_to(top)), path.lstat().st_size


def session_of(settings: Settings, session_id: str) -> Session:
    """Return the session of an id, in the base directory and under the prefix of `settings`."""
    return Session(session_id, settings.base_dir, settings.s3_prefix_root)
