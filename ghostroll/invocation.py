"""The frame around the work of a command: signals, status record, catalog, store; and how errors are taken."""

import functools
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING

from ghostroll import merge, pipeline, signing, story
from ghostroll.bar import Bar
from ghostroll.begin import session_of
from ghostroll.catalog import Catalog
from ghostroll.claim import can_be_finished, is_busy
from ghostroll.config import Settings
from ghostroll.embedded import EmbeddedStore
from ghostroll.errors import (
    ConfigurationError,
    DiskFailed,
    DiskFull,
    GhostrollError,
    Interrupted,
    NotSharedYet,
    StoreUnreachable,
    UsageError,
    disk_error,
    on_disk,
)
from ghostroll.leaving import Staying
from ghostroll.notify import Notifier
from ghostroll.record import StatusRecord
from ghostroll.rows import SessionRow
from ghostroll.run import Run, Summary
from ghostroll.session import Session
from ghostroll.status import Listener, Problem, State

if TYPE_CHECKING:
    from ghostroll.store import Store


# With less, the embedded store answers that it has an "internal error", again and again.
_STORE_ROOM_BYTES = 64 << 20
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
        from ghostroll.store import Store  # noqa: PLC0415 - boto3 is large, and needed only where there is work

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
        with on_disk():
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


@dataclass
class Invocation:
    """One process of ours at work: the settings, and what all its runs share."""

    settings: Settings
    catalog: Catalog
    opener: StoreOpener
    stop: Stop
    bar: bool = False
    run_ids: set[str] = field(default_factory=set)
    _records: list[StatusRecord] = field(default_factory=list)  # of the runs that have not ended

    @contextmanager
    def run(self, name: str = "run") -> Iterator[Run]:
        """Begin a run with a status record of its own, to which systemd and a terminal listen."""
        with ExitStack() as stack:
            notifier = Notifier()
            record = self.record(stack, f"{name}-{secrets.token_hex(4)}", notifier)
            stop = self.stop.child()
            stack.callback(self.stop.let_go, stop)
            try:
                yield Run(
                    self.settings, self.catalog, record, self.opener, stop, self.opener.revive, alive=notifier.alive
                )
            except BaseException:
                record.change(state=State.ERROR, message="GhostRoll itself failed; the log says more.")
                raise

    def record(self, stack: ExitStack, run_id: str, notifier: Notifier) -> StatusRecord:
        """Return a status record that lasts as long as `stack`; raises DiskFailed."""
        listeners: list[Listener] = [notifier]
        if self.bar:
            listeners.append(stack.enter_context(Bar()))
        self.run_ids.add(run_id)
        try:
            record = StatusRecord(self.settings.status_path, run_id, self.settings.base_dir, tuple(listeners))
        except OSError as error:
            raise disk_error(error) from error
        self._records.append(record)
        stack.callback(self._records.remove, record)
        stack.callback(record.close)
        return record

    def leave_runs(self) -> None:
        """Write the last word of runs that did not come to it in time: they were interrupted."""
        for record in list(self._records):
            record.close()


@contextmanager
def begun(settings: Settings, *, bar: bool = False, store_asked: bool = False) -> Iterator[Invocation]:
    """Begin a command that works on sessions."""
    run_ids: set[str] = set()
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        try:
            catalog = stack.enter_context(Catalog(settings.db_path))
            opener = StoreOpener(settings, asked=store_asked)
            stack.callback(opener.close)
            yield Invocation(settings, catalog, opener, stop, bar, run_ids)
        except (ConfigurationError, DiskFailed) as error:
            if not run_ids:
                show_problem(settings, error)
            raise


def show_problem(settings: Settings, error: GhostrollError, run_id: str = "") -> None:
    """Put on the status, until the next run, what is wrong before any: who has a panel alone learns it there."""
    if not settings.status_path.parent.is_dir():
        return  # of a disk that is not mounted: a directory in its place would pass for the disk
    with suppress(OSError, UsageError):  # the log says it all the same
        record = StatusRecord(settings.status_path, run_id or f"start-{secrets.token_hex(4)}", settings.base_dir)
        problem = Problem(error.exit_code, str(error), error.hint)
        record.change(state=State.ERROR, message=str(error), error=problem)
        record.close()


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


def told(run: Run, work: Callable[[], Summary]) -> Summary:
    """Do the work of a run; an error that ends it becomes its problem, its status and its summary."""
    try:
        return work()
    except GhostrollError as error:
        run.report_problem(error)
        story.failed(run, error)
        return story.summary(run, _session_at_work(run))


def finished(invocation: Invocation, rows: Iterable[SessionRow]) -> Iterator[tuple[Run, Summary]]:
    """Finish sessions one by one. One that fails doesn't block the others, unless the store is out of reach."""
    for row in rows:
        session = session_of(invocation.settings, row.session_id)
        if is_busy(session) or not can_be_finished(invocation.catalog, session):
            continue  # whoever works on it finishes it; or it goes on when its card comes back
        staying = Staying.of(invocation.settings.status_path, row.session_id)
        with invocation.run(merge.FINISHING) as run:
            summary = told(run, functools.partial(pipeline.finish_session, run, session))
            if card := staying.still():
                run.record.change(card=card)
        yield run, summary
        if any(isinstance(problem, NotSharedYet) for problem in run.problems):
            return


def signed_anew(invocation: Invocation, rows: Iterable[SessionRow | None]) -> Iterator[tuple[Run, Summary]]:
    """Sign shares anew, one by one; None stands for a share that nobody made yet."""
    for row in rows:
        with invocation.run(merge.SIGNING) as run:
            summary = signing.sign_anew(run, row)
        yield run, summary
        if any(isinstance(problem, StoreUnreachable | Interrupted) for problem in run.problems):
            return


def _session_at_work(run: Run) -> Session | None:
    session_id = run.record.status.session_id
    return session_of(run.settings, session_id) if session_id else None
