"""QEMU's command line: a PC as small as a Pi Zero 2 W, its network open to nothing but ssh."""

import os
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.machine.machineimage import Image

MEMORY_MIB = 512  # a Pi Zero 2 W's
CORES = 2
SLOTS = 4  # of card readers
QEMU = "qemu-system-x86_64"
KVM = ["-accel", "kvm", "-cpu", "host,-arch-capabilities"]  # a register that QEMU 7.2 may not set in a nested KVM
TCG = ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"]


@cache
def accelerator(kernel: Path) -> str:
    """Return `kvm` where it runs our kernel, else `tcg`: QEMU's own emulation, some ten times slower."""
    asked = os.environ.get("GHOSTROLL_VM_ACCELERATOR")
    return asked or ("kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) and runs(KVM, kernel) else "tcg")


def runs(hardware: list[str], kernel: Path) -> bool:
    """Try the kernel, which finds no disk and gives up. A nested KVM may be there and run nothing."""
    command = [QEMU, "-machine", "pc", "-nodefaults", "-display", "none", *hardware, "-m", "256", "-no-reboot"]
    tried = [*command, "-kernel", str(kernel), "-append", "panic=-1"]
    try:
        return subprocess.run(tried, capture_output=True, check=False, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@dataclass(frozen=True)
class PowerOn:
    """What is decided when the machine is switched on."""

    memory: Path | None = None  # a saved machine's, to go on from
    clock: str = "utc"  # or what the clock says at power on (qemu(1), -rtc base=)
    parameters: str = ""  # for the kernel and systemd
    is_off_at_reboot: bool = False  # instead of starting again with the same parameters


def start(image: Image, place: Path, disk: Path, ssh_port: int, power_on: PowerOn) -> "subprocess.Popen[bytes]":
    """Start QEMU, the machine still halted. Its console, its complaints and its socket go to `place`."""
    hardware = KVM if accelerator(image.kernel) == "kvm" else TCG
    # fmt: off
    command = [
        "setpriv", "--pdeathsig", "KILL",  # ended with the tests, however these end
        QEMU, "-machine", "pc", "-nodefaults", "-display", "none", "-S",
        *hardware, "-smp", str(CORES), "-m", str(MEMORY_MIB),
        "-rtc", f"base={power_on.clock}",
        "-kernel", str(image.kernel), "-initrd", str(image.initrd),
        "-append", f"console=ttyS0 root=/dev/vda rw mitigations=off no_timer_check quiet {power_on.parameters}",
        "-drive", f"if=none,id=root,format=qcow2,file={disk},cache=writeback",
        "-device", "virtio-blk-pci,drive=root",
        "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{ssh_port}-:22",
        "-device", "virtio-net-pci,netdev=net,romfile=",
        "-device", "virtio-rng-pci", "-device", "qemu-xhci,id=xhci,p2=8,p3=8",
        "-serial", f"file:{place}/console.log", "-qmp", f"unix:{place}/qmp,server=on,wait=off",
    ]
    # fmt: on
    if power_on.is_off_at_reboot:
        command.append("-no-reboot")
    for slot in range(SLOTS):
        command += ["-drive", f"if=none,id=slot{slot}"]
    if power_on.memory:
        command += ["-incoming", f"exec:cat '{power_on.memory}'"]
    with (place / "qemu.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def lay_over(base: Path, disk: Path) -> None:
    """Make a fresh disk that shows `base` and keeps what is written to itself."""
    disk.unlink(missing_ok=True)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(disk)],
        check=True,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])
