"""Type: the font at a size, how wide words are, how they break into lines. All sizes are pixels."""

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

_REGULAR = "SourceSansPro-Semibold.ttf"  # one pixel wide at the small sizes, where the regular cut falls apart
_BOLD = "SourceSansPro-Bold.ttf"
# Capitals are 0.66 of the size (the font's OS/2 table).
CAPITAL = 0.66
ELLIPSIS = "…"
_NOT_THERE = "\uffff"


@lru_cache(maxsize=64)
def font(size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the font; the layout is Pillow's own, so that it is the same on every machine."""
    import font_source_sans_pro  # noqa: PLC0415 - looks through its directory

    path = Path(font_source_sans_pro.font_directory) / (_BOLD if bold else _REGULAR)
    return ImageFont.truetype(path, size_px, layout_engine=ImageFont.Layout.BASIC)


# U+00A0: no line ends there.
NO_BREAK = "\u00a0"


def line_height(size_px: int) -> int:
    """Return the distance of two lines."""
    return round(size_px * 1.15)


def width(words: str, face: ImageFont.FreeTypeFont) -> int:
    """Return how wide words are drawn."""
    return round(face.getlength(words, mode="1")) + 1


def shown(words: str, face: ImageFont.FreeTypeFont) -> str:
    """Return the words with a question mark for each character that the font doesn't have."""
    return "".join(char if char.isascii() or char == NO_BREAK or _has(char, face) else "?" for char in words)


@lru_cache(maxsize=1024)
def _has(char: str, face: ImageFont.FreeTypeFont) -> bool:
    return char.isprintable() and bytes(face.getmask(char, "1")) != bytes(face.getmask(_NOT_THERE, "1"))


def wrapped(words: str, face: ImageFont.FreeTypeFont, width_px: int, *, breaks_words: bool) -> list[str] | None:
    """Return the words as lines no wider than `width_px`; None where a word is, and words may not be broken.

    What a no-break space joins, such as a date, is one word.
    """
    lines = [""]
    for word in filter(None, words.split(" ")):
        joined = f"{lines[-1]} {word}".strip()
        if width(joined, face) <= width_px:
            lines[-1] = joined
            continue
        if width(word, face) > width_px and not breaks_words:
            return None
        pieces = _pieces(word, face, width_px)
        lines = [*(lines if lines[-1] else lines[:-1]), *pieces]
    return lines


def _pieces(word: str, face: ImageFont.FreeTypeFont, width_px: int) -> list[str]:
    pieces = []
    while word:
        most = max(1, _fitting(word, face, width_px))
        pieces.append(word[:most])
        word = word[most:]
    return pieces


def _fitting(word: str, face: ImageFont.FreeTypeFont, width_px: int) -> int:
    """Return how many of the first characters fit, by halving."""
    low, high = 0, len(word)
    while low < high:
        middle = (low + high + 1) // 2
        if width(word[:middle], face) <= width_px:
            low = middle
        else:
            high = middle - 1
    return low


def shortened(words: str, face: ImageFont.FreeTypeFont, width_px: int) -> str:
    """Return the words, ended by an ellipsis; cut where they are wider with it."""
    if width(words + ELLIPSIS, face) <= width_px:
        return words + ELLIPSIS
    most = _fitting(words, face, width_px - width(ELLIPSIS, face))
    return words[:most].rstrip() + ELLIPSIS
