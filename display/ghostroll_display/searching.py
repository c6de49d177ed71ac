"""Looking again for a panel that was not there at the start: at boot its bus may come later than the display."""

from collections.abc import Callable, Sequence
from threading import Event, Thread

from ghostroll.base.log import logger
from ghostroll_display.errors import PanelFailed
from ghostroll_display.panel import Panel, look_for_panel

# Ten minutes in all: what has not come by then does not come with this boot. Each look starts the drivers.
_PAUSES_SECONDS = (2.0, 5.0, 10.0, 20.0, 40.0, *[60.0] * 9)


class Search:
    """Looks for a panel in a thread of its own, since a look may take half a minute. `wake` tells that it is found."""

    def __init__(
        self, look: Callable[[], Panel] = look_for_panel, pauses_seconds: Sequence[float] = _PAUSES_SECONDS
    ) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._look = look
        self._pauses_seconds = pauses_seconds
        self._found: Panel | None = None
        self._ended = Event()
        self._thread = Thread(target=self._run, name="search", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def found(self) -> Panel | None:
        """Return the panel once, when there is one."""
        panel = self._found
        if panel is not None:  # else it may come right now
            self._found = None
        return panel

    def end(self) -> None:
        """Look no further."""
        self._ended.set()

    def _run(self) -> None:
        for pause in self._pauses_seconds:
            if self._ended.wait(pause):
                return
            try:
                self._found = self._look()
            except PanelFailed as error:  # as was said at the start
                logger.debug("%s", error)
            else:
                self.wake()
                return
