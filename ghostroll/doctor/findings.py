"""The findings of checks: one line of text, and a fix where one is needed."""

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
_REPORTED_EXIT_CODES = frozenset((EX_DISK, EX_STORE, EX_CREDENTIALS, EX_CONFIGURATION))


class Verdict(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"  # works, but could be better
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check. `exit_code` is 0 unless it failed."""

    name: str
    verdict: Verdict
    text: str
    fix: str = ""
    exit_code: int = EX_OK


def ok(name: str, text: str) -> Finding:
    """Return a finding that needs no fix."""
    return Finding(name, Verdict.OK, text)


def warning(name: str, text: str, fix: str) -> Finding:
    """Return a finding of something that works, but could be better."""
    return Finding(name, Verdict.WARNING, text, fix)


def failed(name: str, text: str, fix: str, exit_code: int = EX_SOME_FAILED) -> Finding:
    """Return a finding of something that does not work."""
    return Finding(name, Verdict.FAILED, text, fix, exit_code)


def error_finding(name: str, error: GhostrollError, fix: str = "") -> Finding:
    """Return the finding for an error: its message, `fix` or its hint, and its exit code."""
    exit_code = error.exit_code if error.exit_code in _REPORTED_EXIT_CODES else EX_SOME_FAILED
    return failed(name, str(error), fix or error.hint, exit_code)


def attempt(name: str, text: str, work: Callable[[], object]) -> Finding:
    """Call `work`; return `text` as ok, or the finding for the GhostrollError that it raised."""
    try:
        work()
    except GhostrollError as error:
        return error_finding(name, error)
    return ok(name, text)
