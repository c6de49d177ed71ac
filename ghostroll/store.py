"""The store: the private bucket that galleries are uploaded to and shared from.

Every object is sent with its SHA-256, which the store verifies before it keeps anything; nothing here ever
makes an object public. All errors are ours: StoreUnreachable, CredentialsRefused, ConfigurationError, or
FileFailed where only this one object is at fault.
"""

import base64
import hashlib
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from ghostroll import store_client
from ghostroll.config import Settings
from ghostroll.endpoint import StoreEndpoint
from ghostroll.errors import ConfigurationError, CredentialsRefused, FileFailed, GhostrollError, StoreUnreachable
from ghostroll.log import logger
from ghostroll.presign import Presigner
from ghostroll.store_errors import in_our_words, not_a_store, of_answer

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

# What is larger goes up in parts of this size; S3 takes parts of 5 MiB to 5 GiB, and 10,000 of them.
PART_BYTES = 8 << 20
_FETCH_TIMEOUT_SECONDS = 20
_PROBE_KEY = "x"


class Store:
    """One bucket. May be used from as many threads as there are upload workers."""

    def __init__(self, connection: store_client.Connection) -> None:
        self._connection = connection
        self._bucket = connection.bucket
        self.identity = connection.identity
        self._may_list = True
        self._lock = threading.Lock()

    @classmethod
    def open(cls, settings: Settings, *, endpoint: StoreEndpoint | None = None) -> Self:
        """Return the configured bucket, or the one of the embedded store that serves at `endpoint`.

        The network is asked only where no region is configured and the store is Amazon's.
        """
        if endpoint is not None:
            return cls(store_client.connect_embedded(settings, endpoint))
        if settings.s3_bucket is None:
            raise ConfigurationError("s3_bucket is not set, and the embedded store does not run.")
        return cls(store_client.connect(settings, settings.s3_bucket))

    @property
    def _client(self) -> "S3Client":
        return self._connection.client

    def _guard(self) -> AbstractContextManager[None]:
        return in_our_words(self._connection.address, self._bucket)

    def put(
        self,
        key: str,
        body: Path | bytes,
        *,
        sha256: str,
        size_bytes: int,
        content_type: str,
        cache_control: str,
        content_encoding: str | None = None,
    ) -> None:
        """Upload `body`, which has this SHA-256 (hex) and size, or nothing at all.

        Raises FileFailed when the body cannot be read or is not what the checksum says.
        """
        headers = {"ContentType": content_type, "CacheControl": cache_control}
        if content_encoding:
            headers["ContentEncoding"] = content_encoding
        if isinstance(body, bytes):
            if len(body) != size_bytes:
                raise FileFailed(f"{key} has {len(body)} bytes instead of {size_bytes}.")
            self._put_whole(key, body, sha256, headers)
            return
        try:
            with body.open("rb") as file:
                if size_bytes <= PART_BYTES:
                    self._put_whole(key, file.read(size_bytes + 1), sha256, headers)
                else:
                    self._put_in_parts(key, file, sha256, headers)
        except OSError as error:
            raise FileFailed(f"Cannot read {body.name}: {error.strerror}.") from error

    def _put_whole(self, key: str, body: bytes, sha256: str, headers: dict[str, Any]) -> None:
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with self._guard():
            answer = self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ChecksumSHA256=checksum, **headers
            )
        if not answer.get("ETag"):
            raise not_a_store(self._connection.address)

    def _put_in_parts(self, key: str, file: IO[bytes], sha256: str, headers: dict[str, Any]) -> None:
        """Upload part by part, one of them in memory at a time; what fails half-way is taken back."""
        with self._guard():
            upload_id = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=key, ChecksumAlgorithm="SHA256", **headers
            ).get("UploadId")
        if not upload_id:
            raise not_a_store(self._connection.address)
        try:
            parts = self._put_parts(key, upload_id, file, sha256)
            with self._guard():
                answer = self._client.complete_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
                )
            if not answer.get("ETag"):
                raise not_a_store(self._connection.address)
        except BaseException:
            with suppress(GhostrollError), self._guard():
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
            raise

    def _put_parts(self, key: str, upload_id: str, file: IO[bytes], sha256: str) -> list["CompletedPartTypeDef"]:
        """Upload all parts and return their list; raises FileFailed if together they are not what `sha256` says."""
        whole = hashlib.sha256()
        parts: list[CompletedPartTypeDef] = []
        while chunk := file.read(PART_BYTES):
            whole.update(chunk)
            checksum = base64.b64encode(hashlib.sha256(chunk).digest()).decode()
            number = len(parts) + 1
            with self._guard():
                answer = self._client.upload_part(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=chunk,
                    ChecksumSHA256=checksum,
                )
            if not answer.get("ETag"):
                raise not_a_store(self._connection.address)
            parts.append({"ETag": answer["ETag"], "PartNumber": number, "ChecksumSHA256": checksum})
        if whole.hexdigest() != sha256:
            raise FileFailed(f"{key} changed while it was uploaded.")
        return parts

    def listing(self, prefix: str) -> dict[str, int] | None:
        """Return the size in bytes of every object whose key begins with `prefix`; None where we may not list."""
        if not self._may_list:
            return None
        found: dict[str, int] = {}
        try:
            with self._guard():
                for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                    if "Name" not in page:
                        raise not_a_store(self._connection.address)
                    found.update({entry["Key"]: entry["Size"] for entry in page.get("Contents", [])})
        except CredentialsRefused:
            with self._lock:
                if self._may_list:
                    logger.info("We may not list the bucket; what was uploaded is known from the catalog alone.")
                self._may_list = False
            return None
        return found

    def presigner(self, expires_seconds: int, now: datetime) -> Presigner:
        """Return what signs GET links that are valid for `expires_seconds` from `now`."""
        access_key, secret_key, token = self._connection.secrets()
        return Presigner(
            base_url=self._link_base,
            access_key=access_key,
            secret_key=secret_key,
            token=token,
            region=self._connection.region,
            expires_seconds=expires_seconds,
            now=now,
        )

    @cached_property
    def _link_base(self) -> str:
        """Where links point to: as the client itself would address the bucket, or at the advertised address."""
        if self._connection.public_url:
            return f"{self._connection.public_url}/{self._bucket}"
        with self._guard():
            url = self._client.generate_presigned_url("get_object", Params={"Bucket": self._bucket, "Key": _PROBE_KEY})
        return url.partition("?")[0].removesuffix("/" + _PROBE_KEY)

    def credentials_expire_at(self) -> datetime | None:
        """Return when temporary credentials end, and every link signed with them; None for lasting ones."""
        _, _, token = self._connection.secrets()
        if not token:
            return None
        moment = self._connection.secrets_expire_at()
        if moment is None:
            logger.warning("The credentials are temporary, and nothing says until when: the link may end early.")
        return moment.astimezone(UTC) if moment else None

    def image_origin(self) -> str:
        """Return scheme, host and port of every link, for the page's content security policy."""
        parts = urlsplit(self._link_base)
        return f"{parts.scheme}://{parts.netloc}"

    def fetch(self, url: str) -> bytes:
        """Open a presigned link once, as a guest would, and return the body as it is stored.

        Raises what the answer means where it is not 200; a redirect is not followed.
        """
        request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310 - our own link
        address = self.image_origin()
        try:
            with _opener().open(request, timeout=_FETCH_TIMEOUT_SECONDS) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            with error:
                raise of_answer(address, self._bucket, _parsed(error.code, dict(error.headers), error.read())) from None
        except (OSError, HTTPException) as error:
            raise StoreUnreachable(f"The link does not open at {address} ({error}).") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Reports a redirect as what it is: a store never redirects a good link."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect)


def _parsed(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return an error answer in the form botocore gives it; `Code` is the status where the body is not S3's."""
    fields = {"Code": str(status)}
    with suppress(ET.ParseError):
        root = ET.fromstring(body)  # noqa: S314 - expat refuses entity bombs; nothing external is read
        if root.tag == "Error":
            fields.update({child.tag: child.text or "" for child in root})
    return {
        "Error": fields,
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "HTTPHeaders": {name.lower(): value for name, value in headers.items()},
        },
    }
