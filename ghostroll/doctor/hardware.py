"""Check the connections of panel and button on a Raspberry Pi; the display service detects the panel itself."""

import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from ghostroll.base.config import Settings
from ghostroll.doctor.disk import SERVICE_USER
from ghostroll.doctor.findings import Finding, failed, ok, warning

_MODEL = "proc/device-tree/model"
_BOOT_CONFIG = "boot/firmware/config.txt"
# Inky drives the chip select line itself; if the kernel owns it, inky fails with "GPIO8 is in use".
_OVERLAY = "dtoverlay=spi0-0cs"


def findings(settings: Settings, root: Path = Path("/")) -> Iterator[Finding]:
    """Check the system below `root` for what panel and button need."""
    try:
        model = (root / _MODEL).read_text(errors="replace").strip("\0\n ")
    except OSError:
        model = ""
    if "Raspberry Pi" not in model:
        yield ok("hardware", "This is not a Raspberry Pi: panel and button are not checked.")
        return
    yield ok("hardware", f"{model}.")
    if settings.panel in ("none", "png"):
        yield ok("panel", f"panel = {settings.panel}: no e-ink panel is used.")
    else:
        yield _panel(settings, root)
    yield _button(settings, root)
    yield from _permissions(root)


def _panel(settings: Settings, root: Path) -> Finding:
    setting = f"panel = {settings.panel}"
    missing = [
        name for name, pattern in (("SPI", "spidev0.*"), ("I2C", "i2c-1")) if not list((root / "dev").glob(pattern))
    ]
    if missing:
        commands = "; ".join(f"sudo raspi-config nonint do_{name.lower()} 0" for name in missing)
        text = f"{setting}, but {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} switched off: no panel."
        return _panel_problem(settings, text, f"`{commands}`, then restart the Pi.")
    config = root / _BOOT_CONFIG
    if config.is_file() and _OVERLAY not in config.read_text(errors="replace"):
        text = f"{setting}, but the system holds the panel's select line (GPIO 8)."
        return _panel_problem(settings, text, f"Add the line {_OVERLAY} to {config}, then restart the Pi.")
    return ok("panel", f"{setting}: SPI and I2C are on. The log of ghostroll-display names the panel it finds.")


def _panel_problem(settings: Settings, text: str, fix: str) -> Finding:
    """Return a failure for a configured panel; a warning with `auto`, since there may be none."""
    if settings.panel == "auto":
        return warning("panel", text, f'{fix} Without a panel set panel = "png".')
    return failed("panel", text, fix)


def _button(settings: Settings, root: Path) -> Finding:
    if not list((root / "dev").glob("gpiochip*")):
        return warning(
            "button", "There is no GPIO chip: the button does nothing.", "Use the kernel of Raspberry Pi OS."
        )
    return ok("button", f"The button is read at GPIO {settings.button_gpio}.")


def _permissions(root: Path) -> Iterator[Finding]:
    """Check that the service's user may open the devices of panel and button."""
    user = _user()
    devices = [file for pattern in ("spidev0.*", "i2c-1", "gpiochip0") for file in (root / "dev").glob(pattern)]
    missing = sorted({group for file in devices if (group := _missing_group(file, user))})
    if missing:
        fix = f"`sudo usermod -aG {','.join(missing)} {user.pw_name}`, then restart the Pi."
        yield warning(
            "groups", f"The user {user.pw_name} may not use panel and button: it is not in {', '.join(missing)}.", fix
        )
    elif devices:
        yield ok("groups", f"The user {user.pw_name} may use panel and button.")


def _user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SERVICE_USER)
    except KeyError:
        return pwd.getpwuid(os.getuid())


def _missing_group(file: Path, user: pwd.struct_passwd) -> str:
    """Return the group that `user` must join to use a device; "" if it may use it."""
    facts = file.stat()
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    if user.pw_uid in (0, facts.st_uid) or facts.st_gid in groups or facts.st_mode & 0o006 == 0o006:  # noqa: PLR2004
        return ""
    try:
        return grp.getgrgid(facts.st_gid).gr_name
    except KeyError:
        return str(facts.st_gid)
