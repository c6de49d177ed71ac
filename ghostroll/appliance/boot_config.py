"""Report a boot partition configuration that `take-boot-files` refused."""

from pathlib import Path

from ghostroll.base.errors import ConfigurationError
from ghostroll.base.log import printable


def refusal(config_path: Path | None) -> ConfigurationError | None:
    """Return why the boot partition's `ghostroll.toml` was refused; None if it was not.

    `take-boot-files` writes the reason to `<config_path>.refused`. It is stale once `config_path` is newer.
    """
    if config_path is None:
        return None
    refused = config_path.with_name(f"{config_path.name}.refused")
    try:
        reason = refused.read_text()
        is_stale = config_path.stat().st_mtime > refused.stat().st_mtime
    except (OSError, UnicodeDecodeError):
        return None
    if is_stale or not reason.strip():
        return None
    return ConfigurationError(
        f"The ghostroll.toml on the boot partition was not taken: {printable(reason.strip())}",
        hint=f"Correct it on any computer, where it is called ghostroll.toml.refused; or change {config_path}.",
    )
