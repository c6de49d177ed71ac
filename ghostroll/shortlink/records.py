"""The record of a short link: a file named by the code, in a directory of which the server sees nothing else."""

import os
import re
from dataclasses import dataclass

# Digits and letters that no two of look alike; a code is typed as often as it is scanned.
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
LENGTH = 6
CODE = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")
# Longer than any presigned link; nothing in it may end a header's line (RFC 9110, 5.5).
_LINK = re.compile(r"https?://[!-~]{1,4000}")
_BYTES_MOST = 8192


@dataclass(frozen=True, slots=True)
class Record:
    """What a code stands for; `expires` in seconds since the epoch."""

    url: str
    expires: int
    session_id: str

    def __str__(self) -> str:
        return f"{self.expires}\n{self.url}\n{self.session_id}\n"


def read(directory: str, code: str) -> Record | None:
    """Return the record of a code; None where there is none, or none that makes sense."""
    try:
        fd = os.open(f"{directory}/{code}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        lines = os.read(fd, _BYTES_MOST).decode("ascii").split("\n")
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)
    if len(lines) != 4 or not re.fullmatch(r"\d{1,12}", lines[0]) or not _LINK.fullmatch(lines[1]):  # noqa: PLR2004
        return None
    return Record(url=lines[1], expires=int(lines[0]), session_id=lines[2])
