"""Work that may hang in the network, in a thread of its own while the caller hears signals."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from ghostroll.base import log

T = TypeVar("T")


def run_in_thread(work: Callable[[], T], name: str) -> "Future[T]":
    """Begin `work` in a thread, which writes to this thread's session log; its outcome or error is in the future."""
    done: Future[T] = Future()

    def guarded() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by `Future.result`
            done.set_exception(error)

    log.thread(guarded, name).start()
    return done
