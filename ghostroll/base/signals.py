"""Turn SIGTERM, SIGINT and SIGHUP into a stop event."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop(threading.Event):
    """An event that also sets its children; setting a child does not set its parent."""

    def __init__(self) -> None:
        super().__init__()
        self._children: list[Stop] = []

    def child(self) -> "Stop":
        """Return a new child event, for one run."""
        child = Stop()
        self._children.append(child)
        if self.is_set():
            child.set()
        return child

    def remove_child(self, child: "Stop") -> None:
        """Remove the child event of a run that has ended."""
        self._children.remove(child)

    def set(self) -> None:
        """Set this event and its children."""
        super().set()
        for child in list(self._children):
            child.set()


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Yield an event that the signals set, in place of their default actions."""
    stop = Stop()
    # A handler may interrupt code that holds the event's lock, so it must not set the event; SimpleQueue is reentrant.
    received: SimpleQueue[bool] = SimpleQueue()

    def on_signal(_: int, __: FrameType | None) -> None:
        received.put(True)

    def listen() -> None:
        if received.get():
            stop.set()

    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in handled}
    threading.Thread(target=listen, name="signals", daemon=True).start()
    try:
        yield stop
    finally:
        received.put(False)
        for number, handler in before.items():
            signal.signal(number, handler)
