"""Run the checks one after the other, each with a timeout; an unexpected exception in one does not stop the others."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from ghostroll.base.errors import EX_SOME_FAILED, GhostrollError, Interrupted
from ghostroll.base.log import logger, new_thread
from ghostroll.doctor.findings import Finding, error_finding, failed

_LIMIT_SECONDS = 20.0
# How long a cancelled check may take to clean up.
_CLEANUP_SECONDS = 3.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Check:
    """A named check. `find` runs in a thread; on cancellation the iterator is closed after the current finding.

    `timeout_exit_code` and `timeout_fix` belong to the finding that reports a timeout.
    """

    name: str
    find: Callable[[], Iterator[Finding]]
    timeout_exit_code: int = EX_SOME_FAILED
    timeout_fix: str = "Look at the log of the system: `journalctl -k -e`."


def run_checks(
    checks: Iterable[Check], stop: threading.Event, limit_seconds: float = _LIMIT_SECONDS
) -> Iterator[Finding]:
    """Run the checks in order and yield their findings. Raises Interrupted on a stop."""
    for check in checks:
        yield from _run_check(check, stop, limit_seconds)


def _run_check(check: Check, stop: threading.Event, limit_seconds: float) -> Iterator[Finding]:
    found: SimpleQueue[Finding | None] = SimpleQueue()
    cancelled = threading.Event()
    worker = new_thread(lambda: _work(check, found, cancelled), check.name)
    worker.start()
    deadline = time.monotonic() + limit_seconds
    try:
        while (finding := _next(found, deadline, stop)) is not None:
            yield finding
    except Empty:
        text = f"No answer within {limit_seconds:.0f} seconds."
        yield failed(check.name, text, check.timeout_fix, check.timeout_exit_code)
    finally:
        cancelled.set()
        worker.join(_CLEANUP_SECONDS)


def _next(found: SimpleQueue[Finding | None], deadline: float, stop: threading.Event) -> Finding | None:
    """Return the next finding, None after the last. Raises Empty after the deadline, Interrupted on a stop."""
    while not stop.is_set():
        try:
            return found.get(timeout=_POLL_SECONDS)
        except Empty:
            if time.monotonic() > deadline:
                raise
    raise Interrupted("The doctor was stopped.", hint="Run `ghostroll doctor` again.")


def _findings(check: Check) -> Generator[Finding, None, None]:
    yield from check.find()


def _work(check: Check, found: SimpleQueue[Finding | None], cancelled: threading.Event) -> None:
    try:
        with closing(_findings(check)) as findings:
            for finding in findings:
                found.put(finding)
                if cancelled.is_set():
                    break
    except GhostrollError as error:
        found.put(error_finding(check.name, error))
    except Exception as error:  # noqa: BLE001 - a bug in one check must not stop the others
        logger.exception("The check of %s has a bug.", check.name)
        text = f"This could not be checked because of a bug in GhostRoll: {type(error).__name__}."
        found.put(failed(check.name, text, "Report it with the lines that `ghostroll doctor` printed above."))
    finally:
        found.put(None)
