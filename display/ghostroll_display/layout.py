"""Words in a box: as large as they fit, never over its edge. What is too long ends in an ellipsis."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL.ImageDraw import ImageDraw
from PIL.ImageFont import FreeTypeFont

from ghostroll_display import fonts

Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom lie outside

HEADING_SCALE = 1.6
# More than any panel has room for.
_MOST_CHARACTERS = 600


@dataclass(frozen=True)
class Words:
    """A line of words of a column, which may break into several."""

    text: str
    is_heading: bool = False

    def size_px(self, unit_px: int) -> int:
        """Return the type size where the others have `unit_px`."""
        return round(unit_px * HEADING_SCALE) if self.is_heading else unit_px


@dataclass(frozen=True)
class Block:
    """Words as they are set: lines of one size."""

    lines: tuple[str, ...]
    size_px: int
    is_heading: bool

    @property
    def height(self) -> int:
        """The height, with the space below."""
        return len(self.lines) * fonts.line_height(self.size_px) + max(1, self.size_px // 6)


@dataclass(frozen=True)
class TypeSizes:
    """Type sizes of lines: the least that can be read, what reads well from a metre away, and the most."""

    least_px: int
    clear_px: int
    most_px: int


def fitted(words: Sequence[Words], size: tuple[int, int], sizes: TypeSizes, needed: int) -> list[Block]:
    """Return the words set as large as fits `size` (width, height).

    Rather than shrink below `clear_px`, the last go, but for the first `needed`; then all shrink; then they are cut.
    """
    present = [item for item in words if item.text]
    for largest, smallest in ((sizes.most_px, sizes.clear_px), (sizes.clear_px, sizes.least_px)):
        for count in range(len(present), min(needed, len(present)) - 1, -1):
            for unit in range(largest, smallest - 1, -1):
                blocks = _set(present[:count], unit, size[0], breaks_words=False)
                if blocks is not None and height(blocks) <= size[1]:
                    return blocks
    return _cut(_set(present[:needed], sizes.least_px, size[0], breaks_words=True) or [], size)


def height(blocks: Sequence[Block]) -> int:
    """Return the height of a column."""
    return sum(block.height for block in blocks)


def is_cut(blocks: Sequence[Block]) -> bool:
    """Whether some of the words had to be left out in the middle of a text."""
    return any(block.lines[-1].endswith(fonts.ELLIPSIS) for block in blocks if block.lines)


def write(pen: ImageDraw, blocks: Sequence[Block], left_top: tuple[int, int], ink: int) -> None:
    """Draw a column."""
    left, top = left_top
    for block in blocks:
        face = fonts.font(block.size_px, bold=block.is_heading)
        step = fonts.line_height(block.size_px)
        for number, line in enumerate(block.lines):
            # From the baseline, so that lines stand alike whatever their letters are.
            baseline = top + number * step + round(block.size_px * 0.9)
            pen.text((left, baseline), line.replace(fonts.NO_BREAK, " "), fill=ink, font=face, anchor="ls")
        top += block.height


def _set(words: Sequence[Words], unit_px: int, width_px: int, *, breaks_words: bool) -> list[Block] | None:
    blocks = []
    for item in words:
        size_px = item.size_px(unit_px)
        face = fonts.font(size_px, bold=item.is_heading)
        text = fonts.shown(item.text[:_MOST_CHARACTERS], face)
        lines = fonts.wrapped(text, face, width_px, breaks_words=breaks_words)
        if lines is None:
            return None
        lines = _balanced(text, face, width_px, lines) if item.is_heading else lines
        blocks.append(Block(tuple(lines), size_px, item.is_heading))
    return blocks


def _balanced(text: str, face: FreeTypeFont, width_px: int, lines: list[str]) -> list[str]:
    """Return as many lines that are as alike in width as may be: no short word stands alone below."""
    for narrower in range(width_px, width_px // 2, -max(1, width_px // 20)):
        tried = fonts.wrapped(text, face, narrower, breaks_words=False)
        if tried is None or len(tried) > len(lines):
            break
        lines = tried
    return lines


def _cut(blocks: list[Block], size: tuple[int, int]) -> list[Block]:
    """Take the longest text's last line away, or else the least important text, until all fits."""
    while blocks and height(blocks) > size[1]:
        longest = max(range(len(blocks)), key=lambda number: (len(blocks[number].lines), number))
        if len(blocks[longest].lines) > 1:
            blocks[longest] = _shorter(blocks[longest], size[0])
        else:
            blocks.pop()
    return blocks


def _shorter(block: Block, width_px: int) -> Block:
    face = fonts.font(block.size_px, bold=block.is_heading)
    *kept, last = block.lines[:-1]
    return Block((*kept, fonts.shortened(last.rstrip(fonts.ELLIPSIS), face, width_px)), block.size_px, block.is_heading)
