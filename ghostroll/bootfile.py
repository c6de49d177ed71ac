"""What became of the configuration that an appliance's owner put on the boot partition."""

from pathlib import Path

from ghostroll.errors import ConfigurationError
from ghostroll.log import printable


def refusal(in_force: Path | None) -> ConfigurationError | None:
    """Return what is wrong with it, if it was not taken.

    The helper that takes it from there, `take-boot-files`, leaves a word beside the file that is `in_force`.
    """
    try:
        fault = in_force.with_name(f"{in_force.name}.refused").read_text() if in_force else ""
    except (OSError, UnicodeDecodeError):
        return None
    if not fault.strip():
        return None
    return ConfigurationError(
        f"The ghostroll.toml on the boot partition was not taken: {printable(fault.strip())}",
        hint="Put it right on any computer: it is called ghostroll.toml.refused there.",
    )
