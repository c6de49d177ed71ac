"""What several commands begin with."""

from collections.abc import Callable

from ghostroll.base.errors import UsageError
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import SessionRow
from ghostroll.pipeline.invocation import Invocation, capture_errors, finish_sessions
from ghostroll.pipeline.run import Run, Summary
from ghostroll.recovery.unknown_sessions import warn_about_unknown

# A catalog up to this size, of 20,000 pictures, is read whole in no time at each start; a greater one by `verify`.
_CHECKED_BYTES_MOST = 64 << 20


def check_catalog(invocation: Invocation) -> None:
    """Notice now what would end the work halfway, and what was lost; raises CatalogDamaged."""
    settings = invocation.settings
    if settings.db_path.stat().st_size <= _CHECKED_BYTES_MOST:
        invocation.catalog.check()
    warn_about_unknown(settings, invocation.catalog)


def chosen_sessions(catalog: Catalog, names: list[str]) -> list[SessionRow]:
    """Return the named sessions, or all unfinished ones where none is named; raises UsageError for an unknown one."""
    if not names:
        return catalog.unfinished_sessions()
    rows = []
    for name in names:
        row = catalog.session(name)
        if row is None:
            raise UsageError(f"There is no session {name}.", hint="`ghostroll sessions` lists them.")
        rows.append(row)
    return rows


def run_card(invocation: Invocation, work: Callable[[Run], Summary]) -> tuple[Summary, int]:
    """Run one card, then finish what earlier runs left; return the outcome of this card and its exit code."""
    with invocation.run() as run:
        summary = capture_errors(run, lambda: work(run))
    if not run.problems:
        for _ in finish_sessions(invocation, invocation.catalog.unfinished_sessions()):
            pass  # what happens to them is told in the log, and is not this card's outcome
    return summary, run.exit_code
