"""What the catalog's rows mean: the data that the steps hand to each other through it."""

from dataclasses import dataclass, field
from enum import StrEnum

from ghostroll.base.media_kind import MediaKind


class SessionState(StrEnum):
    """How far a session is."""

    OPEN = "open"  # the card was not read to its end
    INGESTED = "ingested"  # every original is safe; derivatives and share may be missing
    SHARED = "shared"  # the link works
    ABANDONED = "abandoned"  # what it was made of is gone from the disk: it stays as it is


class RenderState(StrEnum):
    """How far an original's derivatives are."""

    NONE = "none"  # not a picture, or its JPEG stands for it
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as the catalog knows it. Times are RFC 3339 in UTC; `card_read`: the card was read to its end."""

    session_id: str
    created_utc: str
    state: SessionState
    card_id: str
    card_label: str
    card_read: bool
    url: str | None
    expires_utc: str | None


@dataclass(frozen=True, slots=True)
class Original:
    """An original of a session. `name` is its derivatives' name, None where it gets none."""

    path: str
    kind: MediaKind
    size_bytes: int
    sha256: str
    name: str | None
    render: RenderState


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A media file whose verified copy is safe, as ingest reports it."""

    original: Original
    card_path: str
    mtime_ns: int
    sample_sha256: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of a file on a card, so that it need not be read again."""

    card_id: str
    path: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    sample_sha256: str


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy of a content: `path` below the session's originals; `verified`: it was read back from the disk."""

    session_id: str
    path: str
    size_bytes: int
    verified: bool


@dataclass(frozen=True, slots=True)
class Derivative:
    """A share image or thumbnail on disk. `role` is "share" or "thumb"; sizes in px and bytes.

    `number` rises in the order in which derivatives were recorded.
    """

    path: str
    role: str
    name: str
    s3_key: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    number: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Shot:
    """A rendered original with both its derivatives: one picture of the gallery."""

    original: Original
    captured: str | None
    camera: str | None
    share: Derivative
    thumb: Derivative
