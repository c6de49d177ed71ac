"""The store, tried out: something small is put in, read by a link, refused to strangers, and taken out again."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from ghostroll.base.config import Settings
from ghostroll.base.errors import CredentialsRefused, GhostrollError, StoreUnreachable
from ghostroll.doctor.findings import EX_CONFIGURATION, Finding, failed, of_error, ok, tried, warning
from ghostroll.store.endpoint import StoreEndpoint
from ghostroll.store.s3 import Store

_MARK = ".doctor-"
_STAMP = "%Y%m%dT%H%M%SZ"
_KEY = re.compile(re.escape(_MARK) + r"(\d{8}T\d{6}Z)-[0-9a-f]{8}")
# What is older was left by a check that was killed; what is younger may be another doctor's.
_LEFT_AFTER = timedelta(minutes=10)
_LINK_SECONDS = 300
_CLOCKS_DIFFER_SECONDS = 5
_UNITS = (("days", 86_400), ("hours", 3600), ("minutes", 60))
_CANNOT_REACH = (
    "Check the network, s3_endpoint_url and s3_region. Cards are saved meanwhile, and shared when the store answers."
)
_MAY_NOT_LIST = "These credentials may not list the bucket: what somebody deletes there is not noticed."
_BLOCK_PUBLIC = (
    "aws s3api put-public-access-block --bucket {} --public-access-block-configuration "
    "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
)


# Gives the key of a page that is in the store of an identity, if one was shared before.
PageKey = Callable[[str], str | None]


def findings(settings: Settings, endpoint: StoreEndpoint | None, page_key: PageKey) -> Iterator[Finding]:
    """Try the configured bucket, or the embedded store at `endpoint`."""
    with closing(Store.open(settings, endpoint=endpoint)) as store:
        try:
            left = _listing(store, settings.s3_prefix_root + _MARK)
        except GhostrollError as error:
            yield of_error("store", error, fix=_CANNOT_REACH if type(error) is StoreUnreachable else "")
            return
        place = "GhostRoll's own store" if endpoint else f"The bucket {settings.s3_bucket}"
        yield ok("store", f"{place} answers at {store.image_origin()}{_region(settings, endpoint)}.")
        if left is None:
            yield warning("store-listing", _MAY_NOT_LIST, f"Allow s3:ListBucket for {settings.s3_bucket}.")
        if endpoint is None:
            yield _clock(store)
        _sweep(store, settings.s3_prefix_root, left)
        yield from _tried_out(store, settings, page_key, may_list=left is not None)


def _listing(store: Store, prefix: str) -> dict[str, int] | None:
    try:
        return store.listing(prefix)
    except StoreUnreachable:
        return store.listing(prefix)  # the first answer tells the time, if it was our clock that was wrong


def _region(settings: Settings, endpoint: StoreEndpoint | None) -> str:
    return f", in region {settings.s3_region}" if settings.s3_region and endpoint is None else ""


def _clock(store: Store) -> Finding:
    """Compare our clock with the store's."""
    ahead = (store.now() - datetime.now(UTC)).total_seconds()
    if abs(ahead) < _CLOCKS_DIFFER_SECONDS:
        return ok("clock", "The clock agrees with the store's.")
    return warning(
        "clock",
        f"The clock is {_in_words(abs(ahead))} {'slow' if ahead > 0 else 'fast'} beside the store's."
        " Links are signed with the store's time; sessions bear the wrong one.",
        "`sudo timedatectl set-ntp true`, and a network that lets time through (UDP port 123).",
    )


def _in_words(seconds: float) -> str:
    unit, length = next((each for each in _UNITS if seconds >= 2 * each[1]), ("seconds", 1))
    return f"{round(seconds / length):,} {unit}"


def _sweep(store: Store, prefix_root: str, left: dict[str, int] | None) -> None:
    """Remove what a doctor that was killed has left."""
    for key in left or ():
        match = _KEY.fullmatch(key.removeprefix(prefix_root))
        if match and store.now() - datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC) > _LEFT_AFTER:
            with suppress(GhostrollError):  # whether we may delete is found out next
                store.delete(key)


