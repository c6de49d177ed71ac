"""Load the settings from flags, environment, TOML file and defaults, in this order of precedence.

See docs/configuration.md.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostroll.base.errors import ConfigurationError
from ghostroll.base.setting_values import InvalidValue
from ghostroll.base.settings import ENVIRONMENT_PREFIX, SETTINGS, Setting, Settings

__all__ = ["CONFIG_FILES", "ENVIRONMENT_PREFIX", "SETTINGS", "Effective", "Overridden", "Setting", "Settings", "load"]

CONFIG_VARIABLE = "GHOSTROLL_CONFIG"
CONFIG_FILES = (Path("/etc/ghostroll/ghostroll.toml"), Path("~/.config/ghostroll/ghostroll.toml"))
_BY_NAME = {setting.name: setting for setting in SETTINGS}
# User name and password in a URL are removed from error messages.
_USER_IN_URL = re.compile(r"://[^/]*@")


@dataclass(frozen=True)
class Overridden:
    """A setting whose `value` in the configuration `file` is overridden by `instead`; both as shown to the owner."""

    value: str
    file: str
    instead: str


@dataclass(frozen=True)
class Effective:
    """The effective settings, the origin of each by name, the configuration file and its overridden values."""

    settings: Settings
    origins: dict[str, str]
    file: Path | None = None
    overridden: dict[str, Overridden] = field(default_factory=dict)


def load(flags: Mapping[str, Any], environment: Mapping[str, str], config_path: str | None = None) -> Effective:
    """Return the effective settings; `flags` maps setting names to values from the command line.

    Raises ConfigurationError, which names key and file, for an unknown key, an invalid value or an unreadable file.
    """
    values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
    origins = dict.fromkeys(values, "default")
    path = _config_file(environment, config_path)
    in_file = _read_file(path) if path else {}
    for source, origin in (
        (in_file, f"file {path}"),
        (_environment_values(environment), "environment"),
        (flags, "flag"),
    ):
        values.update(source)
        origins.update(dict.fromkeys(source, origin))
    parsed = {name: _parse(_BY_NAME[name], value, origins[name]) for name, value in values.items() if value is not None}
    parsed.setdefault("status_path", parsed["base_dir"] / "status.json")
    parsed.setdefault("status_image_path", parsed["base_dir"] / "status.png")
    if parsed["thumb_max_long_edge"] > parsed["share_max_long_edge"]:
        raise ConfigurationError("thumb_max_long_edge must not be greater than share_max_long_edge.")
    overridden = {
        name: Overridden(_shown(value), str(path), _shown(values[name]))
        for name, value in in_file.items()
        if values[name] is not value and not _is_equivalent(_BY_NAME[name], value, parsed.get(name))
    }
    return Effective(Settings(**parsed), origins, path, overridden)


def _is_equivalent(setting: Setting, value: Any, parsed: Any) -> bool:
    try:
        return bool(setting.parse(value) == parsed)
    except InvalidValue:
        return False


def _parse(setting: Setting, value: Any, origin: str) -> Any:
    try:
        return setting.parse(value)
    except InvalidValue as error:
        raise ConfigurationError(f"{setting.name} = {_shown(value)} ({origin}): must be {error}.") from None


def _shown(value: Any) -> str:
    try:
        return _USER_IN_URL.sub("://…@", repr(value))
    except ValueError:  # Python refuses to print very long numbers (sys.set_int_max_str_digits)
        return "a very long number"


def _config_file(environment: Mapping[str, str], config_path: str | None) -> Path | None:
    named = config_path or environment.get(CONFIG_VARIABLE)
    try:
        if named:
            return Path(named).expanduser()
        return next((found for file in CONFIG_FILES if (found := file.expanduser()).exists()), None)
    except RuntimeError as error:  # ~user without a home directory
        if named:
            raise ConfigurationError(f"Cannot find the configuration file {named}: {error}") from None
        return None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"Cannot read the configuration file {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # RecursionError: deeply nested TOML
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from None
    for key in values:
        if key not in _BY_NAME:
            raise _unknown(key, f"in {path}", _BY_NAME)
    return values


def _environment_values(environment: Mapping[str, str]) -> dict[str, str]:
    by_variable = {setting.variable: setting.name for setting in SETTINGS}
    values = {}
    for variable, value in environment.items():
        if variable in by_variable:
            values[by_variable[variable]] = value
        elif variable.startswith(ENVIRONMENT_PREFIX) and variable != CONFIG_VARIABLE:
            raise _unknown(variable, "in the environment", by_variable)
    return values


def _unknown(key: str, where: str, known: Mapping[str, Any]) -> ConfigurationError:
    similar = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    suggestion = f" Did you mean {similar[0]}?" if similar else ""
    return ConfigurationError(f"Unknown setting {key!r} {where}.{suggestion}")
