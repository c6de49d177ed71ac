"""The pool of processes that render: a picture that crashes, hangs or swells takes its worker along, nothing else.

Each worker is fed by a thread of its own, one task at a time, so that it is always known whose task a dead
worker died of. A worker is started when it is first needed, and again after it died.
"""

import contextlib
import json
import os
from concurrent.futures import Future
from dataclasses import asdict
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from ghostroll.derivatives import Recipe, Rendered, Task
from ghostroll.derivatives.worker_process import Worker

# A 33-megapixel HEIC takes 0.8 s on a desktop core; nothing that takes this long is a photograph.
TASK_TIMEOUT_SECONDS = 120.0
_MIB = 1 << 20
# A worker takes 80 MiB with a 24-megapixel JPEG (measured); a 512 MB machine has room for two beside the rest.
_MOST_BY_MEMORY = ((640 * _MIB, 2), (1280 * _MIB, 3))
_LEAST_WORKER_BYTES, _MOST_WORKER_BYTES = 256 * _MIB, 2048 * _MIB


def size_for(cores: int, memory_bytes: int) -> int:
    """Return how many workers a machine carries."""
    return min(cores, next((most for limit, most in _MOST_BY_MEMORY if memory_bytes <= limit), cores))


def memory_limit_for(memory_bytes: int) -> int:
    """Return what one worker may allocate: most of the memory, since two huge pictures at a time are rare."""
    return min(max(memory_bytes * 3 // 4, _LEAST_WORKER_BYTES), _MOST_WORKER_BYTES)


class RenderPool:
    """Renders tasks in workers, each started when it is first needed.

    As a context manager it waits for what was submitted, or ends at once where an exception leaves it.
    """

    def __init__(
        self,
        recipe: Recipe,
        workers: int | None,
        *,
        timeout_seconds: float = TASK_TIMEOUT_SECONDS,
        renderer: str = "ghostroll.derivatives:render",
    ) -> None:
        """Make a pool of `workers` (None: what the machine carries). `renderer` names what workers call."""
        memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self.size = workers or size_for(_cores(), memory_bytes)
        self._queue: SimpleQueue[tuple[Task, Future[Rendered]] | None] = SimpleQueue()
        arguments = (renderer, json.dumps(asdict(recipe)), str(memory_limit_for(memory_bytes)))
        self._workers = [Worker(arguments, timeout_seconds) for _ in range(self.size)]
        self._threads = [Thread(target=self._feed, args=(worker,), daemon=True) for worker in self._workers]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Close the pool, or end it at once."""
        if kind is None:
            self.close()
        else:
            self.terminate()

    def submit(self, task: Task) -> Future[Rendered]:
        """Queue one task.

        The future raises FileFailed for whatever its picture did, OSError where the disk failed to take the
        result, CancelledError where the pool was terminated.
        """
        future: Future[Rendered] = Future()
        self._queue.put((task, future))
        return future

    def close(self) -> None:
        """Wait for all that was submitted, then end the workers."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def terminate(self) -> None:
        """End at once: nothing that was submitted and is not done will be."""
        for worker in self._workers:
            worker.terminate()
        self.close()

    def _feed(self, worker: Worker) -> None:
        with contextlib.closing(worker):
            while (item := self._queue.get()) is not None:
                task, future = item
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(worker.render(task))
                except BaseException as error:  # noqa: BLE001 - raised again by who waits for the result
                    future.set_exception(error)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
