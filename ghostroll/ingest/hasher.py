"""Hash a file in a background thread while it is read."""

import hashlib
import queue
import threading

_QUEUED_CHUNKS = 8


class Hasher:
    """SHA-256 in a background thread: on a Pi hashing takes about as long as reading the card."""

    def __init__(self) -> None:
        self._chunks: queue.Queue[bytes | None] = queue.Queue(_QUEUED_CHUNKS)
        self._digests: queue.Queue[str] = queue.Queue(1)
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the thread if it is not running; to be called before each file."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hash", daemon=True)
            self._thread.start()

    def feed(self, chunk: bytes) -> None:
        """Queue the next bytes of the file, which must not be empty."""
        self._chunks.put(chunk)

    def end(self) -> str:
        """Return the SHA-256 of the bytes since the last `end`, in hex."""
        self._chunks.put(b"")
        return self._digests.get()

    def close(self) -> None:
        """End the thread."""
        if self._thread:
            self._chunks.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        digest = hashlib.sha256()
        while (chunk := self._chunks.get()) is not None:
            if chunk:
                digest.update(chunk)
            else:
                self._digests.put(digest.hexdigest())
                digest = hashlib.sha256()
