"""What a run will do with a card: which files are known, which are read, and what their derivatives are called."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ghostroll.card import Scan, Volume
from ghostroll.catalog import Catalog
from ghostroll.errors import FileFailed, Interrupted
from ghostroll.media import JPEG_SUFFIXES, CardFile, Kind, stem_of, suffix_of
from ghostroll.rows import Remembered
from ghostroll.sample import sample_of

# A camera writes these beside a RAW as the same picture, ready to show.
_STANDS_FOR_RAW = JPEG_SUFFIXES | {"heic", "heif", "hif"}
_NAME_BYTES_MOST = 255  # NAME_MAX of every Linux filesystem
_SUFFIX_BYTES_MOST = 64  # what is longer is no suffix
# Share image, thumbnail and the share image once more in the zip: the most one picture takes.
_DERIVED_BYTES_MOST = 1_600_000


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file of the card that an earlier session saved. `sampled`: its bytes were looked at, not just its name."""

    file: CardFile
    sha256: str
    sample_sha256: str
    sampled: bool


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file to read. `name` is its derivatives' name, None where it gets none."""

    file: CardFile
    name: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The files of a card: those to read, in reading order, and those known."""

    to_read: tuple[PlannedFile, ...]
    known: tuple[KnownFile, ...]

    @property
    def bytes_to_read(self) -> int:
        """How much has to be copied."""
        return sum(planned.file.size_bytes for planned in self.to_read)

    @property
    def bytes_to_derive(self) -> int:
        """How much room on disk all that is made from the copies may take."""
        return sum(
            min(_DERIVED_BYTES_MOST, 2 * planned.file.size_bytes)
            for planned in self.to_read
            if planned.name and planned.file.kind is not Kind.OTHER
        )

    def pictures(self) -> tuple[PlannedFile, ...]:
        """The stills: what guests wait for."""
        return tuple(planned for planned in self.to_read if planned.file.kind is Kind.STILL)

    def the_rest(self) -> tuple[PlannedFile, ...]:
        """Everything but the stills."""
        return tuple(planned for planned in self.to_read if planned.file.kind is not Kind.STILL)


def make_plan(
    volume: Volume,
    found: Scan,
    catalog: Catalog,
    *,
    taken: Iterable[str] = (),
    rehash: bool = False,
    stop: threading.Event | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Plan:
    """Tell known files from those to read; with `rehash`, every file is read.

    `taken` are derivative names that the session already uses. `alive` is called for each file. Raises Interrupted
    on a `stop`.
    """
    stop = stop or threading.Event()
    remembered = catalog.remembered(volume.card_id) if volume.is_identified and not rehash else {}
    known = {} if rehash else dict(_known_files(volume, found.files, remembered, catalog, stop=stop, alive=alive))
    unknown = [file for file in found.files if file.path not in known]
    names = derivative_names(picture_sources(unknown, found.files), taken)
    return Plan(
        to_read=tuple(PlannedFile(file, names.get(file.path)) for file in unknown),
        known=tuple(known.values()),
    )


def _known_files(
    volume: Volume,
    files: Iterable[CardFile],
    remembered: dict[str, Remembered],
    catalog: Catalog,
    *,
    stop: threading.Event,
    alive: Callable[[], None],
) -> Iterable[tuple[str, KnownFile]]:
    for file in files:
        alive()
        if stop.is_set():
            raise Interrupted("Interrupted before the card was read.")
        entry = remembered.get(file.path)
        if entry and (entry.size_bytes, entry.mtime_ns) == (file.size_bytes, file.mtime_ns):
            yield file.path, KnownFile(file, entry.sha256, entry.sample_sha256, sampled=False)
        elif candidates := catalog.remembered_elsewhere(file.path, file.size_bytes):
            try:
                sample = sample_of(volume, file)
            except (OSError, FileFailed):
                continue  # reading it whole will tell what is wrong
            match = next((entry for entry in candidates if entry.sample_sha256 == sample), None)
            if match:
                yield file.path, KnownFile(file, match.sha256, sample, sampled=True)


def picture_sources(files: Iterable[CardFile], on_card: Iterable[CardFile]) -> list[CardFile]:
    """Return the files that derivatives are made from: a RAW only where no JPEG of its stem lies beside it."""
    shown = {stem_of(file.path) for file in on_card if suffix_of(file.path) in _STANDS_FOR_RAW}
    return [
        file
        for file in files
        if file.kind in (Kind.STILL, Kind.OTHER) or (file.kind is Kind.RAW and stem_of(file.path) not in shown)
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
    return suffix_of(source.path) not in JPEG_SUFFIXES, source.kind is Kind.OTHER, os.fsencode(source.path)


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


def read_again(changed: Iterable[CardFile], found: Scan, taken: Iterable[str] = ()) -> list[PlannedFile]:
    """Plan files that were taken for known and are not."""
    files = list(changed)
    names = derivative_names(picture_sources(files, found.files), taken)
    return [PlannedFile(file, names.get(file.path)) for file in files]


def changed_files(
    volume: Volume, known: Iterable[KnownFile], stop: threading.Event, alive: Callable[[], None] = lambda: None
) -> list[CardFile]:
    """Return the known files whose sample on the card is not the one remembered: they are not known after all.

    `alive` is called for each file.
    """
    changed = []
    for each in known:
        alive()
        if stop.is_set():
            raise Interrupted("The check of the card was interrupted.")
        try:
            same = each.sampled or sample_of(volume, each.file) == each.sample_sha256
        except (OSError, FileFailed):
            same = False  # reading it whole will tell what is wrong
        if not same:
            changed.append(each.file)
    return changed
