"""What goes on beside the cards: unfinished sessions are finished, and shared ones stay open."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ghostroll.appliance.helper_requests import SIGN_ANEW, HelperRequests
from ghostroll.base.errors import StoreUnreachable
from ghostroll.base.locks import is_busy
from ghostroll.base.log import logger
from ghostroll.base.session_paths import session_of
from ghostroll.catalog.models import SessionRow, SessionState
from ghostroll.pipeline.invocation import Invocation, finish_sessions, renew_links
from ghostroll.pipeline.run import Run
from ghostroll.shortlink import registry
from ghostroll.status.run_record import RunKind
from ghostroll.store import probe

# Unfinished sessions are tried again after this, twice as long each time it fails …
_RETRY_SECONDS, _RETRY_SECONDS_MOST = 15.0, 600.0
# … and as soon as the store answers again, which is looked at this often.
_PROBE_SECONDS = 10.0
# How often it is seen to that the embedded store serves what was shared.
_REVIVE_SECONDS = 60.0
# How often short links are published for the shares that are valid, and taken back for the others.
_SHORT_LINKS_SECONDS = 60.0
# NTP slews a clock that is off by less than this, and sets one that is off by more; no link minds the difference.
_JUMP_SECONDS = 60.0
_NEVER = float("inf")


class WallClock:
    """Tells when the clock was set: it then no longer goes with the one that only counts."""

    def __init__(self, wall: Callable[[], float] = time.time, counted: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._counted = wall, counted
        self._started = wall() - counted()

    @property
    def has_jumped(self) -> bool:
        """Whether the clock was set since the last `moments`."""
        return abs(self._jump) > _JUMP_SECONDS

    def moments(self) -> tuple[datetime, datetime]:
        """Return what time it would be had nobody set the clock, and what it is; the same unless somebody did."""
        now = self._wall()
        jump = self._jump if self.has_jumped else 0.0
        self._started += jump
        return datetime.fromtimestamp(now - jump, UTC), datetime.fromtimestamp(now, UTC)

    @property
    def _jump(self) -> float:
        return self._wall() - self._counted() - self._started


@dataclass
class Maintenance:
    """Knows what is due."""

    invocation: Invocation
    _requests: HelperRequests = field(init=False)
    _is_signing: bool = False
    _is_finishing: bool = False
    _clock: WallClock = field(default_factory=WallClock)
    _retry_at: float = 0.0
    _revive_at: float = 0.0
    _short_links_at: float = 0.0
    _probe_at: float = _NEVER  # unless a session waits for the store
    _pause: float = _RETRY_SECONDS
    _answered_in_vain: bool = False

    def __post_init__(self) -> None:
        self._requests = HelperRequests(self.invocation.settings.status_path.parent)

    def due(self, *, card_at_work: bool) -> list[tuple[str, Callable[[], None]]]:
        """Return what is to be done now, by name; each in a thread of its own.

        An unfinished session may be that of a card which is being run: it goes first.
        """
        now = time.monotonic()
        works: list[tuple[str, Callable[[], None]]] = []
        if self._is_asked_to_sign():
            works.append(("sign", self._sign_last_anew))
        if self.invocation.settings.uses_embedded_store and now >= self._revive_at:
            self._revive_at = now + _REVIVE_SECONDS
            if self.invocation.catalog.latest_share() or self._clock.has_jumped:
                works.append(("store", self._keep_links_open))
        if now >= self._short_links_at:
            self._short_links_at = now + _SHORT_LINKS_SECONDS
            works.append(("short links", self._publish_short_links))
        if now >= self._retry_at and not card_at_work and not self._is_finishing:
            self._is_finishing = True
            self._retry_at = self._probe_at = _NEVER  # until this try has ended, or somebody asks for another
            works.append(("resume", self._finish_others))
        elif now >= self._probe_at:
            self._probe_at = _NEVER
            works.append(("probe", self._probe))
        return works

    def card_done(self, run: Run) -> None:
        """Take note that the run of a card has ended: what it left is finished soon."""
        soon = time.monotonic() + _RETRY_SECONDS
        # What was due while the card was at work would now only find the store out of reach once more.
        self._retry_at = soon if _out_of_reach([run]) else min(self._retry_at, soon)
        self._look_out_for_the_store([run])

    def _finish_others(self) -> None:
        """Finish what is unfinished, and say when to try again."""
        runs: list[Run] = []
        try:
            rows = self.invocation.catalog.unfinished_sessions()
            runs = [run for run, _ in finish_sessions(self.invocation, rows)]
        finally:
            self._is_finishing = False
            failed = any(run.problems for run in runs)
            self._answered_in_vain = self._answered_in_vain and failed
            self._pause = min(2 * self._pause, _RETRY_SECONDS_MOST) if failed else _RETRY_SECONDS
            pause = self._pause * random.uniform(0.8, 1.0)  # noqa: S311 - not a secret
            self._retry_at = min(self._retry_at, time.monotonic() + pause)
            self._look_out_for_the_store(runs)

    def _look_out_for_the_store(self, runs: list[Run]) -> None:
        """After runs that found the store out of reach, see how soon it answers again."""
        settings = self.invocation.settings
        if not _out_of_reach(runs) or settings.uses_embedded_store:  # that one is ours to revive
            return
        if self._answered_in_vain and probe.answers(settings):
            return  # one that answers and yet fails is left to the growing pauses
        self._answered_in_vain = False
        self._probe_at = time.monotonic() + _PROBE_SECONDS

    def _probe(self) -> None:
        """See whether the store answers again, for which a session waits."""
        if probe.answers(self.invocation.settings):
            logger.info("The store answers again.")
            self._answered_in_vain = True  # until a try shows otherwise
            self._retry_at = 0.0
        else:
            self._probe_at = time.monotonic() + _PROBE_SECONDS

    def _keep_links_open(self) -> None:
        """Keep the embedded store running, and sign anew what was signed for an address or a time that is over."""
        self.invocation.opener.revive()
        before, now = self._clock.moments()
        address = self.invocation.opener.embedded_address
        stale = [row for row in self._shares(before, now) if before != now or not _leads_to(row, f"{address}/")]
        if stale:
            changed = "clock" if before != now else "address"
            logger.info("The %s of this machine has changed: its links are signed anew.", changed)
        idle = [row for row in stale if not self._is_at_work_on(row)]
        for _ in renew_links(self.invocation, idle, RunKind.REFRESH):
            pass  # each tells of itself

    def _is_at_work_on(self, row: SessionRow) -> bool:
        return is_busy(session_of(self.invocation.settings, row.session_id))

    def _is_asked_to_sign(self) -> bool:
        """Tell whether the button was held; pressed again while it is being done, it is done once."""
        try:
            return self._requests.consume_signing_request() and not self._is_signing
        except OSError as error:  # something else lies there, which is nobody's wish
            logger.debug("%s cannot be taken: %s", SIGN_ANEW, error)
            return False

    def _sign_last_anew(self) -> None:
        """Sign the share that the panel shows, or showed last, for its full time."""
        self._is_signing = True
        try:
            logger.info("Asked for a fresh link to the last share.")
            row = self.invocation.catalog.last_share()
            for _ in renew_links(self.invocation, [row]):
                if row and self._has_become_unfinished(row):
                    self._retry_at = 0.0  # what the store has lost is sent again
        finally:
            self._is_signing = False

    def _has_become_unfinished(self, row: SessionRow) -> bool:
        now = self.invocation.catalog.session(row.session_id)
        return row.state is SessionState.SHARED and now is not None and now.state is SessionState.INGESTED

    def _publish_short_links(self) -> None:
        settings, catalog = self.invocation.settings, self.invocation.catalog
        if not registry.obstacle(settings):
            registry.publish(settings, catalog)

    def _shares(self, *moments: datetime) -> list[SessionRow]:
        catalog = self.invocation.catalog
        rows = {row.session_id: row for moment in moments for row in catalog.shares_valid_at(moment)}
        return [row for row in rows.values() if row.state is SessionState.SHARED]


def _out_of_reach(runs: list[Run]) -> bool:
    return any(isinstance(problem, StoreUnreachable) for run in runs for problem in run.problems)


def _leads_to(row: SessionRow, address: str) -> bool:
    return row.url is not None and row.url.startswith(address)
