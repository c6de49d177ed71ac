"""Name derivatives, and shorten file names to what every filesystem accepts."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from ghostroll.base.media_kind import MediaKind
from ghostroll.card.media import JPEG_SUFFIXES, CardFile, stem_of, suffix_of

# Cameras write the same picture in one of these formats beside a RAW file.
_RAW_PREVIEW_SUFFIXES = JPEG_SUFFIXES | {"heic", "heif", "hif"}
_MAX_NAME_BYTES = 255  # NAME_MAX of Linux filesystems
_MAX_SUFFIX_BYTES = 64  # anything longer after the dot is not treated as a suffix


def picture_sources(files: Iterable[CardFile], on_card: Iterable[CardFile]) -> list[CardFile]:
    """Return the files of `files` to render: a RAW file only if `on_card` has no JPEG or HEIF of the same stem."""
    previews = {stem_of(file.path) for file in on_card if suffix_of(file.path) in _RAW_PREVIEW_SUFFIXES}
    return [
        file
        for file in files
        if file.kind in (MediaKind.STILL, MediaKind.OTHER)
        or (file.kind is MediaKind.RAW and stem_of(file.path) not in previews)
    ]


def derivative_names(sources: Sequence[CardFile], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return each source path's derivative name: the path with its suffix replaced by `.jpg`.

    Of sources with the same name, ignoring case, a JPEG gets it, else the first; the others keep their suffix before
    the `.jpg`. `taken` are names already in use.
    """
    used = {name.casefold() for name in taken}
    fitted = {source.path: truncated_path(source.path) for source in sources}
    # A directory on the card may have the name of a picture.
    used |= {str(parent).casefold() for path in (*fitted.values(), *used) for parent in PurePosixPath(path).parents}
    names: dict[str, str] = {}
    colliding: list[CardFile] = []
    for source in sorted(sources, key=_naming_key):
        path = fitted[source.path]
        plain = _truncated(path[: len(path) - len(PurePosixPath(path).suffix)], ".jpg")
        if plain.casefold() in used:
            colliding.append(source)
            continue
        used.add(plain.casefold())
        names[source.path] = plain
    for source in colliding:
        name = _unused_name(fitted[source.path], used)
        used.add(name.casefold())
        names[source.path] = name
    return names


def _naming_key(source: CardFile) -> tuple[bool, bool, bytes]:
    return suffix_of(source.path) not in JPEG_SUFFIXES, source.kind is MediaKind.OTHER, os.fsencode(source.path)


def _unused_name(path: str, used: set[str]) -> str:
    number = 1
    while True:
        name = _truncated(path, ".jpg" if number == 1 else f".{number}.jpg")
        if name.casefold() not in used:
            return name
        number += 1


def numbered(path: str, number: int) -> str:
    """Return `path` with `~number` before its suffix, truncated to a valid file name."""
    suffix = PurePosixPath(path).suffix
    if len(os.fsencode(suffix)) > _MAX_SUFFIX_BYTES:
        return _truncated(path, f"~{number}")
    return _truncated(path[: len(path) - len(suffix)], f"~{number}{suffix}")


def truncated_path(path: str) -> str:
    """Return `path` with each name over 255 bytes truncated and made unique by a hash.

    FAT and exFAT names have up to 255 UTF-16 units, which are up to 765 bytes in UTF-8.
    """
    return "/".join(_truncated_part(part) for part in path.split("/"))


def _truncated_part(part: str) -> str:
    raw = os.fsencode(part)
    if len(raw) <= _MAX_NAME_BYTES:
        return part
    suffix = PurePosixPath(part).suffix
    ending = f"~{hashlib.sha256(raw).hexdigest()[:12]}{suffix if len(os.fsencode(suffix)) <= _MAX_SUFFIX_BYTES else ''}"
    return _truncated(part, ending)


def _truncated(stem: str, ending: str) -> str:
    """Return `stem` + `ending`, with the stem truncated so that the file name has at most 255 bytes."""
    folder, _, name = stem.rpartition("/")
    while name and len(os.fsencode(name + ending)) > _MAX_NAME_BYTES:
        name = name[:-1]
    return f"{folder}/{name}{ending}" if folder else name + ending
