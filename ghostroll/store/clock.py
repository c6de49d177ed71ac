"""What time it is, as the store sees it: a Raspberry Pi has no clock that runs while it is off.

A signature made by a wrong clock is refused, and a link signed by one ends too soon or never opens. So each
answer's `Date` header (RFC 9110, 6.6.1) is compared with our clock, and what is signed bears the store's time
where the two differ.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from ghostroll.base.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from types_boto3_s3.client import S3Client

# `Date` counts whole seconds, and an answer may have been on its way for some: no reason to distrust our clock.
_TOLERANCE = timedelta(seconds=10)
# What only an S3 store sends: the time of a login page that stands in its place is nobody's business.
_SIGN_OF_A_STORE = "x-amz-request-id"
_SIGNER = "s3v4-by-the-stores-clock"
_STAMP = "%Y%m%dT%H%M%SZ"  # ISO 8601 basic: Amazon S3 API reference, "Authenticating HelperRequests", X-Amz-Date


class StoreClock:
    """The store's time. It is ours until an answer of the store shows that ours is wrong."""

    def __init__(self, our_now: "Callable[[], datetime]" = lambda: datetime.now(UTC)) -> None:
        self._our_now = our_now
        self._ahead = timedelta()  # of the store's clock before ours
        self._lock = Lock()
        self.is_known = False

    def now(self) -> datetime:
        """Return the time to sign with, in UTC."""
        return self._our_now() + self._ahead

    def hear(self, headers: "Mapping[str, str]") -> None:
        """Take note of an answer's headers, whose names are in lower case."""
        if _SIGN_OF_A_STORE not in headers:
            return
        try:
            store_now = parsedate_to_datetime(headers.get("date", "")).astimezone(UTC)
        except ValueError:
            return
        with self._lock:
            self.is_known = True
            if abs(store_now - self.now()) <= _TOLERANCE:
                return
            ahead = store_now - self._our_now()
            self._ahead = ahead if abs(ahead) > _TOLERANCE else timedelta()
        self._tell()

    def _tell(self) -> None:
        if not self._ahead:
            logger.info("The clock of this machine is right again.")
            return
        logger.warning(
            "The clock of this machine is %s %s: links are signed with the store's time, %s UTC.",
            _in_words(abs(self._ahead)),
            "slow" if self._ahead > timedelta() else "fast",
            self.now().strftime("%Y-%m-%d %H:%M"),
        )


def sign_by(clock: StoreClock, client: "S3Client") -> None:
    """Have every request of a client signed with the store's time, and the clock hear every answer."""

    def choose(signature_version: str, **_: Any) -> Any:
        return _signer() if signature_version == "s3v4" else None

    def stamp(request: Any, **_: Any) -> None:
        request.context["store_now"] = clock.now().strftime(_STAMP)

    def hear(response_dict: "Mapping[str, Any] | None", **_: Any) -> None:
        if response_dict is not None:
            clock.hear({name.lower(): value for name, value in response_dict["headers"].items()})

    client.meta.events.register("choose-signer.s3", choose)
    client.meta.events.register("before-sign.s3", stamp)
    client.meta.events.register("response-received.s3", hear)


@cache
def _signer() -> str:
    """Make a signature of botocore's known that differs from its own by the time alone; return its name."""
    from botocore.auth import AUTH_TYPE_MAPS, S3SigV4Auth  # noqa: PLC0415 - slow to import

    class ByTheStoresClock(S3SigV4Auth):
        def _modify_request_before_signing(self, request: Any) -> None:
            request.context["timestamp"] = request.context["store_now"]
            super()._modify_request_before_signing(request)  # type: ignore[misc]

    AUTH_TYPE_MAPS[_SIGNER] = ByTheStoresClock
    return _SIGNER


def _in_words(length: timedelta) -> str:
    for unit, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if length >= unit:
            number = round(length / unit)
            return f"{number:,} {name}{'' if number == 1 else 's'}"
    return f"{round(length.total_seconds())} seconds"
