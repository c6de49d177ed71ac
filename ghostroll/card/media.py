"""What the files of a card are: pictures, RAW, video, companions, housekeeping.

Only names and the first bytes decide; nothing here opens a file.
"""

import os
from dataclasses import dataclass
from pathlib import PurePosixPath

from ghostroll.base.media_kind import MediaKind

READING_ORDER = tuple(MediaKind)
_THE_REST = READING_ORDER.index(MediaKind.SIDECAR)

_STILL_SUFFIXES = frozenset("jpg jpeg jpe mpo heic heif hif png tif tiff webp avif".split())
_RAW_SUFFIXES = frozenset(
    (
        "3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mdc mef mos mrw nef nrw orf ori pef ptx raf raw "
        "rw2 rwl sr2 srf srw x3f"
    ).split()
)
_VIDEO_SUFFIXES = frozenset("mov mp4 m4v avi mts m2ts m2t mpg mpeg mxf 3gp lrv insv 360 braw crm".split())
_SIDECAR_SUFFIXES = frozenset("xmp thm aae xml wav dop pp3 on1 cpi mpl bdm srt gpx nmea".split())
_KIND_BY_SUFFIX = {
    **dict.fromkeys(_STILL_SUFFIXES, MediaKind.STILL),
    **dict.fromkeys(_RAW_SUFFIXES, MediaKind.RAW),
    **dict.fromkeys(_VIDEO_SUFFIXES, MediaKind.VIDEO),
    **dict.fromkeys(_SIDECAR_SUFFIXES, MediaKind.SIDECAR),
}
JPEG_SUFFIXES = frozenset("jpg jpeg jpe mpo".split())

# What a camera or a computer leaves on a card for its own book-keeping. Short and named: the rest is kept.
_HOUSEKEEPING_NAMES = frozenset(
    name.casefold() for name in (".DS_Store", "Thumbs.db", "ehthumbs.db", "desktop.ini", "NC_FLLST.DAT", "INDEX.BDM")
)
_HOUSEKEEPING_SUFFIXES = frozenset(["ctg"])

MEDIA_ROOTS = ("DCIM", "PRIVATE/M4ROOT", "PRIVATE/AVCHD", "CONTENTS")

# ISO base media file format brands of pictures (ISO/IEC 23008-12, AV1 image file format).
_PICTURE_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"))
SNIFF_BYTES = 16


@dataclass(frozen=True, slots=True)
class CardFile:
    """A media file as the scan saw it. `path` is relative to the volume, invalid UTF-8 as surrogates (PEP 383)."""

    path: str
    kind: MediaKind
    size_bytes: int
    mtime_ns: int


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case without its dot, or "" where there is none."""
    return PurePosixPath(name).suffix[1:].lower()


def stem_of(path: str) -> str:
    """Return `path` without its suffix, in a form that ignores case: what pairs a RAW with its JPEG."""
    return path[: len(path) - len(PurePosixPath(path).suffix)].casefold()


def kind_of(name: str) -> MediaKind:
    """Return the kind that a file's name announces."""
    return _KIND_BY_SUFFIX.get(suffix_of(name), MediaKind.OTHER)


def is_housekeeping(name: str) -> bool:
    """Tell whether a file of this name is a computer's or camera's own book-keeping, not the owner's."""
    return name.startswith("._") or name.casefold() in _HOUSEKEEPING_NAMES or suffix_of(name) in _HOUSEKEEPING_SUFFIXES


def looks_like_still(head: bytes) -> bool:
    """Tell from a file's first `SNIFF_BYTES` whether it is a picture, whatever its name says."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS)
    )


def reading_key(file: CardFile) -> tuple[int, bytes]:
    """Sort key of the reading order: stills, RAW, video, the rest; each by path bytes."""
    return min(READING_ORDER.index(file.kind), _THE_REST), os.fsencode(file.path)
