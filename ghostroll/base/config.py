"""Settings: one table says every name, default and rule; flags, environment and file are read by it.

Precedence: flag, then environment, then TOML file, then default. See docs/configuration.md.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ghostroll.base.errors import ConfigurationError

ENVIRONMENT_PREFIX = "GHOSTROLL_"
CONFIG_VARIABLE = "GHOSTROLL_CONFIG"
CONFIG_FILES = (Path("/etc/ghostroll/ghostroll.toml"), Path("~/.config/ghostroll/ghostroll.toml"))
# The longest validity S3 grants a presigned URL (Amazon S3 user guide, "Sharing objects with presigned URLs").
MAX_EXPIRY_SECONDS = 604_800


_LEAST_PANEL_PX = 16
# A password has no place in an address, and none in an error about it.
_USER_IN_URL = re.compile(r"://[^/]*@")


class _Wrong(ValueError):
    """The value cannot be right; its text completes "must be …"."""


@dataclass(frozen=True)
class Setting:
    """One setting: `parse` turns a string or TOML value into the value of the `Settings` field of its name."""

    name: str
    parse: Callable[[Any], Any]
    default: Any
    help: str

    @property
    def variable(self) -> str:
        """The environment variable of this setting."""
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The command line flag of this setting."""
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True)
class Settings:
    """The effective settings. Paths are absolute; sizes in pixels; `None` means "find out"."""

    base_dir: Path
    db_path: Path
    sd_label: str
    always_create_session: bool
    mount_roots: tuple[Path, ...]
    s3_bucket: str | None
    store_host: str
    store_port: int
    s3_prefix_root: str
    s3_endpoint_url: str | None
    s3_region: str | None
    presign_expiry_seconds: int
    status_path: Path
    status_image_path: Path
    process_workers: int | None
    upload_workers: int
    share_max_long_edge: int
    share_quality: int
    thumb_max_long_edge: int
    thumb_quality: int
    verify: str
    panel: str
    panel_size: tuple[int, int] | None
    button_gpio: int
    led_gpio: int | None
    gpio_chip: int | None
    short_links: bool
    short_link_host: str
    short_link_port: int

    @property
    def uses_embedded_store(self) -> bool:
        """Whether the embedded S3 server is the store, since no bucket is configured."""
        return self.s3_bucket is None


@dataclass(frozen=True)
class Overridden:
    """What the configuration file says in vain: `value` stands in `file`, and `instead` is in force. All are words."""

    value: str
    file: str
    instead: str


@dataclass(frozen=True)
class Effective:
    """The settings; by name, where each came from, in words; the configuration file, and what that sets in vain."""

    settings: Settings
    origins: dict[str, str]
    file: Path | None = None
    overridden: dict[str, Overridden] = field(default_factory=dict)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise _Wrong("a text of printable characters")
    return value.strip()


def _optional_text(value: Any) -> str | None:
    return None if value == "" else _text(value)


def _path(value: Any) -> Path:
    try:
        path = Path(os.path.abspath(Path(_text(value)).expanduser()))  # noqa: PTH100 - resolve() would follow links
    except RuntimeError:  # ~nobody
        raise _Wrong("a path in a home directory that exists") from None
    return path


def _file_path(value: Any) -> Path:
    path = _path(value)
    if not path.name:
        raise _Wrong("the path of a file")
    return path


def _paths(value: Any) -> tuple[Path, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list):
        raise _Wrong("directories separated by commas, or empty")
    return tuple(_path(item) for item in items if not isinstance(item, str) or item.strip())


def _boolean(value: Any) -> bool:
    words = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise _Wrong("true or false")


def _number(least: int, most: int, what: str) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*\d{1,12}\s*", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _Wrong(f"{what} from {least} to {most}")
        return value

    return parse


def _optional(parse: Callable[[Any], Any], word: str) -> Callable[[Any], Any]:
    return lambda value: None if value in (word, "") else parse(value)


def _host(value: Any) -> str:
    host = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", host):
        raise _Wrong("a host name, an address, or auto")
    return host


def _short_host(value: Any) -> str:
    host = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", host):
        raise _Wrong("a host name, an address such as 192.168.1.20, or auto")
    return host


def _bucket(value: Any) -> str | None:
    name = _optional_text(value)
    # Amazon S3 user guide, "General purpose bucket naming rules".
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise _Wrong("a bucket name: 3 to 63 lower-case letters, digits, dots and hyphens")
    return name


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9!_.*'()/=-]{0,200}", value) or "//" in value:
        raise _Wrong("a key prefix of letters, digits and -_./, such as sessions/")
    parts = value.strip("/")
    if {".", ".."} & set(parts.split("/")):
        raise _Wrong("a key prefix without . or .. as a part, such as sessions/")
    return f"{parts}/" if parts else ""


def _endpoint(value: Any) -> str | None:
    url = _optional_text(value)
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment or "@" in parts.netloc:
        raise _Wrong("an address such as https://s3.example.com, without a user name")
    return url.rstrip("/")


