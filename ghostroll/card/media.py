"""Classify the files of a card by name and first bytes: stills, RAW, video, sidecars, housekeeping."""

import os
from dataclasses import dataclass
from pathlib import PurePosixPath

from ghostroll.base.media_kind import MediaKind

READING_ORDER = tuple(MediaKind)
_OTHERS = READING_ORDER.index(MediaKind.SIDECAR)

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

# Files that cameras and computers write for their own use. A short list of names: any other file is kept.
_HOUSEKEEPING_NAMES = frozenset(
    name.casefold() for name in (".DS_Store", "Thumbs.db", "ehthumbs.db", "desktop.ini", "NC_FLLST.DAT", "INDEX.BDM")
)
_HOUSEKEEPING_SUFFIXES = frozenset(["ctg"])

MEDIA_ROOTS = ("DCIM", "PRIVATE/M4ROOT", "PRIVATE/AVCHD", "CONTENTS")

# Brands of still pictures in the ISO base media file format (ISO/IEC 23008-12; AV1 Image File Format).
_PICTURE_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"))
SNIFF_BYTES = 16


@dataclass(frozen=True, slots=True)
class CardFile:
    """A media file as listed by the scan. `path` is relative to the volume; invalid UTF-8 is escaped as in PEP 383."""

    path: str
    kind: MediaKind
    size_bytes: int
    mtime_ns: int


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case, without the dot; "" if it has none."""
    return PurePosixPath(name).suffix[1:].lower()


def stem_of(path: str) -> str:
    """Return `path` without its suffix and case-folded: equal for a RAW file and its JPEG."""
    return path[: len(path) - len(PurePosixPath(path).suffix)].casefold()


def kind_of(name: str) -> MediaKind:
    """Return the kind of media file that a file name's suffix stands for."""
    return _KIND_BY_SUFFIX.get(suffix_of(name), MediaKind.OTHER)


def is_housekeeping(name: str) -> bool:
    """Tell whether a camera or computer wrote a file of this name for its own use."""
    return name.startswith("._") or name.casefold() in _HOUSEKEEPING_NAMES or suffix_of(name) in _HOUSEKEEPING_SUFFIXES


def has_picture_signature(head: bytes) -> bool:
    """Tell from a file's first `SNIFF_BYTES` whether it is a JPEG, PNG, WebP, HEIF or AVIF picture."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS)
    )


def reading_order_key(file: CardFile) -> tuple[int, bytes]:
    """Return the sort key of the reading order: stills, RAW, video, others; each by path bytes."""
    return min(READING_ORDER.index(file.kind), _OTHERS), os.fsencode(file.path)
