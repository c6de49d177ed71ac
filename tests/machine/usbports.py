"""What is plugged into the machine's USB ports: readers that stay while their cards come and go, and sticks."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.machine.emulator import SLOTS
from tests.machine.qmp import Qmp, RefusedError


@dataclass
class Reader:
    """A card reader with one slot."""

    name: str
    slot: int
    _qmp: Callable[[], Qmp]
    card: Path | None = None

    def plug_in(self) -> None:
        """Connect the reader, and with it the card that is in it."""
        qmp = self._qmp()
        qmp.ask("device_add", driver="usb-bot", bus="xhci.0", id=self.name, serial=self.name)
        # fmt: off
        qmp.ask("device_add", driver="scsi-hd", bus=f"{self.name}.0", lun=0, drive=f"slot{self.slot}",
                id=self._device, removable=True, vendor="GENERIC", product="Card Reader")
        # fmt: on
        if self.card:
            self.insert(self.card)
        qmp.ask("qom-set", path=f"/machine/peripheral/{self.name}", property="attached", value=True)

    @property
    def _device(self) -> str:
        return f"{self.name}-slot"

    def insert(self, card: Path) -> None:
        """Put a card into the slot; the one that is there is pulled out without a warning."""
        self._qmp().ask("blockdev-change-medium", id=self._device, filename=str(card), format="raw", force=True)
        self.card = card

    def pull(self) -> None:
        """Pull the card out, without a warning."""
        self._qmp().ask("blockdev-open-tray", id=self._device, force=True)
        self._qmp().ask("blockdev-remove-medium", id=self._device)
        self._qmp().ask("blockdev-close-tray", id=self._device)
        self.card = None

    def slow_down(self, bytes_a_second: int) -> None:
        """Read no faster than this from now on, until the next power off; 0: as fast as it goes."""
        others = dict.fromkeys(("bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
        self._qmp().ask("block_set_io_throttle", others, id=self._device, bps=bytes_a_second)


@dataclass
class Stick:
    """A USB stick, or a reader that is plugged in together with its card."""

    name: str
    card: Path
    _qmp: Callable[[], Qmp]

    def plug_in(self) -> None:
        image = {"driver": "file", "filename": str(self.card)}
        self._qmp().ask("blockdev-add", driver="raw", node_name=self._node, file=image)
        # fmt: off
        self._qmp().ask("device_add", driver="usb-storage", bus="xhci.0", id=self.name, drive=self._node,
                        removable=True, serial=self.name)
        # fmt: on

    @property
    def _node(self) -> str:
        return f"{self.name}-card"

    def unplug(self) -> None:
        """Take it out, or tear it out while it is read."""
        self._qmp().ask("device_del", id=self.name)
        self._qmp().wait_for_event("DEVICE_DELETED", self.name)
        with contextlib.suppress(RefusedError):  # gone with its device
            self._qmp().ask("blockdev-del", node_name=self._node)


@dataclass
class UsbPorts:
    """All that is plugged in. It is plugged in again when the machine boots."""

    _qmp: Callable[[], Qmp]
    readers: list[Reader] = field(default_factory=list)
    sticks: list[Stick] = field(default_factory=list)
    _count: int = 0

    def add_reader(self, card: Path | None = None) -> Reader:
        if len(self.readers) == SLOTS:
            raise RefusedError("no more slots")
        reader = Reader(self._name("reader"), len(self.readers), self._qmp, card)
        self.readers.append(reader)
        return reader

    def add_stick(self, card: Path) -> Stick:
        stick = Stick(self._name("stick"), card, self._qmp)
        self.sticks.append(stick)
        return stick

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def remove(self, stick: Stick) -> None:
        self.sticks.remove(stick)
        stick.unplug()

    def plug_in_all(self) -> None:
        for reader in self.readers:
            reader.plug_in()
        for stick in self.sticks:
            stick.plug_in()
