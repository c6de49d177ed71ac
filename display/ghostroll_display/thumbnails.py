"""The thumbnails that a status record names, read for the panel's contact sheet; each file once."""

import stat
from collections import OrderedDict
from pathlib import Path

from PIL import Image

from ghostroll.status.model import THUMBNAILS_MOST

# More than any panel has for one picture of a sheet.
_EDGE_PX = 256
# Two sessions' sheets, the last one's and the present one's: 10 MB.
_KEPT = 2 * THUMBNAILS_MOST
_BYTES_MOST = 4 << 20

_Key = tuple[str, int, int]


class Thumbnails:
    """A reader that remembers what it read as long as the file stays the same."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, Image.Image | None] = OrderedDict()

    def load(self, name: str) -> Image.Image | None:
        """Return a thumbnail (RGB, at most 256 px a side), or None where there is none that can be read."""
        try:
            found = Path(name).stat()
        except (OSError, ValueError):
            return None
        key = (name, found.st_mtime_ns, found.st_size)
        if key not in self._kept:
            is_likely = stat.S_ISREG(found.st_mode) and found.st_size <= _BYTES_MOST
            self._kept[key] = _read(Path(name)) if is_likely else None
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]


def _read(path: Path) -> Image.Image | None:
    try:
        with Image.open(path, formats=("JPEG",)) as image:
            image.draft("RGB", (_EDGE_PX, _EDGE_PX))
            image.thumbnail((_EDGE_PX, _EDGE_PX))
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
