"""What is asked for by the button, and the answers that the panel gives: at once, and when it is known what came of it.

The display may do none of it itself: it asks by files (`ghostroll.requests`), and reads in the status what came of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostroll.appliance.helper_requests import HelperRequests, cancel
from ghostroll.base.errors import UsageError
from ghostroll.base.log import logger
from ghostroll_display import texts
from ghostroll_display.gestures import Gesture, Stage, Wish
from ghostroll_display.screens import Kind, Screen

# Whoever is to act takes a request within two seconds, unless the machine is very busy.
UNHEARD_SECONDS = 20.0
# So long an answer stands while nothing comes of a wish, and one that is no wait.
_PATIENCE_SECONDS = {Wish.EJECT: 30.0, Wish.SIGN_ANEW: 120.0, Wish.POWER_OFF: 120.0}
_VERDICT_SECONDS = 20.0

_NO_CARD = ("", "none", "removed")


@dataclass(frozen=True)
class _Answer:
    """What is shown until a moment, unless something comes of the wish before."""

    screen: Screen
    wish: Wish | None
    until: float
    before: "_Told | None" = None
    request: Path | None = None
    unheard_at: float = float("inf")
    is_verdict: bool = False  # not a mere sign that the press was noticed


@dataclass
class Asking:
    """Takes what the button says, and knows what the panel answers. `clock` counts seconds."""

    requests: HelperRequests
    clock: Callable[[], float]
    _answer: _Answer | None = field(default=None)

    def hear(self, gesture: Gesture, record: Mapping[str, Any]) -> None:
        """Take a gesture; `record` is what the status says just now."""
        if gesture.stage is Stage.STUCK:
            self._answer = None
        elif gesture.stage is Stage.WOULD:
            self._answer = _Answer(
                acknowledgement(gesture.wish, record), None, self.clock() + _PATIENCE_SECONDS[gesture.wish]
            )
        elif gesture.stage is Stage.IS:
            self._ask(gesture.wish, record)

    def _ask(self, wish: Wish, record: Mapping[str, Any]) -> None:
        now = self.clock()
        try:
            request = self._request(wish)
        except (UsageError, OSError) as error:
            logger.warning("The button was pressed (%s), in vain: %s", wish, error)
            self._answer = _verdict(unheard(wish), now)
            return
        logger.info("The button was pressed: %s.", texts.WISHES[wish])
        if wish is Wish.EJECT and _cards(record) <= set(_NO_CARD):  # whoever knows better acts all the same
            self._answer = _verdict(no_card(), now)
            return
        self._answer = _Answer(
            acknowledgement(wish, record), wish, now + _PATIENCE_SECONDS[wish], _told(record), request,
            now + UNHEARD_SECONDS,
        )  # fmt: skip

    def _request(self, wish: Wish) -> Path:
        if wish is Wish.EJECT:
            return self.requests.eject()
        return self.requests.request_signing() if wish is Wish.SIGN_ANEW else self.requests.power_off()

    def answer(self, record: Mapping[str, Any]) -> Screen | None:
        """Return what is to be shown in place of the status, if anything."""
        now, answer = self.clock(), self._answer
        if answer and answer.request and now >= answer.unheard_at:
            answer = self._look_whether_heard(answer, now)
        if answer and answer.wish and answer.before and _told(record).answers(answer.wish, answer.before):
            answer = self._what_came_of(answer.wish, answer.before, record, now)
        self._answer = answer if answer and now < answer.until else None
        return self._answer.screen if self._answer else None

    def _look_whether_heard(self, answer: _Answer, now: float) -> _Answer:
        assert answer.request is not None  # noqa: S101 - its caller looked
        try:
            is_unheard = cancel(answer.request)
        except OSError:
            is_unheard = True
        if is_unheard and answer.wish:
            logger.warning("The button was pressed (%s), and nobody heard it.", answer.wish)
            return _verdict(unheard(answer.wish), now)
        return _Answer(answer.screen, answer.wish, answer.until, answer.before)

    @staticmethod
    def _what_came_of(wish: Wish, before: "_Told", record: Mapping[str, Any], now: float) -> _Answer | None:
        refusal = _refusal(record)
        if wish is Wish.SIGN_ANEW and refusal and _told(record).refusal != before.refusal:
            error = refusal["error"]
            return _verdict(not_signed(*(str(error.get(name) or "") for name in ("message", "hint"))), now)
        return None

    @property
    def only_acknowledges(self) -> bool:
        """Whether the answer says no more than that the button was noticed."""
        return self._answer is not None and not self._answer.is_verdict

    def seconds_to_wait(self) -> float | None:
        """Return when the answer may change without a change of the status."""
        if self._answer is None:
            return None
        return max(0.0, min(self._answer.until, self._answer.unheard_at) - self.clock())


def _verdict(screen: Screen, now: float) -> _Answer:
    return _Answer(screen, None, now + _VERDICT_SECONDS, is_verdict=True)


def acknowledgement(wish: Wish, record: Mapping[str, Any]) -> Screen:
    """Say that the button was heard."""
    if wish is Wish.EJECT:
        line = texts.RELEASING_WHILE_READ if "reading" in _cards(record) else texts.STARTING_LINE
        return Screen(Kind.ANSWER, "eject", texts.RELEASING, (line,))
    if wish is Wish.SIGN_ANEW:
        return Screen(Kind.ANSWER, "upload", texts.SIGNING, (texts.SIGNING_LINE,))
    return Screen(Kind.ANSWER, "ghost", texts.SHUTTING_DOWN, (texts.SHUTTING_DOWN_LINE,))


def unheard(wish: Wish) -> Screen:
    """Say that nobody is there to do it."""
    heading, line = texts.UNHEARD[wish]
    return Screen(Kind.ANSWER, "warning", heading, (line,))


def no_card() -> Screen:
    """Say that there is nothing to release."""
    return Screen(Kind.ANSWER, "insert", texts.NO_CARD, (texts.NO_CARD_LINE,))


def not_signed(message: str, hint: str) -> Screen:
    """Say why there is no fresh link."""
    lines = tuple(" ".join(text.split()) for text in (message, hint))
    return Screen(Kind.ANSWER, "warning", texts.NOT_SIGNED, lines)


@dataclass(frozen=True)
class _Told:
    """What of a status changes when something comes of a wish."""

    cards: frozenset[str]
    links: frozenset[str]
    refusal: str

    def answers(self, wish: Wish, before: "_Told") -> bool:
        """Tell whether something came of a wish, which was made when the status said what was `before`."""
        if wish is Wish.EJECT:
            return self.cards != before.cards
        has_news = bool(self.links - before.links) or self.refusal not in ("", before.refusal)
        return wish is Wish.SIGN_ANEW and has_news


def _told(record: Mapping[str, Any]) -> _Told:
    # While a link is being signed, the record still shows the earlier one.
    links = {run.get("url") for run in _runs(record) if run.get("state") in ("done", "idle")}
    refusal = _refusal(record)
    return _Told(
        frozenset(_cards(record)),
        frozenset(link for link in links if isinstance(link, str)),
        str(refusal.get("updated_at")) if refusal else "",
    )


def _refusal(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the record of a wish that came to nothing: its error stands beside what was shown before."""
    refusals = (run for run in _runs(record) if run.get("state") == "idle" and isinstance(run.get("error"), Mapping))
    return next(refusals, None)


def _cards(record: Mapping[str, Any]) -> set[str]:
    cards = (run.get("card") for run in _runs(record))
    return {str(card.get("state") or "") for card in cards if isinstance(card, Mapping)} or {""}


def _runs(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    runs = record.get("runs")
    others = [run for run in runs if isinstance(run, Mapping)] if isinstance(runs, list) else []
    return [record, *others]
