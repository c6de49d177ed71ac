"""Names of derivatives, and file names short enough for every filesystem."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from ghostroll.base.media_kind import MediaKind
from ghostroll.card.media import JPEG_SUFFIXES, CardFile, stem_of, suffix_of

# A camera writes these beside a RAW as the same picture, ready to show.
_STANDS_FOR_RAW = JPEG_SUFFIXES | {"heic", "heif", "hif"}


_NAME_BYTES_MOST = 255  # NAME_MAX of every Linux filesystem


_SUFFIX_BYTES_MOST = 64  # what is longer is no suffix


def picture_sources(files: Iterable[CardFile], on_card: Iterable[CardFile]) -> list[CardFile]:
    """Return the files that derivatives are made from: a RAW only where no JPEG of its stem lies beside it."""
    shown = {stem_of(file.path) for file in on_card if suffix_of(file.path) in _STANDS_FOR_RAW}
    return [
        file
        for file in files
        if file.kind in (MediaKind.STILL, MediaKind.OTHER)
        or (file.kind is MediaKind.RAW and stem_of(file.path) not in shown)
    ]


def derivative_names(sources: Sequence[CardFile], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return each source's derivative name: its path with `.jpg` for its suffix.

    Where two would meet, case ignored, a JPEG keeps the plain name, else the first; the others keep their
    suffix before the `.jpg`. `taken` are names in use already.
    """
    used = {name.casefold() for name in taken}
    fitted = {source.path: fitting_path(source.path) for source in sources}
    # A directory of the card may be called like a picture.
    used |= {str(parent).casefold() for path in (*fitted.values(), *used) for parent in PurePosixPath(path).parents}
    names: dict[str, str] = {}
    late: list[CardFile] = []
    for source in sorted(sources, key=_naming_key):
        path = fitted[source.path]
        plain = _fitting(path[: len(path) - len(PurePosixPath(path).suffix)], ".jpg")
        if plain.casefold() in used:
            late.append(source)
            continue
        used.add(plain.casefold())
        names[source.path] = plain
    for source in late:
        name = _free(fitted[source.path], used)
        used.add(name.casefold())
        names[source.path] = name
    return names


def _naming_key(source: CardFile) -> tuple[bool, bool, bytes]:
    return suffix_of(source.path) not in JPEG_SUFFIXES, source.kind is MediaKind.OTHER, os.fsencode(source.path)


def _free(path: str, used: set[str]) -> str:
    number = 1
    while True:
        name = _fitting(path, ".jpg" if number == 1 else f".{number}.jpg")
        if name.casefold() not in used:
            return name
        number += 1


def numbered(path: str, number: int) -> str:
    """Return `path` with a number before its suffix, as a name that a filesystem takes."""
    suffix = PurePosixPath(path).suffix
    if len(os.fsencode(suffix)) > _SUFFIX_BYTES_MOST:
        return _fitting(path, f"~{number}")
    return _fitting(path[: len(path) - len(suffix)], f"~{number}{suffix}")


def fitting_path(path: str) -> str:
    """Return `path` with each part cut, and marked by a hash, to what a filesystem takes as one name.

    FAT and exFAT names have up to 255 UTF-16 units, which are up to 765 bytes here.
    """
    return "/".join(_fitting_part(part) for part in path.split("/"))


def _fitting_part(part: str) -> str:
    raw = os.fsencode(part)
    if len(raw) <= _NAME_BYTES_MOST:
        return part
    suffix = PurePosixPath(part).suffix
    ending = (
        f"~{hashlib.sha256(raw).hexdigest()[:12]}{suffix if len(os.fsencode(suffix)) <= _SUFFIX_BYTES_MOST else ''}"
    )
    return _fitting(part, ending)


def _fitting(stem: str, ending: str) -> str:
    """Join path stem and ending, shortened to what a filesystem takes as one name."""
    folder, _, name = stem.rpartition("/")
    while name and len(os.fsencode(name + ending)) > _NAME_BYTES_MOST:
        name = name[:-1]
    return f"{folder}/{name}{ending}" if folder else name + ending
