"""What became of the configuration that an appliance's owner put on the boot partition."""

from pathlib import Path

from ghostroll.base.errors import ConfigurationError
from ghostroll.base.log import printable


def refusal(in_force: Path | None) -> ConfigurationError | None:
    """Return what is wrong with it, if it was not taken.

    The helper that takes it from there, `take-boot-files`, leaves a word beside the file that is `in_force`.
    """
    if in_force is None:
        return None
    refused = in_force.with_name(f"{in_force.name}.refused")
    try:
        fault = refused.read_text()
        is_over = in_force.stat().st_mtime > refused.stat().st_mtime  # another was put in its place since
    except (OSError, UnicodeDecodeError):
        return None
    if is_over or not fault.strip():
        return None
    return ConfigurationError(
        f"The ghostroll.toml on the boot partition was not taken: {printable(fault.strip())}",
        hint=f"Put it right on any computer, where it is called ghostroll.toml.refused; or change {in_force}.",
    )
