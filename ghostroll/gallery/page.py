"""The gallery: one static page, its style and script inside it, for the disk and for the store alike.

What makes the two differ is who makes the links. A reader needs no script to reach every picture: each
thumbnail is a `src`, each share image and the zip an `href`, all in double quotes.
"""

import base64
import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from ghostroll.base.log import printable
from ghostroll.base.session_paths import Session
from ghostroll.base.text import counted

if TYPE_CHECKING:
    import jinja2

# What lets a page that was opened from file:// show the pictures beside it; 'self' is for those who serve it.
LOCAL_IMAGE_SOURCE = "'self' file:"

_NO_OFFSET = timedelta(0)
_MICROSECOND = timedelta(microseconds=1)
_START = datetime(1, 1, 1)  # noqa: DTZ001, a wall clock's
_TEXT_MOST = 200
# Width to height, in hundredths: what lies outside is cropped in the overview, or it would break every row.
_NARROWEST, _WIDEST = 40, 350
# Up to so many photos are shown larger.
_FEW = 4
# strftime would follow the machine's language; the page is English.
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = "January February March April May June July August September October November December".split()


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture of the gallery. Sizes are `(width, height)` px; every text of it is a stranger's.

    `name` is the derivative's path below `derived/share`, `title` the original's path as on the card,
    `captured` ISO 8601 as the camera's clock showed it, fraction and offset optional.
    """

    name: str
    title: str
    captured: str | None
    camera: str | None
    share_size: tuple[int, int]
    thumb_size: tuple[int, int]
    share_bytes: int


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that was saved and has no picture to show: a video, a RAW file without a preview, a sidecar."""

    path: str
    size_bytes: int
    kind: str


class Links(Protocol):
    """Makes the addresses that a page refers to, from derivative names."""

    def share(self, name: str) -> str:
        """Return the address of a share image."""

    def thumbnail(self, name: str) -> str:
        """Return the address of a thumbnail."""

    def zip(self) -> str | None:
        """Return the address of the zip, if there is one."""


class LocalLinks:
    """Relative addresses from the session's directory."""

    def share(self, name: str) -> str:
        """Return the address of a share image."""
        return "derived/share/" + quote(os.fsencode(name))

    def thumbnail(self, name: str) -> str:
        """Return the address of a thumbnail."""
        return "derived/thumbs/" + quote(os.fsencode(name))

    def zip(self) -> str | None:
        """Return the address of the zip."""
        return "share.zip"


