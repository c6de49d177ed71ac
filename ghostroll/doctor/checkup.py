"""Going through the checks: none takes too long, and one that fails by a bug of its own does not end the others."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from ghostroll.base.errors import EX_SOME_FAILED, GhostrollError, Interrupted
from ghostroll.base.log import logger, thread
from ghostroll.doctor.findings import Finding, failed, of_error

_LIMIT_SECONDS = 20.0
# How long one that was called off may take to clear away what it made.
_TIDY_SECONDS = 3.0
_GLANCE_SECONDS = 0.1


@dataclass(frozen=True)
class Check:
    """A part of the whole. `find` is run in a thread of its own, and closed between two findings if it is called off.

    `late_code` is the exit code, and `late_fix` the advice, where it does not come to an end.
    """

    name: str
    find: Callable[[], Iterator[Finding]]
    late_code: int = EX_SOME_FAILED
    late_fix: str = "Look at the log of the system: `journalctl -k -e`."


def gone_through(
    checks: Iterable[Check], stop: threading.Event, limit_seconds: float = _LIMIT_SECONDS
) -> Iterator[Finding]:
    """Yield what the checks find, one after the other; raises Interrupted at a stop."""
    for check in checks:
        yield from _made(check, stop, limit_seconds)


def _made(check: Check, stop: threading.Event, limit_seconds: float) -> Iterator[Finding]:
    found: SimpleQueue[Finding | None] = SimpleQueue()
    called_off = threading.Event()
    worker = thread(lambda: _work(check, found, called_off), check.name)
    worker.start()
    deadline = time.monotonic() + limit_seconds
    try:
        while (finding := _next(found, deadline, stop)) is not None:
            yield finding
    except Empty:
        yield failed(
            check.name, f"No answer within {limit_seconds:.0f} seconds: given up.", check.late_fix, check.late_code
        )
    finally:
        called_off.set()
        worker.join(_TIDY_SECONDS)


def _next(found: SimpleQueue[Finding | None], deadline: float, stop: threading.Event) -> Finding | None:
    """Return the next finding, None after the last; raises Empty at the deadline, Interrupted at a stop."""
    while not stop.is_set():
        try:
            return found.get(timeout=_GLANCE_SECONDS)
        except Empty:
            if time.monotonic() > deadline:
                raise
    raise Interrupted("The doctor was stopped.", hint="Run `ghostroll doctor` again.")


def _findings(check: Check) -> Generator[Finding, None, None]:
    yield from check.find()


def _work(check: Check, found: SimpleQueue[Finding | None], called_off: threading.Event) -> None:
    try:
        with closing(_findings(check)) as findings:
            for finding in findings:
                found.put(finding)
                if called_off.is_set():
                    break
    except GhostrollError as error:
        found.put(of_error(check.name, error))
    except Exception as error:  # noqa: BLE001 - a bug here must not hide what the other checks find
        logger.exception("The check of %s has a bug.", check.name)
        text = f"This could not be checked, by a bug of GhostRoll's own: {type(error).__name__}."
        found.put(failed(check.name, text, "Report it with the lines that `ghostroll doctor` printed before."))
    finally:
        found.put(None)
