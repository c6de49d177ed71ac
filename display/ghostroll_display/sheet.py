"""The contact sheet: thumbnails in the panel's few colours, so that one sees whose pictures these are."""

from collections.abc import Callable, Sequence

from PIL import Image, ImageOps

from ghostroll_display.layout import Box
from ghostroll_display.models import PanelModel, Rgb

Load = Callable[[str], Image.Image | None]

# What cameras take: 3 to 2.
_ASPECT = (3, 2)
_GAP_PX = 4
# A smaller one shows nothing of a picture.
_LEAST_CELL_MM = 9.0
_USUAL_CELL_MM = 16.0
_MM_PER_INCH = 25.4
_COLOURFUL = 6
# How the inks look (Inky's `SATURATED_PALETTE`): pictures are dithered half way between these and the pure colours.
_SEEN: dict[str, Rgb] = {
    "white": (161, 164, 165),
    "black": (57, 48, 57),
    "red": (156, 72, 75),
    "yellow": (208, 190, 71),
    "green": (58, 91, 70),
    "blue": (61, 59, 94),
    "orange": (177, 106, 73),
}


def place(image: Image.Image, box: Box, paths: Sequence[str], load: Load, model: PanelModel) -> None:
    """Draw as many of the thumbnails into the box as it has room for."""
    cells = _cells(box, len(paths), model.dpi)
    pictures = (picture for path in paths if (picture := load(path)) is not None)
    for (left, top, right, bottom), picture in zip(cells, pictures, strict=False):
        image.paste(dithered(picture, (right - left, bottom - top), model), (left, top))


def dithered(picture: Image.Image, size: tuple[int, int], model: PanelModel) -> Image.Image:
    """Return a picture filling `size`, mode "P" with the model's palette."""
    fitting = ImageOps.fit(picture.convert("RGB"), size, Image.Resampling.BICUBIC)
    if len(model.colours) >= _COLOURFUL:
        stretched = ImageOps.autocontrast(fitting, cutoff=1)
        indexed = stretched.quantize(palette=_dither_palette(model), dither=Image.Dither.FLOYDSTEINBERG)
    else:
        grey = ImageOps.autocontrast(fitting.convert("L"), cutoff=1)
        white, black = model.colours.index("white"), model.colours.index("black")
        indexed = grey.convert("1").convert("L").point([black] * 128 + [white] * 128)
        indexed = Image.frombytes("P", size, indexed.tobytes())
    indexed.putpalette(sum(model.palette, ()))
    return indexed


def _dither_palette(model: PanelModel) -> Image.Image:
    palette = Image.new("P", (1, 1))
    pairs = zip(model.palette, (_SEEN[colour] for colour in model.colours), strict=True)
    palette.putpalette([(pure + seen) // 2 for pair in pairs for pure, seen in zip(*pair, strict=True)])
    return palette


def _cells(box: Box, most: int, dpi: int) -> list[Box]:
    """Return the places of the thumbnails, row by row; none where they would be too small."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    usual = max(1, round(width * _MM_PER_INCH / dpi / _USUAL_CELL_MM))
    # As few columns, and so as large pictures, as show them all.
    columns = next((few for few in range(1, usual) if few * _rows(width, height, few) >= most), usual)
    cell_width, cell_height = _cell(width, columns)
    if cell_width * _MM_PER_INCH / dpi < _LEAST_CELL_MM:
        return []
    rows = _rows(width, height, columns)
    places = [(row, column) for row in range(rows) for column in range(columns)][:most]
    corners = [(left + c * (cell_width + _GAP_PX), top + r * (cell_height + _GAP_PX)) for r, c in places]
    return [(x, y, x + cell_width, y + cell_height) for x, y in corners]


def _cell(width: int, columns: int) -> tuple[int, int]:
    cell_width = (width - (columns - 1) * _GAP_PX) // columns
    return cell_width, max(1, cell_width * _ASPECT[1] // _ASPECT[0])


def _rows(width: int, height: int, columns: int) -> int:
    return max(0, (height + _GAP_PX) // (_cell(width, columns)[1] + _GAP_PX))
