"""Parse the values of settings: each function returns the value, or raises InvalidValue.

A value is a string from a flag, the environment or the file, or another TOML value from the file.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_MIN_PANEL_PX = 16


class InvalidValue(ValueError):
    """The value is invalid; the text completes "must be …"."""


def text(value: Any) -> str:
    """Return a stripped, non-empty string of printable characters."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidValue("a text of printable characters")
    return value.strip()


def optional_text(value: Any) -> str | None:
    """Return a text, or None for an empty string."""
    return None if value == "" else text(value)


def absolute_path(value: Any) -> Path:
    """Return an absolute path; `~` is expanded, links are not resolved."""
    try:
        path = Path(os.path.abspath(Path(text(value)).expanduser()))  # noqa: PTH100 - resolve() would follow links
    except RuntimeError:  # ~user without a home directory
        raise InvalidValue("a path in a home directory that exists") from None
    return path


def file_path(value: Any) -> Path:
    """Return an absolute path that is not the root directory."""
    path = absolute_path(value)
    if not path.name:
        raise InvalidValue("the path of a file")
    return path


def paths(value: Any) -> tuple[Path, ...]:
    """Return absolute paths from a list, or from a string separated by commas."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list):
        raise InvalidValue("directories separated by commas, or empty")
    return tuple(absolute_path(item) for item in items if not isinstance(item, str) or item.strip())


def boolean(value: Any) -> bool:
    """Return a boolean from a TOML boolean or a word such as yes or off."""
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
    raise InvalidValue("true or false")


def number(least: int, most: int, what: str) -> Callable[[Any], int]:
    """Return a parser for integers from `least` to `most`; `what` names them in the error."""

    def parse(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*\d{1,12}\s*", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidValue(f"{what} from {least} to {most}")
        return value

    return parse


def optional(parse: Callable[[Any], Any], word: str) -> Callable[[Any], Any]:
    """Return a parser that gives None for `word` or an empty string."""
    return lambda value: None if value in (word, "") else parse(value)


def host(value: Any) -> str:
    """Return a host name or an IP address."""
    host = text(value)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", host):
        raise InvalidValue("a host name, an address, or auto")
    return host


def ipv4_host(value: Any) -> str:
    """Return a host name or an IPv4 address."""
    host = text(value)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", host):
        raise InvalidValue("a host name, an address such as 192.168.1.20, or auto")
    return host


def bucket(value: Any) -> str | None:
    """Return a bucket name, or None for an empty string."""
    name = optional_text(value)
    # Amazon S3 user guide, "General purpose bucket naming rules".
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise InvalidValue("a bucket name: 3 to 63 lower-case letters, digits, dots and hyphens")
    return name


def key_prefix(value: Any) -> str:
    """Return a key prefix that ends with a slash, or an empty string."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9!_.*'()/=-]{0,200}", value) or "//" in value:
        raise InvalidValue("a key prefix of letters, digits and -_./, such as sessions/")
    parts = value.strip("/")
    if {".", ".."} & set(parts.split("/")):
        raise InvalidValue("a key prefix without . or .. as a part, such as sessions/")
    return f"{parts}/" if parts else ""


def endpoint_url(value: Any) -> str | None:
    """Return an HTTP or HTTPS URL without a user name, or None for an empty string."""
    url = optional_text(value)
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidValue("an address such as https://s3.example.com, without a user name")
    return url.rstrip("/")


def one_of(*words: str) -> Callable[[Any], str]:
    """Return a parser for one of `words`, in lower case."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or value.strip().lower() not in words:
            raise InvalidValue(" or ".join(words))
        return value.strip().lower()

    return parse


def pixel_size(value: Any) -> tuple[int, int]:
    """Return (width, height) from a string such as 400x300."""
    match = re.fullmatch(r"\s*(\d{2,5})\s*[xX]\s*(\d{2,5})\s*", value) if isinstance(value, str) else None
    if not match or min(int(match[1]), int(match[2])) < _MIN_PANEL_PX:
        raise InvalidValue("a size in pixels such as 400x300")
    return int(match[1]), int(match[2])
