"""Plan an ingest: which files are already known, which to read, and their derivative names."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ghostroll.base.errors import FileFailed, Interrupted
from ghostroll.base.media_kind import MediaKind
from ghostroll.card.fingerprint import sample_sha256_of
from ghostroll.card.media import CardFile
from ghostroll.card.scan import Scan
from ghostroll.card.volume import Volume
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import Remembered
from ghostroll.ingest.names import derivative_names, picture_sources

# Upper bound for one picture: share image, thumbnail, and the share image again in the zip.
_MAX_DERIVED_BYTES = 1_600_000


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that an earlier session saved. `is_sample_verified`: its sample was read, not only name, size and time."""

    file: CardFile
    sha256: str
    sample_sha256: str
    is_sample_verified: bool


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file to read. `name` is the name of its derivatives; None if it gets none."""

    file: CardFile
    name: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The files of a card: those to read, in reading order, and those already known."""

    to_read: tuple[PlannedFile, ...]
    known: tuple[KnownFile, ...]

    @property
    def bytes_to_read(self) -> int:
        """Sum of the sizes of the files to read."""
        return sum(planned.file.size_bytes for planned in self.to_read)

    @property
    def bytes_to_derive(self) -> int:
        """Upper bound of the disk space that the derivatives will take."""
        return sum(
            min(_MAX_DERIVED_BYTES, 2 * planned.file.size_bytes)
            for planned in self.to_read
            if planned.name and planned.file.kind is not MediaKind.OTHER
        )

    def stills(self) -> tuple[PlannedFile, ...]:
        """Return the stills to read."""
        return tuple(planned for planned in self.to_read if planned.file.kind is MediaKind.STILL)

    def others(self) -> tuple[PlannedFile, ...]:
        """Return the files to read that are not stills."""
        return tuple(planned for planned in self.to_read if planned.file.kind is not MediaKind.STILL)


def make_plan(
    volume: Volume,
    found: Scan,
    catalog: Catalog,
    *,
    taken: Iterable[str] = (),
    rehash: bool = False,
    stop: threading.Event | None = None,
    heartbeat: Callable[[], None] = lambda: None,
) -> Plan:
    """Return the plan for a scanned card; with `rehash`, no file counts as known.

    `taken` are derivative names that the session already uses. `heartbeat` is called for each file. Raises Interrupted
    on a stop.
    """
    stop = stop or threading.Event()
    remembered = catalog.remembered(volume.card_id) if volume.is_identified and not rehash else {}
    known = (
        {} if rehash else dict(_known_files(volume, found.files, remembered, catalog, stop=stop, heartbeat=heartbeat))
    )
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
    heartbeat: Callable[[], None],
) -> Iterable[tuple[str, KnownFile]]:
    for file in files:
        heartbeat()
        if stop.is_set():
            raise Interrupted("Interrupted before the card was read.")
        entry = remembered.get(file.path)
        if entry and (entry.size_bytes, entry.mtime_ns) == (file.size_bytes, file.mtime_ns):
            yield file.path, KnownFile(file, entry.sha256, entry.sample_sha256, is_sample_verified=False)
        elif candidates := catalog.remembered_elsewhere(file.path, file.size_bytes):
            try:
                sample = sample_sha256_of(volume, file)
            except (OSError, FileFailed):
                continue  # reading the whole file will report the error
            match = next((entry for entry in candidates if entry.sample_sha256 == sample), None)
            if match:
                yield file.path, KnownFile(file, match.sha256, sample, is_sample_verified=True)


def plan_reread(changed: Iterable[CardFile], found: Scan, taken: Iterable[str] = ()) -> list[PlannedFile]:
    """Plan to read files whose samples differ from the known ones."""
    files = list(changed)
    names = derivative_names(picture_sources(files, found.files), taken)
    return [PlannedFile(file, names.get(file.path)) for file in files]


def changed_files(
    volume: Volume, known: Iterable[KnownFile], stop: threading.Event, heartbeat: Callable[[], None] = lambda: None
) -> list[CardFile]:
    """Return the known files whose sample on the card differs from the catalog's.

    `heartbeat` is called for each file. Raises Interrupted on a stop.
    """
    changed = []
    for each in known:
        heartbeat()
        if stop.is_set():
            raise Interrupted("The check of the card was interrupted.")
        try:
            same = each.is_sample_verified or sample_sha256_of(volume, each.file) == each.sample_sha256
        except (OSError, FileFailed):
            same = False  # reading the whole file will report the error
        if not same:
            changed.append(each.file)
    return changed
