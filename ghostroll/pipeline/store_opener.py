"""Open the configured store, or start the embedded one."""

import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ghostroll.base.config import Settings
from ghostroll.base.errors import DiskFull, translate_disk_errors
from ghostroll.embedded.server import EmbeddedStore

if TYPE_CHECKING:
    from ghostroll.store.s3 import Store

# With less, the embedded store answers that it has an "internal error", again and again.
_STORE_ROOM_BYTES = 64 << 20


class StoreOpener:
    """Opens the configured store; where there is none, the embedded one, kept running until `close`."""

    def __init__(self, settings: Settings, *, asked: bool = False) -> None:
        self._settings = settings
        self._asked = asked
        self._embedded: EmbeddedStore | None = None
        self._store: Store | None = None
        self._lock = threading.Lock()

    def __call__(self) -> "Store":
        """Open the store; raises as `Store.open` and `EmbeddedStore.ensure_running` do."""
        from ghostroll.store.s3 import Store  # noqa: PLC0415 - boto3 is large, and needed only where there is work

        self.revive()
        with self._lock:  # one for all runs: each client holds megabytes
            if self._store is None:
                endpoint = self._embedded.endpoint if self._embedded else None
                self._store = Store.open(self._settings, endpoint=endpoint)
            return self._store

    def revive(self) -> None:
        """Start the embedded store, or start it again should it have died. Raises DiskFull where it has no room."""
        if not self._settings.uses_embedded_store:
            return
        if _is_full(self._settings.base_dir):
            raise DiskFull(
                "The disk is full: the gallery cannot be put into the embedded store.",
                hint="Free some space; `ghostroll resume` goes on. The photos are saved.",
            )
        with translate_disk_errors():
            if self._embedded is None:
                self._embedded = EmbeddedStore(self._settings, asked=self._asked)
            self._embedded.ensure_running()

    @property
    def embedded_address(self) -> str | None:
        """Scheme, host and port of the embedded store's links as they are now; None where it is not in use."""
        return self._embedded.endpoint.url if self._embedded else None

    @property
    def ends_with_us(self) -> bool:
        """Whether links stop working when this process ends, since it runs the embedded store itself."""
        return self._embedded is not None and self._embedded.is_owner

    def close(self) -> None:
        """Close the connections, and end the server if it is ours."""
        if self._store:
            self._store.close()
        if self._embedded:
            self._embedded.close()


def _is_full(directory: Path) -> bool:
    try:
        disk = shutil.disk_usage(directory)
    except OSError:
        return False  # whoever writes there will tell
    return disk.free < min(_STORE_ROOM_BYTES, disk.total // 50)
