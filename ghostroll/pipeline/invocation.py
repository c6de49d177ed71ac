"""The frame around the work of a command: signals, status record, catalog, store; and how errors are taken."""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from ghostroll.base.config import Settings
from ghostroll.base.errors import (
    ConfigurationError,
    DiskFailed,
    GhostrollError,
    Interrupted,
    NotSharedYet,
    StoreUnreachable,
    UsageError,
    disk_error,
)
from ghostroll.base.locks import is_busy
from ghostroll.base.session_paths import Session, session_of
from ghostroll.base.signals import Stop, stop_on_signals
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import SessionRow
from ghostroll.pipeline import narration, pipeline, renew_link
from ghostroll.pipeline.run import Run, Summary
from ghostroll.pipeline.session_work import can_be_finished
from ghostroll.pipeline.status_facts import FactFinder
from ghostroll.pipeline.store_opener import StoreOpener
from ghostroll.status.model import Listener, Problem, State
from ghostroll.status.progress_bar import Bar
from ghostroll.status.recorder import StatusRecord
from ghostroll.status.run_record import RunKind
from ghostroll.status.run_records import RunRecords
from ghostroll.status.systemd import SystemdNotifier


@dataclass
class Invocation:
    """One process of ours at work: the settings, and what all its runs share."""

    settings: Settings
    catalog: Catalog
    opener: StoreOpener
    stop: Stop
    bar: bool = False
    in_watch: bool = False  # whose runs give way to what the steady loop shows
    run_ids: set[str] = field(default_factory=set)
    _records: list[StatusRecord] = field(default_factory=list)  # of the runs that have not ended

    @property
    def run_records(self) -> RunRecords:
        """The records of all runs, of other processes too."""
        return RunRecords(self.settings.status_path, FactFinder(self.settings, self.catalog))

    @contextmanager
    def run(self, kind: RunKind = RunKind.CARD) -> Iterator[Run]:
        """Begin a run with a status record of its own, to which systemd and a terminal listen."""
        with ExitStack() as stack:
            notifier = SystemdNotifier()
            record = self.record(stack, kind, notifier)
            stop = self.stop.child()
            stack.callback(self.stop.remove_child, stop)
            try:
                yield Run(
                    self.settings,
                    self.catalog,
                    record,
                    self.opener,
                    stop,
                    self.opener.revive,
                    heartbeat=notifier.heartbeat,
                )
            except BaseException:
                record.change(state=State.ERROR, message="GhostRoll itself failed; the log says more.")
                raise

    def record(self, stack: ExitStack, kind: RunKind, notifier: SystemdNotifier) -> StatusRecord:
        """Return a status record that lasts as long as `stack`; raises DiskFailed."""
        listeners: list[Listener] = [notifier]
        if self.bar:
            listeners.append(stack.enter_context(Bar()))
        try:
            record = StatusRecord(
                self.settings.status_path, kind, self.settings.base_dir, tuple(listeners),
                look_up=FactFinder(self.settings, self.catalog), in_watch=self.in_watch,
            )  # fmt: skip
        except OSError as error:
            raise disk_error(error) from error
        self.run_ids.add(record.run_id)
        self._records.append(record)
        stack.callback(self._records.remove, record)
        stack.callback(record.close)
        return record

    def leave_runs(self) -> None:
        """Write the last word of runs that did not come to it in time: they were interrupted."""
        for record in list(self._records):
            record.close()


@contextmanager
def open_invocation(
    settings: Settings, *, bar: bool = False, store_asked: bool = False, in_watch: bool = False
) -> Iterator[Invocation]:
    """Begin a command that works on sessions."""
    run_ids: set[str] = set()
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        try:
            catalog = stack.enter_context(Catalog(settings.db_path))
            opener = StoreOpener(settings, asked=store_asked)
            stack.callback(opener.close)
            yield Invocation(settings, catalog, opener, stop, bar, in_watch, run_ids)
        except (ConfigurationError, DiskFailed) as error:
            if not run_ids:
                report_startup_error(settings, error)
            raise


def report_startup_error(settings: Settings, error: GhostrollError, kind: RunKind = RunKind.STARTUP) -> None:
    """Put on the status, until the next run, what is wrong before any: who has a panel alone learns it there."""
    if not settings.status_path.parent.is_dir():
        return  # of a disk that is not mounted: a directory in its place would pass for the disk
    with suppress(OSError, UsageError):  # the log says it all the same
        record = StatusRecord(settings.status_path, kind, settings.base_dir, look_up=FactFinder(settings, None))
        problem = Problem(error.exit_code, str(error), error.hint)
        record.change(state=State.ERROR, message=str(error), error=problem)
        record.close()


def capture_errors(run: Run, work: Callable[[], Summary]) -> Summary:
    """Do the work of a run; an error that ends it becomes its problem, its status and its summary."""
    try:
        return work()
    except GhostrollError as error:
        run.report_problem(error)
        narration.failed(run, error)
        return narration.summary(run, _session_at_work(run))


def finish_sessions(invocation: Invocation, rows: Iterable[SessionRow]) -> Iterator[tuple[Run, Summary]]:
    """Finish sessions one by one. One that fails doesn't block the others, unless the store is out of reach."""
    for row in rows:
        session = session_of(invocation.settings, row.session_id)
        if is_busy(session) or not can_be_finished(invocation.catalog, session):
            continue  # whoever works on it finishes it; or it goes on when its card comes back
        with invocation.run(RunKind.RESUME) as run:
            summary = capture_errors(run, functools.partial(pipeline.finish_session, run, session))
        yield run, summary
        if any(isinstance(problem, NotSharedYet) for problem in run.problems):
            return


def renew_links(
    invocation: Invocation, rows: Iterable[SessionRow | None], kind: RunKind = RunKind.RENEW
) -> Iterator[tuple[Run, Summary]]:
    """Sign shares anew, one by one; None stands for a share that nobody made yet."""
    for row in rows:
        with invocation.run(kind) as run:
            summary = renew_link.sign_anew(run, row)
        yield run, summary
        if any(isinstance(problem, StoreUnreachable | Interrupted) for problem in run.problems):
            return


def _session_at_work(run: Run) -> Session | None:
    session_id = run.record.status.session_id
    return session_of(run.settings, session_id) if session_id else None
