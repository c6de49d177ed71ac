"""Check the store: upload a small object, open a link to it, check that anonymous requests are refused, delete it."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from ghostroll.base.config import Settings
from ghostroll.base.errors import CredentialsRefused, GhostrollError, StoreUnreachable
from ghostroll.doctor.findings import EX_CONFIGURATION, Finding, attempt, error_finding, failed, ok, warning
from ghostroll.store.endpoint import StoreEndpoint
from ghostroll.store.s3 import Store

_TEST_KEY = ".doctor-"
_STAMP = "%Y%m%dT%H%M%SZ"
_KEY = re.compile(re.escape(_TEST_KEY) + r"(\d{8}T\d{6}Z)-[0-9a-f]{8}")
# An older test object was left by a killed check; a newer one may belong to another doctor.
_STALE_AFTER = timedelta(minutes=10)
_LINK_SECONDS = 300
_CLOCK_TOLERANCE_SECONDS = 5
_UNITS = (("days", 86_400), ("hours", 3600), ("minutes", 60))
_CANNOT_REACH = (
    "Check the network, s3_endpoint_url and s3_region. Cards are saved meanwhile, and shared when the store answers."
)
_MAY_NOT_LIST = "These credentials may not list the bucket: GhostRoll does not notice what is deleted there."
_BLOCK_PUBLIC = (
    "aws s3api put-public-access-block --bucket {} --public-access-block-configuration "
    "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
)


# Returns the key of a gallery in the store with this identity, if one was shared.
PageKey = Callable[[str], str | None]


def findings(settings: Settings, endpoint: StoreEndpoint | None, page_key: PageKey) -> Iterator[Finding]:
    """Check the configured bucket, or the embedded store at `endpoint`."""
    with closing(Store.open(settings, endpoint=endpoint)) as store:
        try:
            left = _listing(store, settings.s3_prefix_root + _TEST_KEY)
        except GhostrollError as error:
            yield error_finding("store", error, fix=_CANNOT_REACH if type(error) is StoreUnreachable else "")
            return
        place = "GhostRoll's own store" if endpoint else f"The bucket {settings.s3_bucket}"
        yield ok("store", f"{place} answers at {store.image_origin()}{_region(settings, endpoint)}.")
        if left is None:
            yield warning("store-listing", _MAY_NOT_LIST, f"Allow s3:ListBucket for {settings.s3_bucket}.")
        if endpoint is None:
            yield _clock(store)
        _delete_stale(store, settings.s3_prefix_root, left)
        yield from _access(store, settings, page_key, may_list=left is not None)


def _listing(store: Store, prefix: str) -> dict[str, int] | None:
    try:
        return store.listing(prefix)
    except StoreUnreachable:
        return store.listing(prefix)  # the first answer corrects the signing time if the clock is wrong


def _region(settings: Settings, endpoint: StoreEndpoint | None) -> str:
    return f", in region {settings.s3_region}" if settings.s3_region and endpoint is None else ""


def _clock(store: Store) -> Finding:
    """Compare the system clock with the store's."""
    ahead = (store.now() - datetime.now(UTC)).total_seconds()
    if abs(ahead) < _CLOCK_TOLERANCE_SECONDS:
        return ok("clock", "The clock agrees with the store's.")
    return warning(
        "clock",
        f"The clock is {_in_words(abs(ahead))} {'slow' if ahead > 0 else 'fast'} compared with the store's."
        " Links are signed with the store's time, but sessions get the wrong one.",
        "`sudo timedatectl set-ntp true`, and a network that allows NTP (UDP port 123).",
    )


def _in_words(seconds: float) -> str:
    unit, length = next((each for each in _UNITS if seconds >= 2 * each[1]), ("seconds", 1))
    return f"{round(seconds / length):,} {unit}"


def _delete_stale(store: Store, prefix_root: str, left: dict[str, int] | None) -> None:
    """Delete test objects that a killed check left."""
    for key in left or ():
        match = _KEY.fullmatch(key.removeprefix(prefix_root))
        if match and store.now() - datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC) > _STALE_AFTER:
            with suppress(GhostrollError):  # the right to delete is checked next
                store.delete(key)