def _one_of(*words: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or value.strip().lower() not in words:
            raise _Wrong(" or ".join(words))
        return value.strip().lower()

    return parse


def _size(value: Any) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{2,5})\s*[xX]\s*(\d{2,5})\s*", value) if isinstance(value, str) else None
    if not match or min(int(match[1]), int(match[2])) < _LEAST_PANEL_PX:
        raise _Wrong("a size in pixels such as 400x300")
    return int(match[1]), int(match[2])


_EDGE = _number(64, 16384, "a whole number of pixels")
_QUALITY = _number(1, 95, "a JPEG quality")

SETTINGS = (
    Setting("base_dir", _path, "~/ghostroll", "where sessions are kept"),
    Setting("db_path", _file_path, "~/.ghostroll/ghostroll.db", "the catalog (SQLite)"),
    Setting("sd_label", _text, "auto-import", "the card label that `watch` takes; * takes any card with DCIM/"),
    Setting("always_create_session", _boolean, False, "make a session even when nothing is new"),
    Setting("mount_roots", _paths, "/Volumes,/media,/run/media,/mnt", "where `watch` looks for mounted cards"),
    Setting("s3_bucket", _bucket, "", "the private bucket; empty: the embedded store serves"),
    Setting("store_host", _host, "127.0.0.1", "the embedded store's advertised address; auto: the local network's"),
    Setting("store_port", _number(1, 65535, "a port"), 8333, "the embedded store's port"),
    Setting("s3_prefix_root", _prefix, "sessions/", "what every key in the bucket begins with"),
    Setting("s3_endpoint_url", _endpoint, "", "an S3-compatible service; empty: AWS"),
    Setting("s3_region", _optional_text, "", "the bucket's region; empty: the AWS configuration's"),
    Setting(
        "presign_expiry_seconds",
        _number(1, MAX_EXPIRY_SECONDS, "a whole number of seconds"),
        MAX_EXPIRY_SECONDS,
        "how long a link is valid; seven days is also the most that S3 allows",
    ),
    Setting("status_path", _file_path, None, "the status record; default: status.json under base_dir"),
    Setting("status_image_path", _file_path, None, "the panel's picture; default: status.png under base_dir"),
    Setting(
        "process_workers",
        _optional(_number(1, 64, "auto, or a number"), "auto"),
        "auto",
        "processes that render",
    ),
    Setting("upload_workers", _number(1, 64, "a number"), 8, "uploads at a time"),
    Setting("share_max_long_edge", _EDGE, 2048, "long edge of a share image, pixels"),
    Setting("share_quality", _QUALITY, 90, "JPEG quality of a share image"),
    Setting("thumb_max_long_edge", _EDGE, 512, "long edge of a thumbnail, pixels"),
    Setting("thumb_quality", _QUALITY, 85, "JPEG quality of a thumbnail"),
    Setting("verify", _one_of("readback", "none"), "readback", "read every copy back from the disk, or not"),
    Setting("panel", _text, "auto", "auto (an Inky, else png), png, none, or a panel's name"),
    Setting("panel_size", _optional(_size, "auto"), "auto", "size of the panel's picture, WxH, for png"),
    Setting("button_gpio", _number(0, 63, "a GPIO number"), 5, "the button's pin"),
    Setting("led_gpio", _optional(_number(0, 63, "none, or a GPIO number"), "none"), "none", "the button's lamp"),
    Setting("gpio_chip", _optional(_number(0, 63, "auto, or a number"), "auto"), "auto", "the GPIO chip's number"),
    Setting("short_links", _boolean, True, "on an appliance: offer short links, for panels too small for the full one"),
    Setting("short_link_host", _short_host, "auto", "this machine's address in short links; auto: the local network's"),
    Setting(
        "short_link_port", _number(1, 65535, "a port"), 80, "the port in short links: that of ghostroll-link.socket"
    ),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def load(flags: Mapping[str, Any], environment: Mapping[str, str], config_path: str | None = None) -> Effective:
    """Return the effective settings.

    `flags` holds the values given on the command line, by setting name. Raises ConfigurationError, which
    names the key and the file, for an unknown key, a bad value, or a file that cannot be read.
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
        if values[name] is not value and not _means(_BY_NAME[name], value, parsed.get(name))
    }
    return Effective(Settings(**parsed), origins, path, overridden)


def _means(setting: Setting, value: Any, parsed: Any) -> bool:
    try:
        return bool(setting.parse(value) == parsed)
    except _Wrong:
        return False


def _parse(setting: Setting, value: Any, origin: str) -> Any:
    try:
        return setting.parse(value)
    except _Wrong as wrong:
        raise ConfigurationError(f"{setting.name} = {_shown(value)} ({origin}): must be {wrong}.") from None


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
    except RuntimeError as error:  # ~nobody, or no home at all
        if named:
            raise ConfigurationError(f"Cannot find the configuration file {named}: {error}") from None
        return None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"Cannot read the configuration file {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # what tomllib raises for a hostile file
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
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    meant = f" Did you mean {near[0]}?" if near else ""
    return ConfigurationError(f"Unknown setting {key!r} {where}.{meant}")
