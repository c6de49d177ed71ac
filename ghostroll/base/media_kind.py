"""The kinds of media files."""

from enum import StrEnum


class MediaKind(StrEnum):
    """What a media file is, in reading order: what guests wait for comes first."""

    STILL = "still"
    RAW = "raw"
    VIDEO = "video"
    SIDECAR = "sidecar"
    OTHER = "other"
