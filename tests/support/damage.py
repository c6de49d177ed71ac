"""What a stranger may write on a card: names of any bytes, and files whose bytes were damaged or made to deceive."""

import os
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

NAME_BYTES_MOST = 255


def examples(share: float) -> settings:
    """Return settings for a test that is given this share of the profile's examples, since each takes long."""
    assert settings.default is not None
    return settings(max_examples=max(3, int(settings.default.max_examples * share)))


@contextmanager
def fresh_directory() -> Iterator[Path]:
    """Make a directory for one example: a fixture's would be that of all of them."""
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


# --- names

_FRAGMENTS = [
    *rb". .. ... \ \n \\n ' ` $(id) = =2E =2F ~ ~1 # % %2e%2e%2f %00 ? * : | & &amp; + @ <b> --> {{7*7}} -rf".split(),
    *b".jpg .JPG .jpeg .png .cr3 .mp4 .ctg ._ --help CON NUL.txt C: share.zip index.html".split(),
    *(b" ", b"\n", b"\r", b"\t", b"\x7f", b"\x1b[2J", b'"', b".s" * 40, b"x" * 60, b"x" * 120, b"x" * 251),
    *(b"\xff", b"\xfe\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc2\x85", b"\xc0\xaf"),
    *(char.encode() for char in "\u202e\u2066\u200b\ufeff\u2028\u2029\x9b\xad\ue000\U0010ffff\u115f"),
    *(text.encode() for text in ("é", "e\u0301", "ß", "ẞ", "İ", "\u017f", "写真", "😀", "ﷺ", "é" * 50, "写" * 40)),
]


def _as_name(raw: bytes) -> bytes:
    """Return what of `raw` a Linux filesystem takes as one name."""
    name = raw.replace(b"\0", b"_").replace(b"/", b"_")[:NAME_BYTES_MOST]
    return b"_" if name in (b"", b".", b"..") else name


_pieces = st.sampled_from(_FRAGMENTS) | st.binary(min_size=1, max_size=6) | st.text(max_size=4).map(str.encode)
names = st.lists(_pieces, min_size=1, max_size=8).map(b"".join).map(_as_name)
"""File names as bytes."""

paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: os.fsdecode(b"/".join([b"DCIM", *parts])))
"""Paths below a volume as `os.fsdecode` gives them."""

_SUFFIXES = ("", ".jpg", ".JPG", ".jpeg", ".png", ".cr3", ".xyz")


@st.composite
def crowds(draw: st.DrawFn, most: int = 8) -> list[str]:
    """Draw different paths, many of them hard to tell apart: by case, normal form, suffix, or a name as directory."""
    found = draw(st.lists(paths, min_size=1, max_size=most))
    for path in draw(st.lists(st.sampled_from(found), max_size=most)):
        found += draw(st.lists(st.sampled_from(_twins(path)), max_size=3))
    return [path for path in dict.fromkeys(found) if all(map(_is_name, path.split("/")))]


def _twins(path: str) -> list[str]:
    stem = path.rpartition(".")[0] or path
    head, _, name = path.rpartition("/")
    spelled = [f"{head}/{other}" for other in (name.upper(), name.lower(), name.swapcase())]
    formed = [unicodedata.normalize(form, path) for form in ("NFC", "NFD", "NFKC")]
    return [*spelled, *formed, *(stem + suffix for suffix in _SUFFIXES), f"{path}/a.jpg", f"{stem}.jpg/{name}"]


def _is_name(part: str) -> bool:
    try:
        raw = os.fsencode(part)
    except UnicodeEncodeError:
        return False
    return _as_name(raw) == raw


def write_files(root: Path, paths: Sequence[str], contents: Sequence[bytes] | bytes) -> dict[str, bytes]:
    """Write a file at each path that the filesystem has room for beside the others; return those, with what is in."""
    written: dict[str, bytes] = {}
    for number, path in enumerate(paths):
        content = contents if isinstance(contents, bytes) else contents[number % len(contents)]
        file = root / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError:  # a file where a directory is wanted, or the other way round
            continue
        written[path] = content
    return written


# --- damaged bytes


@dataclass(frozen=True)
class Damage:
    """One change of a file: at `place` (counted round and round), of `length` bytes, with `value`."""

    kind: str
    place: int
    length: int
    value: int


# What counts, offsets and lengths are when they deceive.
_DECEIVING = st.sampled_from((0, 1, 2, 4, 8, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF))
# Headers come first, and are worth more tries than what follows.
_PLACES = st.integers(0, 40) | st.integers(0, 600) | st.integers(0, 1 << 20)
_KINDS = ("byte", "byte", "bits", "short", "long", "tnohs", "gnol", "cut", "twice", "gone", "blank")
damages = st.lists(
    st.builds(Damage, st.sampled_from(_KINDS), _PLACES, st.integers(1, 64), _DECEIVING | st.integers(0, 0xFFFFFFFF)),
    min_size=1,
    max_size=6,
)


def damaged(data: bytes, changes: Sequence[Damage]) -> bytes:
    """Return `data` after all changes."""
    for change in changes:
        data = _damaged(data, change) if data else data
    return data


def _damaged(data: bytes, change: Damage) -> bytes:
    start = change.place % len(data)
    if change.kind == "cut":
        return data[:start]
    end = start + change.length
    if change.kind == "twice":
        return data[:end] + data[start:]
    if change.kind == "gone":
        return data[:start] + data[end:]
    return (data[:start] + _written(change, data[start:end]) + data[end:])[: len(data)]


def _written(change: Damage, old: bytes) -> bytes:
    """Return what a change puts in the place of `old`; what it does not reach stays."""
    value = change.value
    new = {
        "byte": (value & 0xFF).to_bytes(1, "big"),
        "bits": ((old[0] ^ value) & 0xFF).to_bytes(1, "big"),
        "short": (value & 0xFFFF).to_bytes(2, "big"),
        "long": value.to_bytes(4, "big"),
        "tnohs": (value & 0xFFFF).to_bytes(2, "little"),
        "gnol": value.to_bytes(4, "little"),
        "blank": bytes(len(old)),
    }[change.kind]
    return new + old[len(new) :]
