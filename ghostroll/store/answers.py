"""What a store may answer, in our own words: every error of the S3 client becomes one of errors.py.

Source of the codes: Amazon S3 API reference, "Error responses".
"""

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from ghostroll.base.errors import (
    ConfigurationError,
    CredentialsRefused,
    FileFailed,
    GhostrollError,
    NotSharedYet,
    StoreUnreachable,
)

_REFUSED = frozenset(
    (
        "AccessDenied AccountProblem AllAccessDisabled ExpiredToken InvalidAccessKeyId InvalidSecurity InvalidToken "
        "NotSignedUp SignatureDoesNotMatch TokenRefreshRequired UnauthorizedAccess UnauthorizedAccessException"
    ).split()
)
_WRONG_REGION = frozenset(("IllegalLocationConstraintException", "PermanentRedirect"))
_WRONG_TIME = frozenset(("ExpiredPresignRequest", "RequestExpired", "RequestNotValidYet", "RequestTimeTooSkewed"))
_WRONG_TIME_TEXTS = ("Request has expired", "Request is not yet valid")
_BAD_BODY = frozenset("BadDigest EntityTooLarge InvalidDigest KeyTooLongError XAmzContentSHA256Mismatch".split())
_TRY_LATER = frozenset(
    "IncompleteBody InternalError NoSuchUpload OperationAborted RequestTimeout ServiceUnavailable SlowDown "
    "TemporaryRedirect Throttling ThrottlingException TooManyRequests".split()
)
_REGION_IN_TEXT = re.compile(r"expecting '([a-z0-9-]+)'")
_CLOCK_HINT = "Set the clock of this machine (`timedatectl`); the photos are saved and are shared afterwards."
_PORTAL_HINT = (
    "Something else answers in its place: a network that wants a login page first, or a wrong s3_endpoint_url. "
    "The photos are saved and are shared as soon as the store answers."
)
_NAME_HINT = (
    "There is no network yet, or s3_endpoint_url or s3_region is wrong. "
    "The photos are saved and are shared as soon as the store answers."
)


@contextmanager
def in_our_words(store: str, bucket: str) -> Iterator[None]:
    """Turn every error of the S3 client inside into one of ours; `store` is the address to name."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        raise of_answer(store, bucket, error.response) from error
    except BotoCoreError as error:
        raise _of_client(store, error) from error
    except HTTPError as error:
        raise _unreachable(store, "the connection broke off") from error


def of_answer(store: str, bucket: str, answer: Mapping[str, Any]) -> GhostrollError:
    """Return the error that an answer of the store means, in the form botocore parses it to."""
    error, metadata = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    code, text = str(error.get("Code") or ""), str(error.get("Message") or "").rstrip(".")
    status = int(metadata.get("HTTPStatusCode", 0))
    what = ", ".join(part for part in (code or f"HTTP {status}", text) if part)
    region = error.get("Region") or metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region")
    if match := _REGION_IN_TEXT.search(text):
        region = match[1]
    if code == "NoSuchBucket":
        return ConfigurationError(f"s3_bucket: there is no bucket named {bucket} at {store}.")
    if code in _WRONG_REGION or (region and status in (301, 400)):
        return _wrong_region(bucket, region, text)
    # The client makes a 500 of a 200 that it cannot read; what is greater comes from gateways, whose errors are pages.
    if (not code or code.isdigit()) and status <= HTTPStatus.INTERNAL_SERVER_ERROR and looks_like_a_page(answer):
        return not_a_store(store, status)
    return _of_code(code, status, store, what, text)


def _of_code(code: str, status: int, store: str, what: str, text: str) -> GhostrollError:
    found: GhostrollError
    if code in _WRONG_TIME or text.startswith(_WRONG_TIME_TEXTS):
        found = StoreUnreachable(f"The store finds our clock wrong ({what}).", hint=_CLOCK_HINT)
    elif code in _REFUSED or status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        found = CredentialsRefused(f"The store refuses our credentials: {what}.")
    elif code in _BAD_BODY:
        found = FileFailed(f"The store refuses the file: {what}.")
    elif code == "NoSuchKey":
        found = NotSharedYet(f"The store does not have the object: {what}.")
    elif code in _TRY_LATER or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and code != "NotImplemented"):
        found = StoreUnreachable(f"The store {store} cannot take anything at the moment ({what}).")
    elif not code or code.isdigit():
        found = not_a_store(store, status)
    else:
        found = ConfigurationError(f"The store refuses the request: {what}.")
    return found


def not_a_store(store: str, status: int = HTTPStatus.OK) -> StoreUnreachable:
    """Return the error for an answer that no S3 store would give."""
    return StoreUnreachable(f"{store} does not answer like an S3 store (HTTP {int(status)}).", hint=_PORTAL_HINT)


def looks_like_a_page(answer: Mapping[str, Any]) -> bool:
    """Tell whether an answer, in botocore's form, brought something to be read by people: no store's success does."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("content-type", "")).startswith("text/html")


def _wrong_region(bucket: str, region: str | None, text: str) -> ConfigurationError:
    where = region or f"another region ({text})"
    return ConfigurationError(
        f"s3_region: the bucket {bucket} is in {where}.", hint=f"Set s3_region to {region}." if region else ""
    )


def _of_client(store: str, error: Exception) -> GhostrollError:
    """Return the error that the client had before or instead of an answer."""
    from botocore import exceptions as names  # noqa: PLC0415 - slow to import
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    if isinstance(error, names.NoCredentialsError | names.PartialCredentialsError):
        return CredentialsRefused(f"There are no complete credentials for the store: {_plain(error)}.")
    if isinstance(error, names.SSLError):
        return StoreUnreachable(f"No safe connection to {store}: {_plain(error)}.", hint=_PORTAL_HINT)
    if isinstance(error, names.HTTPClientError | names.ConnectionError):
        return _out_of_reach(store, error)
    if isinstance(error, ResponseParserError):
        return not_a_store(store)
    if isinstance(
        error,
        names.CredentialRetrievalError
        | names.MetadataRetrievalError
        | names.ProfileNotFound
        | names.SSOError
        | names.UnauthorizedSSOTokenError
        | names.TokenRetrievalError,
    ):
        return CredentialsRefused(f"The credentials cannot be obtained: {_plain(error)}.")
    return ConfigurationError(f"The store cannot be used as configured: {_plain(error)}.")


def _out_of_reach(store: str, error: Exception) -> StoreUnreachable:
    """Return the error for a request that got no answer."""
    from botocore import exceptions as names  # noqa: PLC0415 - slow to import
    from urllib3.exceptions import NameResolutionError  # noqa: PLC0415

    cause = getattr(error, "kwargs", {}).get("error")
    if isinstance(cause, NameResolutionError | socket.gaierror):
        return _unreachable(store, "its name is not known here", hint=_NAME_HINT)
    if isinstance(error, names.ProxyConnectionError):
        return _unreachable(store, "the proxy on the way does not let us through")
    if isinstance(error, names.EndpointConnectionError):
        return _unreachable(store, "nobody answers there")
    if isinstance(error, names.ConnectTimeoutError | names.ReadTimeoutError):
        return _unreachable(store, "no answer in time")
    return _unreachable(store, "the connection broke off")


def _unreachable(store: str, why: str, hint: str = "") -> StoreUnreachable:
    return StoreUnreachable(f"The store {store} is out of reach ({why}).", hint=hint)


def _plain(error: Exception) -> str:
    """Return an error's own text as one line without a full stop."""
    return " ".join(str(error).split()).rstrip(".")
