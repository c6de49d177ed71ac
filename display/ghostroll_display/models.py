"""The panels: what each one measures, which colours it has in which order, and how long it takes.

Sizes, colours and waits are those of the drivers of Inky 2.6.0.
"""

from dataclasses import dataclass

Rgb = tuple[int, int, int]

# The pure colours that the drivers know a palette image's colours by.
RGB: dict[str, Rgb] = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "red": (255, 0, 0),
    "yellow": (255, 255, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "orange": (255, 140, 0),
}

# The controllers of pHAT, wHAT and SSD panels count white first, all others black.
_TWO = ("white", "black")
_RED = ("white", "black", "red")
_YELLOW = ("white", "black", "yellow")
_FOUR = ("black", "white", "yellow", "red")
_SPECTRA = ("black", "white", "yellow", "red", "blue", "green")
_SEVEN = ("black", "white", "green", "blue", "red", "yellow", "orange")

# A picture on a screen or a panel that we don't know: the commonest panels have about this many.
_USUAL_DPI = 130
# Panels of two colours are left alone for this long, those of more, whose refreshes take longer, for longer.
_QUICK_SECONDS = 120


@dataclass(frozen=True)
class PanelModel:
    """One kind of panel. `size` is (width, height) px; `colours` stand in the order of the panel's palette."""

    name: str
    size: tuple[int, int]
    dpi: int
    colours: tuple[str, ...]
    deadline_seconds: int  # a refresh never takes longer
    quiet_seconds: int  # the least pause between refreshes that only show progress
    is_screen: bool = False  # its pixels are as large as a module of a code may be

    @property
    def palette(self) -> tuple[Rgb, ...]:
        """The colours as (red, green, blue)."""
        return tuple(RGB[colour] for colour in self.colours)

    @property
    def is_slow(self) -> bool:
        """Whether a refresh takes so long that nobody waits for an answer from it: panels of more than two colours."""
        return self.quiet_seconds > _QUICK_SECONDS

    @property
    def is_png(self) -> bool:
        """Whether there is no panel: the picture is a file."""
        return self.name == "png"


# Names are those of Inky's own `--type`, with the colour where the same panel comes in several.
# A deadline is the sum of the driver's longest waits, and a third more.
_MODELS = (
    PanelModel("phat-black", (212, 104), 111, _TWO, 45, 120),
    PanelModel("phat-red", (212, 104), 111, _RED, 45, 180),
    PanelModel("phat-yellow", (212, 104), 111, _YELLOW, 45, 180),
    PanelModel("phatssd1608-black", (250, 122), 131, _TWO, 60, 120),
    PanelModel("phatssd1608-red", (250, 122), 131, _RED, 60, 180),
    PanelModel("phatssd1608-yellow", (250, 122), 131, _YELLOW, 60, 180),
    PanelModel("phatjd79661", (250, 122), 131, _FOUR, 160, 180),
    PanelModel("what-black", (400, 300), 119, _TWO, 45, 120),
    PanelModel("what-red", (400, 300), 119, _RED, 45, 180),
    PanelModel("what-yellow", (400, 300), 119, _YELLOW, 45, 180),
    PanelModel("whatssd1683-black", (400, 300), 119, _TWO, 90, 120),
    PanelModel("whatssd1683-red", (400, 300), 119, _RED, 90, 180),
    PanelModel("whatssd1683-yellow", (400, 300), 119, _YELLOW, 90, 180),
    PanelModel("whatjd79668", (400, 300), 119, _FOUR, 160, 180),
    PanelModel("whatssd2683", (400, 300), 119, _FOUR, 160, 180),
    PanelModel("impressions", (600, 448), 131, _SEVEN, 90, 300),
    PanelModel("7colour", (640, 400), 189, _SEVEN, 90, 300),
    PanelModel("impressions73", (800, 480), 128, _SEVEN, 90, 300),
    PanelModel("spectra40", (600, 400), 180, _SPECTRA, 60, 300),
    PanelModel("spectra73", (800, 480), 128, _SPECTRA, 60, 300),
    PanelModel("spectra13", (1600, 1200), 150, _SPECTRA, 120, 300),
)
MODELS: dict[str, PanelModel] = {model.name: model for model in _MODELS}


def png_model(size: tuple[int, int]) -> PanelModel:
    """Return what stands for a panel of `size` (width, height) px where the picture is a file."""
    dpi = next((model.dpi for model in _MODELS if model.size == size), _USUAL_DPI)
    return PanelModel("png", size, dpi, _TWO, deadline_seconds=60, quiet_seconds=60)
