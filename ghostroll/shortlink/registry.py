"""Offering short links: every share that is valid has one; one is shown only after it led to that very share.

`of` is the one place where a short link is made: whoever shows a share asks here for it.
"""

import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from ghostroll.base import durable, local_address, locks
from ghostroll.base.config import Settings
from ghostroll.base.log import logger
from ghostroll.base.session_paths import session_of
from ghostroll.catalog import Catalog
from ghostroll.catalog.models import SessionRow, SessionState
from ghostroll.shortlink import records
from ghostroll.shortlink.records import ALPHABET, CODE, LENGTH, Record

# The server may have to be started first, on a Pi that is at work.
_ASK_SECONDS = 10.0
_HTTP_PORT = 80
# So many of the codes that a session could have would have to be taken.
_CANDIDATES = 16
_KEY_BYTES = 32
SWITCHED_OFF = "short_links is off."
NOT_SERVED = "this machine serves none."
NO_NETWORK = "this machine is on no network."


@dataclass(frozen=True, slots=True)
class Offer:
    """A short link that works, or why there is none, as the end of a sentence."""

    url: str | None = None
    reason: str = ""


def directory_of(settings: Settings) -> Path:
    """Return where the records lie: all that the server sees. The installer makes it, beside the catalog."""
    return settings.db_path.parent / "links"


def obstacle(settings: Settings) -> str:
    """Say why this machine offers none at all; "" where it does."""
    if not settings.short_links:
        return SWITCHED_OFF
    return "" if directory_of(settings).is_dir() else NOT_SERVED


def address(settings: Settings) -> str | None:
    """Return what every short link begins with, such as http://192.168.1.20; None where there is no network."""
    host = local_address.advertised_host(settings.short_link_host)
    if settings.short_link_host == "auto" and local_address.is_loopback(host):
        return None
    port = settings.short_link_port
    return f"http://{host}" if port == _HTTP_PORT else f"http://{host}:{port}"


def of_session(settings: Settings, catalog: Catalog, session_id: str) -> Offer:
    """Return the short link to a session's share, tried once as a guest would."""
    return of(settings, catalog, catalog.session(session_id))


def of(settings: Settings, catalog: Catalog, share: SessionRow | None) -> Offer:
    """Return the short link to a share, tried once as a guest would."""
    if share is None:
        return Offer(reason="nothing is shared.")
    if reason := obstacle(settings):
        return Offer(reason=reason)
    url = expected(settings, publish(settings, catalog), share)
    if url is None:
        return Offer(reason=NO_NETWORK if address(settings) is None else "the session was deleted from the disk.")
    if reason := failing(url, share.url):
        return Offer(reason=reason)
    return Offer(url)


def expected(settings: Settings, codes: dict[str, str], share: SessionRow) -> str | None:
    """Return what the short link to a share must be now, by the codes of all shares."""
    base, code = address(settings), codes.get(share.session_id)
    return f"{base}/{code}" if base and code else None


def published_url(settings: Settings, share: SessionRow) -> str | None:
    """Return what the short link to a share must be now, by the codes that were published last; None without one."""
    with suppress(OSError):
        return None if obstacle(settings) else expected(settings, codes(settings), share)
    return None


def failing(url: str, link: str | None) -> str:
    """Open a short link as a guest would, up to where it leads: say what is wrong with it, "" if nothing."""
    answer = answer_at(url)
    base = url.rpartition("/")[0]
    if answer is None:
        return f"nobody answers at {base}."
    return "" if answer == (HTTPStatus.FOUND, link) else f"{base} does not lead there."


def answer_at(url: str) -> tuple[int, str | None] | None:
    """Return status and location of the answer at a short link; None where there is none."""
    import http.client  # noqa: PLC0415 - brings TLS along, which an idle `watch` has no other use for

    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=_ASK_SECONDS)
    try:
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        return answer.status, answer.headers["Location"]
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


# The records


def publish(settings: Settings, catalog: Catalog) -> dict[str, str]:
    """Have a record for each share that is valid and whose session is still there, and no other.

    Return the codes by session. A session keeps its code however often it is signed anew.
    """
    directory = directory_of(settings)
    try:
        with _alone_in(directory) as known:
            shares = [row for row in catalog.shares_valid_at(datetime.now(UTC)) if _is_there(settings, row)]
            key = _key(directory.with_name("links.key"))
            codes = {row.session_id: _put(directory, key, row, known) for row in shares}
            for code in known.keys() - set(codes.values()):
                (directory / code).unlink(missing_ok=True)
    except OSError as error:
        logger.warning("The short links cannot be written: %s.", error.strerror)
        return {}
    return {session_id: code for session_id, code in codes.items() if code}


def codes(settings: Settings) -> dict[str, str]:
    """Return the codes by session as they were published last; raises OSError."""
    directory = directory_of(settings)
    return {record.session_id: code for code, record in _known(directory).items() if record}


def _is_there(settings: Settings, row: SessionRow) -> bool:
    session = session_of(settings, row.session_id)
    return row.state is not SessionState.ABANDONED and _end(row) > 0 and session.directory.is_dir()


def _end(row: SessionRow) -> int:
    """Return when a link ends, in seconds since the epoch; 0 for a time that is none."""
    with suppress(ValueError, OverflowError):
        return int(datetime.fromisoformat(row.expires_utc or "").timestamp())
    return 0


@contextmanager
def _alone_in(directory: Path) -> Iterator[dict[str, Record | None]]:
    """Keep other runs out of the directory; give what is in it."""
    with locks.held(directory):
        for left in directory.glob(".*.tmp"):
            left.unlink(missing_ok=True)
        yield _known(directory)


def _known(directory: Path) -> dict[str, Record | None]:
    return {name: records.read(str(directory), name) for name in os.listdir(directory) if CODE.fullmatch(name)}  # noqa: PTH208 - names


def _put(directory: Path, key: bytes, row: SessionRow, known: dict[str, Record | None]) -> str | None:
    """Write a share's record unless it is there; return its code, None in the unheard-of case that none is free."""
    record = Record(row.url or "", _end(row), row.session_id)
    candidates = [_code(key, row.session_id, number) for number in range(_CANDIDATES)]
    owners = {code: found.session_id for code in candidates if (found := known.get(code))}
    own = [code for code in candidates if owners.get(code, row.session_id) == row.session_id]
    code = next((code for code in own if code in owners), own[0] if own else None)
    if code and known.get(code) != record:
        durable.write_atomically(directory / code, str(record), mode=0o600)
        known[code] = record
    return code


def _code(key: bytes, session_id: str, number: int) -> str:
    """Return one of the codes that a session may have. Who doesn't know the key learns nothing from the id."""
    left = int.from_bytes(hmac.digest(key, f"{number} {session_id}".encode(), "sha256"))
    letters = []
    for _ in range(LENGTH):
        left, letter = divmod(left, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "".join(letters)


def _key(path: Path) -> bytes:
    """Return this machine's own key, made when it is first wanted. It lies where the server does not see it."""
    with suppress(FileNotFoundError):
        key = path.read_bytes()
        if len(key) == _KEY_BYTES:
            return key
    key = secrets.token_bytes(_KEY_BYTES)
    durable.write_atomically(path, key, mode=0o600)
    return key