def _access(store: Store, settings: Settings, page_key: PageKey, *, may_list: bool) -> Iterator[Finding]:
    key = f"{settings.s3_prefix_root}{_TEST_KEY}{store.now():{_STAMP}}-{secrets.token_hex(4)}"
    try:
        store.delete(key)  # the key does not exist yet: without the right to delete, nothing is uploaded
    except CredentialsRefused as error:
        if may_list and "AccessDenied" in str(error):  # (S3 API reference, "Error responses")
            yield from _read_only_access(store, settings, page_key)
        else:  # no rights at all, or invalid credentials
            yield error_finding("store-write", error, fix=f"{error.hint} Check s3_bucket, too.")
        return
    except GhostrollError as error:
        yield error_finding("store-delete", error)
        return
    yield from _round_trip(store, settings, key)


def _round_trip(store: Store, settings: Settings, key: str) -> Iterator[Finding]:
    content = f"GhostRoll's doctor tries the store. This may be deleted. {secrets.token_hex(16)}\n".encode()
    written = attempt("store-write", "A small file was put in.", partial(_put, store, key, content))
    try:
        yield written
        if not written.exit_code:
            yield attempt(
                "store-link", "A link to it opened, and gave the same bytes.", partial(_open, store, key, content)
            )
            yield _anonymous_get(store, settings, key)
            yield _anonymous_list(store, settings)
    finally:
        taken_out = attempt("store-delete", "It was taken out again.", partial(store.delete, key))
    if taken_out.exit_code:
        taken_out = failed(
            taken_out.name,
            f"{taken_out.text} {key} is still there.",
            "Run `ghostroll doctor` again later: it removes it.",
        )
    yield taken_out


def _put(store: Store, key: str, content: bytes) -> None:
    store.put(
        key,
        content,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        content_type="text/plain",
        cache_control="private, no-store",
    )


def _link(store: Store, key: str) -> str:
    return store.presigner(_LINK_SECONDS, store.now())(key)


def _open(store: Store, key: str, content: bytes) -> None:
    if store.fetch(_link(store, key)) != content:
        raise StoreUnreachable("The link returns something else than what was put in: another server answers.")


def _read_only_access(store: Store, settings: Settings, page_key: PageKey) -> Iterator[Finding]:
    """Check what can be checked without an upload, where only the right to delete is missing."""
    yield warning(
        "store-delete",
        "These credentials may not delete, so nothing was put in to try uploads and links.",
        f"Allow s3:DeleteObject for {settings.s3_bucket}/{settings.s3_prefix_root}{_TEST_KEY}* only: "
        "deploy/iam-policy.json shows how.",
    )
    if key := page_key(store.identity):
        yield _anonymous_get(store, settings, key)
    yield _anonymous_list(store, settings)


def _anonymous_get(store: Store, settings: Settings, key: str) -> Finding:
    """Request an existing object without a signature: it must be refused."""
    url = _link(store, key).partition("?")[0]
    refused = "Without a link nobody can open it: the store is private."
    return _anonymous(store, settings, url, refused, "open its pictures without a link")


def _anonymous_list(store: Store, settings: Settings) -> Finding:
    """Request the list of objects without credentials: it must be refused."""
    url = _link(store, "x").partition("?")[0].removesuffix("x") + "?list-type=2&max-keys=1"
    return _anonymous(store, settings, url, "Strangers cannot list what is in it.", "list what is in it")


def _anonymous(store: Store, settings: Settings, url: str, refused: str, access: str) -> Finding:
    name = "store-private"
    try:
        store.fetch(url)
    except CredentialsRefused:
        return ok(name, refused)
    except GhostrollError as error:
        return warning(name, f"It is not clear whether anyone can {access}: {error}", "Run `ghostroll doctor` again.")
    return failed(name, f"THE BUCKET IS PUBLIC: anyone can {access}.", _public_fix(settings), EX_CONFIGURATION)


def _public_fix(settings: Settings) -> str:
    if settings.s3_endpoint_url or settings.s3_bucket is None:
        return (
            "Share nothing until the store refuses anonymous requests: remove the policy or identity that allows them."
        )
    return f"Share nothing until it is closed: `{_BLOCK_PUBLIC.format(settings.s3_bucket)}`"
