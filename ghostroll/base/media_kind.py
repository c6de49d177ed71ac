"""The kinds of media files."""

from enum import StrEnum


class MediaKind(StrEnum):
    """The kind of a media file, in reading order: stills come first, since guests wait for them."""

    STILL = "still"
    RAW = "raw"
    VIDEO = "video"
    SIDECAR = "sidecar"
    OTHER = "other"
