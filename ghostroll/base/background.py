"""Run blocking work in a thread, so that the caller stays responsive to signals."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from ghostroll.base import log

T = TypeVar("T")


def run_in_thread(work: Callable[[], T], name: str) -> "Future[T]":
    """Start `work` in a daemon thread that logs to the caller's session log; return its Future."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by `Future.result`
            done.set_exception(error)

    log.new_thread(run, name).start()
    return done
