"""Everything that can go wrong, and the exit code it ends with (sysexits.h).

    GhostrollError
    ├── UsageError            64  the command line makes no sense
    │   └── SessionBusy           another run is working on that session
    ├── VolumeNotFound        66  no such volume, or no DCIM on it
    │   └── CardRejected          a card that we are not to take
    ├── DiskFailed            73  the disk cannot take what has to be saved
    │   └── DiskFull              there is no room on it
    ├── CardFailed            74  the card went away while it was read
    │   ├── CardUnreadable        it is there, but its filesystem makes no sense
    │   └── CardEjected           its owner wanted it back before it was read to its end
    ├── NotSharedYet          75  saved on disk; sharing has to wait
    │   ├── StoreUnreachable      the network or the store is away
    │   └── Interrupted           a signal ended the run
    ├── CredentialsRefused    77  the store does not know us, or we may not
    ├── ConfigurationError    78  a setting is wrong
    └── FileFailed             3  one file only; the run goes on

A `FileFailed` never ends a run. Anything that is none of these is a bug: exit 1, with its traceback.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

EX_OK = 0
EX_BUG = 1
EX_SOME_FAILED = 3

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))

# Where several hold, the first of these wins.
EXIT_CODE_ORDER = (1, 78, 77, 74, 73, 75, 3, 0)


class GhostrollError(Exception):
    """Something a user can act on: `str(error)` says what, `hint` what to do about it."""

    exit_code: ClassVar[int] = EX_BUG
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.default_hint


class UsageError(GhostrollError):
    """The command line makes no sense."""

    exit_code = 64


class SessionBusy(UsageError):
    """Another run is working on that session."""


class VolumeNotFound(GhostrollError):
    """There is no such volume, or it holds no `DCIM` directory."""

    exit_code = 66
    default_hint = "Plug the card in again, or check it in the camera."


class CardRejected(VolumeNotFound):
    """The card is not one that we are to take."""


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
    """The card went away, or fails as a whole, while it was read."""

    exit_code = 74
    default_hint = "Plug the card in again; what was already saved is not read twice."


class CardUnreadable(CardFailed):
    """The card is there, but its filesystem makes no sense: damaged, or no card's at all."""

    default_hint = "Try it in the camera; don't format it."


class CardEjected(CardFailed):
    """The owner wanted the card back before it was read to its end."""

    default_hint = "Plug the card in again before it is formatted: it goes on where it stopped."


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
    """The store refuses our credentials, or there are none."""

    exit_code = 77
    default_hint = (
        "Run `aws configure`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and check the rights they give."
    )


class ConfigurationError(GhostrollError):
    """A setting is unknown or has a value that cannot be right."""

    exit_code = 78
    default_hint = "docs/configuration.md lists every setting."


class FileFailed(GhostrollError):
    """One file could not be copied or rendered; the others go on."""

    exit_code = EX_SOME_FAILED


def disk_error(error: OSError) -> DiskFailed:
    """Return what an error of our own disk means."""
    if error.errno in _NO_ROOM:
        return DiskFull("The disk is full.")
    where = f" at {error.filename}" if error.filename else ""
    return DiskFailed(f"The disk cannot be written{where}: {error.strerror}.")


@contextmanager
def on_disk() -> Iterator[None]:
    """Turn what our own disk refuses into an error that ends the run."""
    try:
        yield
    except OSError as error:
        raise disk_error(error) from error


def worst_exit_code(codes: set[int]) -> int:
    """Return the one exit code that stands for all of `codes`."""
    return next((code for code in EXIT_CODE_ORDER if code in codes), max(codes, default=EX_OK))
