"""Define all settings in one table: name, parser, default, help. The settings are read by `config.load`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostroll.base.setting_values import (
    absolute_path,
    boolean,
    bucket,
    endpoint_url,
    file_path,
    host,
    ipv4_host,
    key_prefix,
    number,
    one_of,
    optional,
    optional_text,
    paths,
    pixel_size,
    text,
)

ENVIRONMENT_PREFIX = "GHOSTROLL_"
# The longest validity of a presigned URL (Amazon S3 user guide, "Sharing objects with presigned URLs").
MAX_EXPIRY_SECONDS = 604_800


@dataclass(frozen=True)
class Setting:
    """A setting. `parse` converts a string or TOML value to the type of the `Settings` field `name`."""

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
    """The effective settings. Paths are absolute, sizes in pixels; None means that the value is detected."""

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
        """Whether no bucket is configured, so that the embedded S3 server is the store."""
        return self.s3_bucket is None


_EDGE = number(64, 16384, "a whole number of pixels")
_QUALITY = number(1, 95, "a JPEG quality")
SETTINGS = (
    Setting("base_dir", absolute_path, "~/ghostroll", "where sessions are kept"),
    Setting("db_path", file_path, "~/.ghostroll/ghostroll.db", "the catalog (SQLite)"),
    Setting("sd_label", text, "auto-import", "the card label that `watch` takes; * takes any card with DCIM/"),
    Setting("always_create_session", boolean, False, "make a session even when nothing is new"),
    Setting("mount_roots", paths, "/Volumes,/media,/run/media,/mnt", "where `watch` looks for mounted cards"),
    Setting("s3_bucket", bucket, "", "the private bucket; empty: the embedded store serves"),
    Setting("store_host", host, "127.0.0.1", "the embedded store's advertised address; auto: the local network's"),
    Setting("store_port", number(1, 65535, "a port"), 8333, "the embedded store's port"),
    Setting("s3_prefix_root", key_prefix, "sessions/", "what every key in the bucket begins with"),
    Setting("s3_endpoint_url", endpoint_url, "", "an S3-compatible service; empty: AWS"),
    Setting("s3_region", optional_text, "", "the bucket's region; empty: the AWS configuration's"),
    Setting(
        "presign_expiry_seconds",
        number(1, MAX_EXPIRY_SECONDS, "a whole number of seconds"),
        MAX_EXPIRY_SECONDS,
        "how long a link is valid; seven days is also the most that S3 allows",
    ),
    Setting("status_path", file_path, None, "the status record; default: status.json under base_dir"),
    Setting("status_image_path", file_path, None, "the panel's picture; default: status.png under base_dir"),
    Setting(
        "process_workers",
        optional(number(1, 64, "auto, or a number"), "auto"),
        "auto",
        "processes that render",
    ),
    Setting("upload_workers", number(1, 64, "a number"), 8, "uploads at a time"),
    Setting("share_max_long_edge", _EDGE, 2048, "long edge of a share image, pixels"),
    Setting("share_quality", _QUALITY, 90, "JPEG quality of a share image"),
    Setting("thumb_max_long_edge", _EDGE, 512, "long edge of a thumbnail, pixels"),
    Setting("thumb_quality", _QUALITY, 85, "JPEG quality of a thumbnail"),
    Setting("verify", one_of("readback", "none"), "readback", "read every copy back from the disk, or not"),
    Setting("panel", text, "auto", "auto (an Inky, else png), png, none, or a panel's name"),
    Setting("panel_size", optional(pixel_size, "auto"), "auto", "size of the panel's picture, WxH, for png"),
    Setting("button_gpio", number(0, 63, "a GPIO number"), 5, "the button's pin"),
    Setting("led_gpio", optional(number(0, 63, "none, or a GPIO number"), "none"), "none", "the button's lamp"),
    Setting(
        "gpio_chip",
        optional(number(0, 63, "auto, or a number"), "auto"),
        "auto",
        "the GPIO chip's number",
    ),
    Setting("short_links", boolean, True, "on an appliance: offer short links, for panels too small for the full one"),
    Setting("short_link_host", ipv4_host, "auto", "this machine's address in short links; auto: the local network's"),
    Setting(
        "short_link_port",
        number(1, 65535, "a port"),
        80,
        "the port in short links: that of ghostroll-link.socket",
    ),
)