@dataclass(frozen=True, slots=True)
class StoreLinks:
    """Presigned addresses; `presign` makes one from a key."""

    session: Session
    presign: Callable[[str], str]

    def share(self, name: str) -> str:
        """Return the address of a share image."""
        return self.presign(self.session.share_key(name))

    def thumbnail(self, name: str) -> str:
        """Return the address of a thumbnail."""
        return self.presign(self.session.thumbnail_key(name))

    def zip(self) -> str | None:
        """Return the address of the zip."""
        return self.presign(self.session.zip_key)


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows.

    An empty `title` gives the word to the dates of the pictures. `zip_bytes` is None while there is no zip,
    `expires_at` on the local page, which alone lists the companions. `image_source` is a CSP source list.
    """

    title: str
    receipt: str
    created: datetime
    photos: Sequence[Photo]
    companions: Sequence[Companion]
    links: Links
    zip_bytes: int | None
    expires_at: datetime | None
    image_source: str


@dataclass(frozen=True, slots=True)
class _Picture:
    """A photo as the template needs it."""

    photo: Photo
    share: str
    thumbnail: str
    label: str
    camera: str
    shape: int
    datetime: str
    captured: str


@dataclass(frozen=True, slots=True)
class _Day:
    heading: str
    pictures: list[_Picture]


def sort_photos(photos: Iterable[Photo]) -> list[Photo]:
    """Return the photos by capture time, those without one last, ties by the bytes of the name.

    Who says nothing of an offset is taken to share the most common one of the set.
    """
    known = list(photos)
    usual = _usual_offset(known)

    def key(photo: Photo) -> tuple[bool, int, bytes]:
        moment = _moment(photo)
        return moment is None, _microseconds(moment, usual) if moment else 0, os.fsencode(photo.name)

    return sorted(known, key=key)


def build_page(page: Page) -> str:
    """Return the HTML of `page`; it can always be encoded as UTF-8."""
    photos = sort_photos(page.photos)
    pictures = [_picture(photo, page.links) for photo in photos]
    days = _by_day(photos, pictures)
    style = _part("page.css") + _shapes(pictures)
    script = _part("page.js")
    title = _shown(page.title.strip())
    dates = _dates_in_words(_dates(photos))
    return _template().render(
        heading=title or dates or "Photos",
        dates=dates if title else "",
        count=counted(len(photos), "photo"),
        days=days,
        few=0 < len(photos) <= _FEW,
        companions=[] if page.expires_at else [_listed(companion) for companion in page.companions],
        zip=page.links.zip() if page.zip_bytes is not None else None,
        zip_size=_size_in_words(page.zip_bytes or 0),
        zip_name=f"photos-{page.receipt}.zip",
        receipt=page.receipt,
        created=page.created.isoformat(timespec="seconds"),
        created_in_words=_moment_in_words(page.created),
        expires_at=page.expires_at and page.expires_at.isoformat(timespec="seconds"),
        expires=page.expires_at and _moment_in_words(page.expires_at),
        style=style,
        script=script,
        policy=_policy(page.image_source, style, script),
    )


# --- capture times


def _moment(photo: Photo) -> datetime | None:
    """Return the capture time, with its offset if it has one; None where there is none that makes sense."""
    try:
        return datetime.fromisoformat(photo.captured.strip()) if photo.captured else None
    except ValueError:
        return None


def _usual_offset(photos: Iterable[Photo]) -> timedelta:
    """Return the most common offset from UTC, the westernmost of several."""
    offsets = Counter(moment.utcoffset() for photo in photos if (moment := _moment(photo)) and moment.tzinfo)
    return min(offsets, key=lambda offset: (-offsets[offset], offset), default=None) or _NO_OFFSET


def _microseconds(moment: datetime, usual: timedelta) -> int:
    """Return a number that orders moments. In integers, since the ends of the calendar overflow a datetime."""
    offset = moment.utcoffset()
    return (moment.replace(tzinfo=None) - _START - (usual if offset is None else offset)) // _MICROSECOND


def _dates(photos: list[Photo]) -> list[date | None]:
    """Return the day of each photo, on a clock of the usual offset: in the order of the photos days never alternate."""
    usual = _usual_offset(photos)
    return [_date(moment, usual) if (moment := _moment(photo)) else None for photo in photos]


def _date(moment: datetime, usual: timedelta) -> date:
    offset = moment.utcoffset()
    wall_clock = moment.replace(tzinfo=None)
    try:
        return (wall_clock if offset is None else wall_clock - offset + usual).date()
    except OverflowError:
        return wall_clock.date()


# --- what the template shows


def _picture(photo: Photo, links: Links) -> _Picture:
    moment = _moment(photo)
    width, height = photo.thumb_size
    return _Picture(
        photo=photo,
        share=links.share(photo.name),
        thumbnail=links.thumbnail(photo.name),
        label=_shown(PurePosixPath(photo.title).name or photo.title),
        camera=_shown(photo.camera or ""),
        shape=min(max(round(100 * width / max(height, 1)), _NARROWEST), _WIDEST),
        datetime=moment.isoformat(timespec="seconds") if moment else "",
        captured=f"{moment:%H:%M}, {_date_in_words(moment)}" if moment else "",
    )


def _by_day(photos: list[Photo], pictures: list[_Picture]) -> list[_Day]:
    groups = itertools.groupby(zip(_dates(photos), pictures, strict=True), key=lambda pair: pair[0])
    days = [(day, [picture for _, picture in pairs]) for day, pairs in groups]
    if len(days) == 1:
        return [_Day("", days[0][1])]
    return [_Day(_weekday_in_words(day) if day else "Date unknown", members) for day, members in days]


def _listed(companion: Companion) -> dict[str, str]:
    return {
        "path": _shown(companion.path),
        "kind": _shown(companion.kind),
        "size": _size_in_words(companion.size_bytes),
    }


def _shown(text: str) -> str:
    """Return a stranger's text as one short harmless line."""
    try:
        line = printable(text)
    except UnicodeEncodeError:  # half of a surrogate pair, which no file name can hold but a camera may write
        line = printable(text.encode("utf-8", "replace").decode())
    return line if len(line) <= _TEXT_MOST else line[: _TEXT_MOST - 1] + "…"


def _size_in_words(size_bytes: int) -> str:
    """Return a size as shops print it, in powers of ten."""
    size, unit = float(size_bytes), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if size < 999.5:  # noqa: PLR2004, what would round to 1000
            break
        size, unit = size / 1000, larger
    return f"{size:.1f} {unit}" if unit in ("GB", "TB") and size < 99.5 else f"{size:.0f} {unit}"  # noqa: PLR2004


def _date_in_words(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _weekday_in_words(day: date) -> str:
    return f"{_WEEKDAYS[day.weekday()]} {_date_in_words(day)}"


def _moment_in_words(moment: datetime) -> str:
    """Return a moment with its zone; the script says it in the reader's."""
    return f"{_weekday_in_words(moment)}, {moment:%H:%M} {moment.tzname() or ''}".rstrip()


def _dates_in_words(dates: Iterable[date | None]) -> str:
    known = [day for day in dates if day]
    if not known:
        return ""
    first, last = min(known), max(known)
    if first == last:
        return _weekday_in_words(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}\N{EN DASH}{_date_in_words(last)}"
    start = _date_in_words(first) if first.year != last.year else f"{first.day} {_MONTHS[first.month - 1]}"
    return f"{start} \N{EN DASH} {_date_in_words(last)}"


# --- style, script and what the page may load


def _shapes(pictures: list[_Picture]) -> str:
    """Return the style of the shapes that occur: the policy lets no style stand at an element."""
    return "".join(f".r{shape}{{--r:{shape / 100:g}}}\n" for shape in sorted({picture.shape for picture in pictures}))


def _policy(image_source: str, style: str, script: str) -> str:
    """Return the page's Content-Security-Policy: nothing but its own style and script, and the pictures.

    `data:` is for the empty icon by which the script keeps browsers from asking for `/favicon.ico`.
    """
    return (
        f"default-src 'none'; img-src {image_source} data:; "
        f"style-src '{_csp_hash(style)}'; script-src '{_csp_hash(script)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _part(name: str) -> str:
    return resources.files("ghostroll.gallery").joinpath("templates", name).read_text("utf-8")


@cache
def _template() -> "jinja2.Template":
    import jinja2  # noqa: PLC0415, heavier than the rest of this module together

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ghostroll.gallery", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html.j2")
