"""What a check found out: one plain line, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ghostroll.base.errors import (
    EX_OK,
    EX_SOME_FAILED,
    ConfigurationError,
    CredentialsRefused,
    DiskFailed,
    GhostrollError,
    NotSharedYet,
)

EX_DISK, EX_STORE = DiskFailed.exit_code, NotSharedYet.exit_code
EX_CREDENTIALS, EX_CONFIGURATION = CredentialsRefused.exit_code, ConfigurationError.exit_code
_TELLING = frozenset((EX_DISK, EX_STORE, EX_CREDENTIALS, EX_CONFIGURATION))


class Verdict(StrEnum):
    """How much there is to do."""

    OK = "ok"
    WARNING = "warning"  # it works, but not as well or not for as long as it could
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is so. `exit_code` is what the command ends with because of it, 0 unless it failed."""

    name: str
    verdict: Verdict
    text: str
    fix: str = ""
    exit_code: int = EX_OK


def ok(name: str, text: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(name, Verdict.OK, text)


def warning(name: str, text: str, fix: str) -> Finding:
    """Return the finding of what works, but could be better."""
    return Finding(name, Verdict.WARNING, text, fix)


def failed(name: str, text: str, fix: str, exit_code: int = EX_SOME_FAILED) -> Finding:
    """Return the finding of what does not work."""
    return Finding(name, Verdict.FAILED, text, fix, exit_code)


def of_error(name: str, error: GhostrollError, fix: str = "") -> Finding:
    """Return what an error of ours means: its words, its hint unless there is a better `fix`, its exit code."""
    exit_code = error.exit_code if error.exit_code in _TELLING else EX_SOME_FAILED
    return failed(name, str(error), fix or error.hint, exit_code)


def tried(name: str, text: str, work: Callable[[], object]) -> Finding:
    """Do something, and return that it went as `text` says, or why it didn't."""
    try:
        work()
    except GhostrollError as error:
        return of_error(name, error)
    return ok(name, text)