def _tried_out(store: Store, settings: Settings, page_key: PageKey, *, may_list: bool) -> Iterator[Finding]:
    key = f"{settings.s3_prefix_root}{_MARK}{store.now():{_STAMP}}-{secrets.token_hex(4)}"
    try:
        store.delete(key)  # it isn't there yet: who may not delete puts nothing in
    except CredentialsRefused as error:
        if may_list and "AccessDenied" in str(error):  # (S3 API reference, "Error responses")
            yield from _without_deleting(store, settings, page_key)
        else:  # neither right, or it is the credentials themselves
            yield of_error("store-write", error, fix=f"{error.hint} Check s3_bucket, too.")
        return
    except GhostrollError as error:
        yield of_error("store-delete", error)
        return
    yield from _put_and_taken_out(store, settings, key)


def _put_and_taken_out(store: Store, settings: Settings, key: str) -> Iterator[Finding]:
    content = f"GhostRoll's doctor tries the store. This may be deleted. {secrets.token_hex(16)}\n".encode()
    written = tried("store-write", "A small file was put in.", partial(_put, store, key, content))
    try:
        yield written
        if not written.exit_code:
            yield tried(
                "store-link", "A link to it opened, and gave the same bytes.", partial(_open, store, key, content)
            )
            yield _strangers(store, settings, key)
            yield _strangers_listing(store, settings)
    finally:
        taken_out = tried("store-delete", "It was taken out again.", partial(store.delete, key))
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
        raise StoreUnreachable("The link gives something other than what was put in: another answers in its place.")


def _without_deleting(store: Store, settings: Settings, page_key: PageKey) -> Iterator[Finding]:
    """Try what can be tried without putting something in, where the right to delete is all that is missing."""
    yield warning(
        "store-delete",
        "These credentials may not delete, so nothing was put in to try uploads and links.",
        f"Allow s3:DeleteObject for {settings.s3_bucket}/{settings.s3_prefix_root}{_MARK}* only: "
        "deploy/iam-policy.json shows how.",
    )
    if key := page_key(store.identity):
        yield _strangers(store, settings, key)
    yield _strangers_listing(store, settings)


def _strangers(store: Store, settings: Settings, key: str) -> Finding:
    """Open an object that is there without a link's signature: it must be refused."""
    name, url = "store-private", _link(store, key).partition("?")[0]
    try:
        store.fetch(url)
    except CredentialsRefused:
        return ok(name, "Without a link nobody can open it: the store is private.")
    except GhostrollError as error:
        return warning(name, f"Whether strangers are refused is not clear: {error}", "Run `ghostroll doctor` again.")
    text = "THE BUCKET IS PUBLIC: anyone can open its pictures without a link."
    return failed(name, text, _fix_of_public(settings), EX_CONFIGURATION)


def _strangers_listing(store: Store, settings: Settings) -> Finding:
    """Ask for the list of all objects without credentials: it must be refused."""
    name, base = "store-private", _link(store, "x").partition("?")[0].removesuffix("x")
    try:
        store.fetch(f"{base}?list-type=2&max-keys=1")
    except CredentialsRefused:
        return ok(name, "Strangers cannot list what is in it.")
    except GhostrollError as error:
        return warning(name, f"Whether strangers can list it is not clear: {error}", "Run `ghostroll doctor` again.")
    text = "THE BUCKET IS PUBLIC: anyone can list what is in it."
    return failed(name, text, _fix_of_public(settings), EX_CONFIGURATION)


def _fix_of_public(settings: Settings) -> str:
    if settings.s3_endpoint_url or settings.s3_bucket is None:
        return (
            "Share nothing until the store refuses anonymous requests: remove the policy or identity that allows them."
        )
    return f"Share nothing until it is closed: `{_BLOCK_PUBLIC.format(settings.s3_bucket)}`"
