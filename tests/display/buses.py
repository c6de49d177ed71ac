"""A panel's connections that record what a driver sends, and what the panel would then show."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from types import SimpleNamespace
from typing import Any

from gpiod.line import Value
from inky.eeprom import EPDType
from PIL import Image

from ghostroll_display.inky_drivers import DRIVERS
from ghostroll_display.models import PanelModel

RESET, BUSY, DATA = 27, 17, 22
SELECT_LINES = (8, 26, 16)
# These pull BUSY up while they are at work, all others pull it down (data sheets; Inky's own waits).
BUSY_IS_HIGH = frozenset(("inky", "inky_ssd1608", "inky_ssd1683"))
# The Spectra controllers' numbers, in the order of the palette: there is no colour 4.
SPECTRA = (0, 1, 2, 3, 5, 6)


@dataclass
class Connections:
    """SPI, I2C and GPIO of one panel. It is busy for one look after each command, or for ever."""

    busy_is_high: bool = False
    stuck_at: Value | None = None
    variant: EPDType | None = None
    lines: dict[int, Value] = field(default_factory=dict)
    transfers: list[tuple[frozenset[int], bool, bytes]] = field(default_factory=list)
    is_busy: bool = True

    def as_parameters(self) -> dict[str, Any]:
        return {"spi_bus": self, "i2c_bus": self, "gpio": self}

    # gpiod.LineRequest

    def set_value(self, line: int, value: Value) -> None:
        self.lines[line] = value
        self.is_busy = self.is_busy or line == RESET

    def get_value(self, line: int) -> Value:
        assert line == BUSY
        if self.stuck_at is not None:
            return self.stuck_at
        was_busy, self.is_busy = self.is_busy, False
        return Value.ACTIVE if was_busy is self.busy_is_high else Value.INACTIVE

    def wait_edge_events(self, _: object) -> bool:
        return self.stuck_at is None

    def read_edge_events(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(line_offset=BUSY)]

    # spidev.SpiDev

    def open(self, bus: int, device: int) -> None:
        assert (bus, device) == (0, 0)

    def xfer3(self, values: Any) -> None:
        selected = frozenset(line for line in SELECT_LINES if self.lines.get(line) is Value.INACTIVE)
        sent = bytes(value & 0xFF for value in values)  # spidev takes the low byte of 299, which SSD1683's driver sends
        self.transfers.append((selected, self.lines[DATA] is Value.ACTIVE, sent))
        self.is_busy = True

    xfer = xfer3

    # smbus2.SMBus

    def write_i2c_block_data(self, address: int, *_: object) -> None:
        assert address == 0x50
        if self.variant is None:
            raise OSError(121, "Remote I/O error")

    def read_i2c_block_data(self, *_: object) -> bytes:
        assert self.variant is not None
        return bytes(self.variant.encode())

    # What was sent

    def data_of(self, command: int, select: int = 8) -> bytes:
        """Return the data that followed the last such command to the controller behind a select line."""
        sent, is_in = bytearray(), False
        for selected, is_data, values in self.transfers:
            if select in selected:
                if not is_data:
                    is_in = values == bytes([command])
                    sent = bytearray() if is_in else sent
                elif is_in:
                    sent += values
        return bytes(sent)


def shown(model: PanelModel, connections: Connections) -> Image.Image:  # noqa: PLR0911 - one for each controller
    """Return what the controller's memory holds, as palette indices, upright: its data sheet, not Inky's code."""
    width, height = model.size
    match DRIVERS[model.name].module:
        case "inky" if width == 212:
            return two_planes(connections, (height, width)).transpose(Image.Transpose.ROTATE_90)
        case "inky" | "inky_ssd1683":
            return two_planes(connections, model.size)
        case "inky_ssd1608":  # 136 columns, of which the glass has 122
            return two_planes(connections, (136, width)).transpose(Image.Transpose.ROTATE_90).crop((0, 6, width, 128))
        case "inky_jd79661":
            whole = packed(connections.data_of(0x10), (128, width), 2)
            return whole.transpose(Image.Transpose.ROTATE_90).crop((0, 6, width, 128))
        case "inky_jd79668" | "inky_ssd2683":
            return packed(connections.data_of(0x10), model.size, 2)
        case "inky_e640":
            return spectra(packed(connections.data_of(0x10), (height, width), 4)).transpose(Image.Transpose.ROTATE_90)
        case "inky_e673":
            return spectra(packed(connections.data_of(0x10), model.size, 4))
        case "inky_el133uf1":  # two controllers, each with half of every row
            whole = Image.new("P", (height, width))
            for number, select in enumerate((26, 16)):
                half = packed(connections.data_of(0x10, select), (height // 2, width), 4)
                whole.paste(half, (number * height // 2, 0))
            return spectra(whole).transpose(Image.Transpose.ROTATE_90)
    return packed(connections.data_of(0x10), model.size, 4)


def two_planes(connections: Connections, size: tuple[int, int]) -> Image.Image:
    """Command 24h: a bit is 0 where black; 26h: 1 where the third colour is (SSD1608's data sheet)."""
    planes = (Image.frombytes("1", size, connections.data_of(command)) for command in (0x24, 0x26))
    white, colour = ([bool(value) for value in plane.get_flattened_data()] for plane in planes)
    return indices(size, (2 if third else int(not light) for light, third in zip(white, colour, strict=True)))


def packed(data: bytes, size: tuple[int, int], bits: int) -> Image.Image:
    """Several pixels a byte, the first one in the highest bits."""
    shifts, mask = range(8 - bits, -1, -bits), (1 << bits) - 1
    return indices(size, (byte >> shift & mask for byte, shift in product(data, shifts)))


def spectra(image: Image.Image) -> Image.Image:
    return indices(image.size, (SPECTRA.index(value) for value in image.tobytes()))


def indices(size: tuple[int, int], values: Iterator[int]) -> Image.Image:
    return Image.frombytes("P", size, bytes(values))
