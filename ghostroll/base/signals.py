"""Turn SIGTERM, SIGINT and SIGHUP into a stop event."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop(threading.Event):
    """A stop that reaches every stop made from it, and not the other way round: one run may end by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._children: list[Stop] = []

    def child(self) -> "Stop":
        """Return a stop for one run."""
        child = Stop()
        self._children.append(child)
        if self.is_set():
            child.set()
        return child

    def let_go(self, child: "Stop") -> None:
        """Forget the stop of a run that has ended."""
        self._children.remove(child)

    def set(self) -> None:
        """Ask everyone to end."""
        super().set()
        for child in list(self._children):
            child.set()


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Give a stop that SIGTERM and SIGINT set, instead of ending the process where it stands."""
    stop = Stop()
    # A handler may interrupt a wait for this very event, whose lock is then held; a SimpleQueue is reentrant.
    asked: SimpleQueue[bool] = SimpleQueue()

    def ask(_: int, __: FrameType | None) -> None:
        asked.put(True)

    def hear() -> None:
        if asked.get():
            stop.set()

    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # as nohup(1) asks
    before = {number: signal.signal(number, ask) for number in heeded}
    threading.Thread(target=hear, name="signals", daemon=True).start()
    try:
        yield stop
    finally:
        asked.put(False)
        for number, handler in before.items():
            signal.signal(number, handler)
