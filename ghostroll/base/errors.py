"""The errors, and the exit code of each (sysexits.h).

    GhostrollError
    ├── UsageError            64  the command line is invalid
    │   └── SessionBusy           another run holds the session's lock
    ├── VolumeNotFound        66  no such volume, or no DCIM on it
    │   └── CardRejected          a card that is not accepted
    ├── DiskFailed            73  the disk cannot be written
    │   └── DiskFull              there is no room on it
    ├── CardFailed            74  the card went away while it was read
    │   ├── CardUnreadable        present, but its filesystem is damaged or unknown
    │   └── CardEjected           the owner ejected it before it was read completely
    ├── NotSharedYet          75  saved on disk; sharing has to wait
    │   ├── StoreUnreachable      the network or the store does not answer
    │   └── Interrupted           a signal ended the run
    ├── CredentialsRefused    77  the store refuses the credentials
    ├── ConfigurationError    78  a setting is wrong
    └── FileFailed             3  one file only; the run goes on

A `FileFailed` never ends a run. Any other exception is a bug: exit 1, with a traceback.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

EX_OK = 0
EX_BUG = 1
EX_SOME_FAILED = 3

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))

# If several apply, the first of these wins.
EXIT_CODE_ORDER = (1, 78, 77, 74, 73, 75, 3, 0)


class GhostrollError(Exception):
    """An error for the user: `str(error)` says what happened, `hint` what to do."""

    exit_code: ClassVar[int] = EX_BUG
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.default_hint


class UsageError(GhostrollError):
    """The command line is invalid."""

    exit_code = 64


class SessionBusy(UsageError):
    """Another run holds the session's lock."""


class VolumeNotFound(GhostrollError):
    """There is no such volume, or it holds no `DCIM` directory."""

    exit_code = 66
    default_hint = "Plug the card in again, or check it in the camera."


class CardRejected(VolumeNotFound):
    """The card is not accepted, for its label or its content."""


class DiskFailed(GhostrollError):
    """The disk cannot be written: read-only, or failing."""

    exit_code = 73
    default_hint = (
        "Check that the disk is mounted for writing and healthy. Everything reported as saved is still on it."
    )


class DiskFull(DiskFailed):
    """The disk has no room for what must be saved."""

    default_hint = "Free some space, then plug the card in again. Everything saved so far is safe."


class CardFailed(GhostrollError):
    """The card was removed, or failed as a whole, while it was read."""

    exit_code = 74
    default_hint = "Plug the card in again; what was already saved is not read twice."


class CardUnreadable(CardFailed):
    """The card is present, but its filesystem is damaged or not a camera's."""

    default_hint = "Try it in the camera; don't format it."


class CardEjected(CardFailed):
    """The owner ejected the card before it was read completely."""

    default_hint = "Plug the card in again before you format it: it goes on where it stopped."


class NotSharedYet(GhostrollError):
    """All is saved on disk, but the share is not there yet."""

    exit_code = 75
    default_hint = "The photos are saved. `ghostroll resume` shares them later; `ghostroll watch` does so by itself."


class StoreUnreachable(NotSharedYet):
    """The store does not answer: the network, the name service or the server is away."""


class Interrupted(NotSharedYet):
    """A signal asked the run to end."""

    default_hint = "Plug the card in again, or run `ghostroll resume`: it goes on where it stopped."


class CredentialsRefused(GhostrollError):
    """The store refuses the credentials, or there are none."""

    exit_code = 77
    default_hint = (
        "Run `aws configure`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and check the rights they give."
    )


class ConfigurationError(GhostrollError):
    """A setting is unknown or has an invalid value."""

    exit_code = 78
    default_hint = "docs/configuration.md lists every setting."


class FileFailed(GhostrollError):
    """One file could not be copied or rendered; the others go on."""

    exit_code = EX_SOME_FAILED


def disk_error(error: OSError) -> DiskFailed:
    """Return the DiskFailed for an OSError of the base directory's disk."""
    if error.errno in _NO_ROOM:
        return DiskFull("The disk is full.")
    where = f" at {error.filename}" if error.filename else ""
    return DiskFailed(f"The disk cannot be written{where}: {error.strerror}.")


@contextmanager
def translate_disk_errors() -> Iterator[None]:
    """Raise OSError of the base directory's disk as DiskFailed."""
    try:
        yield
    except OSError as error:
        raise disk_error(error) from error


def worst_exit_code(codes: set[int]) -> int:
    """Return the exit code that takes precedence among `codes`."""
    return next((code for code in EXIT_CODE_ORDER if code in codes), max(codes, default=EX_OK))
