"""A machine to do to what happens to an owner's: cards, power cuts, a network that goes, a button."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine import emulator
from tests.machine.emulator import PowerOn
from tests.machine.machineimage import Image
from tests.machine.qmp import Qmp, RefusedError
from tests.machine.shell import PATIENCE_SECONDS, Shell
from tests.machine.usbports import Reader, Stick, UsbPorts

if TYPE_CHECKING:
    import subprocess

BOOT_SECONDS = 900.0  # under emulation 30 to 60 on two idle cores, many times that on busy ones

INSTALLATION_SECONDS = 1800.0


@dataclass(frozen=True)
class SavedState:
    """A machine that was running: its disk and its memory. Any number of machines can go on from there."""

    image: Image
    disk: Path
    memory: Path


class Machine:
    """One machine. `place` is a directory of its own; everything about it lies there."""

    def __init__(self, image: Image, place: Path) -> None:
        self.image = image
        self.place = place
        self.disk = place / "disk.qcow2"
        self.ports = UsbPorts(lambda: self.qmp)
        self.shell = Shell(image.key, place / "ssh", 0)
        self._qemu: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        place.mkdir(parents=True, exist_ok=True)

    # Power

    def start(self, state: SavedState) -> None:
        """Go on from a saved state, with a fresh disk over the saved one."""
        emulator.lay_over(state.disk, self.disk)
        self._switch_on(PowerOn(state.memory))
        self.qmp.wait_until(lambda: self._state() != "inmigrate", "the saved state was not taken")
        self._let_run()
        self.run(f"date --set @{time.time():.3f}")  # its clock stood still

    def boot_fresh(self) -> None:
        """Boot from the image as it was built."""
        emulator.lay_over(self.image.disk, self.disk)
        self.boot()

    def boot(self, clock: str = "utc") -> None:
        """Switch on, on the disk as it is now. What is plugged in is there from the start."""
        self._switch_on(PowerOn(clock=clock))
        self.ports.plug_in_all()
        self._let_run()

    def boot_until_reboot(self, parameters: str) -> None:
        """Switch on with parameters for the kernel, and wait until the machine would start anew; it is off then."""
        self._switch_on(PowerOn(parameters=parameters, is_off_at_reboot=True))
        self.qmp.ask("cont")
        assert self._qemu
        self._qemu.wait(BOOT_SECONDS + INSTALLATION_SECONDS)
        self.power_cut()

    def _switch_on(self, power_on: PowerOn) -> None:
        assert self._qemu is None, "it is on"
        self.shell.port = emulator.free_port()
        self._qemu = emulator.start(self.image, self.place, self.disk, self.shell.port, power_on)
        try:
            self._qmp = Qmp(self.place / "qmp", self.is_on)
        except RefusedError as error:
            raise RefusedError((self.place / "qemu.log").read_text()) from error

    def _let_run(self) -> None:
        self.qmp.ask("cont")
        self.shell.connect(self.is_on, BOOT_SECONDS)

    def reboot(self) -> None:
        """`systemctl reboot`, and wait until it is back."""
        before = self.run("cat /proc/sys/kernel/random/boot_id")
        self.shell.ended("systemctl --no-block reboot")
        self.shell.close()
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            self.shell.connect(self.is_on, BOOT_SECONDS)
            now = self.shell.ended("cat /proc/sys/kernel/random/boot_id").stdout.strip()
            if now and now != before:
                return
            assert time.monotonic() < deadline, "it did not reboot"
            self.shell.close()
            time.sleep(0.5)

    def power_cut(self) -> None:
        """Cut the power: memory is gone; what had been handed to the disk is kept."""
        if self._qemu:
            self._qemu.kill()
            self._qemu.wait()
        self._qemu = None
        if self._qmp:
            self._qmp.close()
        self._qmp = None
        self.shell.close()

    def stop(self) -> None:
        """Throw the machine away."""
        self.power_cut()
        shutil.rmtree(self.place, ignore_errors=True)

    def is_on(self) -> bool:
        return self._qemu is not None and self._qemu.poll() is None

    def save(self, place: Path) -> SavedState:
        """Save the running machine, and switch it off."""
        place.mkdir(parents=True, exist_ok=True)
        saved = SavedState(self.image, place / "disk.qcow2", place / "memory")
        self.run("sync; echo 3 > /proc/sys/vm/drop_caches")  # so that little memory is to be saved
        self.shell.close()
        self.qmp.ask("stop")
        self.qmp.ask("migrate-set-parameters", max_bandwidth=10**10)
        self.qmp.ask("migrate", uri=f"exec:cat > '{saved.memory}'")
        self.qmp.wait_until(lambda: self.qmp.ask("query-migrate")["status"] == "completed", "it was not saved")
        self.qmp.ask("quit")
        if self._qemu:
            self._qemu.wait(60)
        self.power_cut()
        self.disk.rename(saved.disk)
        return saved

    @property
    def qmp(self) -> Qmp:
        assert self._qmp, "it is off"
        return self._qmp

    def _state(self) -> str:
        return str(self.qmp.ask("query-status")["status"])

    # Inside

    def run(self, command: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Run a shell command as root; it must succeed."""
        return self.shell.run(command, seconds)

    def says(self, command: str) -> str:
        """Return what a command prints, however it ends."""
        return self.shell.ended(command).stdout.strip()

    # What an owner's hands do

    def plug_in_reader(self, card: Path | None = None) -> Reader:
        reader = self.ports.add_reader(card)
        reader.plug_in()
        return reader

    def plug_in_stick(self, card: Path) -> Stick:
        stick = self.ports.add_stick(card)
        stick.plug_in()
        return stick

    def tear_out(self, stick: Stick) -> None:
        self.ports.remove(stick)

    def hold_button(self, line: int, seconds: float) -> None:
        """Hold the button on a GPIO line down for so long."""
        self.run(f"pretend-pi hold {line}; sleep {seconds}; pretend-pi release {line}")


def booted(image: Image) -> SavedState:
    """Return the state of a machine that has booted, kept beside the image; made on the first call."""
    kept = image.directory / f"booted-{emulator.accelerator(image.kernel)}"
    if not kept.exists():
        unfinished = kept.with_suffix(".unfinished")
        machine = Machine(image, unfinished / "machine")
        try:
            machine.boot_fresh()
            machine.says("systemctl is-system-running --wait")
            machine.save(unfinished)
            machine.stop()
            unfinished.rename(kept)
        finally:
            machine.power_cut()
    return SavedState(image, kept / "disk.qcow2", kept / "memory")
