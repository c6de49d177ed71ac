"""The store: the private bucket that galleries are uploaded to and shared from.

Every object is sent with its SHA-256, which the store verifies before it keeps anything; nothing here ever
makes an object public. All errors are ours: StoreUnreachable, CredentialsRefused, ConfigurationError, or
FileFailed where only this one object is at fault.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from ghostroll.base.config import Settings
from ghostroll.base.errors import ConfigurationError, CredentialsRefused, FileFailed
from ghostroll.base.log import logger
from ghostroll.store.answers import looks_like_a_page, not_a_store
from ghostroll.store.client import Connection, connect, connect_embedded
from ghostroll.store.endpoint import StoreEndpoint
from ghostroll.store.fetching import fetch
from ghostroll.store.presign import Presigner
from ghostroll.store.sending import Upload, abort_unfinished

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_PROBE_KEY = "x"


class Store:
    """One bucket. May be used from as many threads as there are upload workers.

    `identity` says which store an upload went to: `https://host/bucket`, or `embedded:…`, which stays when
    the embedded store's address changes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.identity = connection.identity
        self._may_list = True
        self._told_of_unknown_end = False

    @classmethod
    def open(cls, settings: Settings, *, endpoint: StoreEndpoint | None = None) -> Self:
        """Return the configured bucket, or the one of the embedded store that serves at `endpoint`.

        The network is asked only for temporary credentials, and for the region where none is configured and
        the store is Amazon's.
        """
        if endpoint is not None:
            return cls(connect_embedded(settings, endpoint))
        if settings.s3_bucket is None:
            raise ConfigurationError("s3_bucket is not set, and the embedded store does not run.")
        return cls(connect(settings, settings.s3_bucket))

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
        part_sent: Callable[[], None] = lambda: None,
    ) -> None:
        """Upload `body`, which has this SHA-256 (hex) and size, or nothing at all.

        `part_sent` is called as more of it gets through: after each part of a large file, and every few seconds.
        Raises FileFailed when the body cannot be read or is not what the checksum says.
        """
        headers = {"ContentType": content_type, "CacheControl": cache_control}
        if content_encoding:
            headers["ContentEncoding"] = content_encoding
        upload = Upload(self._connection, key, sha256, size_bytes, headers, part_sent)
        if isinstance(body, bytes):
            upload.send(body)
            return
        try:
            with body.open("rb") as file:
                upload.send_file(file)
        except OSError as error:
            raise FileFailed(f"Cannot read {body.name}: {error.strerror}.") from error

    def delete(self, key: str) -> None:
        """Remove an object, or do nothing where there is none; raises as every request does."""
        with self._guard():
            answer = self._client.delete_object(Bucket=self._connection.bucket, Key=key)
        if looks_like_a_page(answer):
            raise not_a_store(self._connection.address)

    def settle(self) -> None:
        """Make what was put survive a power cut, where that is ours to do: the embedded store does not flush."""
        if self._connection.is_embedded:
            os.sync()

    def listing(self, prefix: str) -> dict[str, int] | None:
        """Return the size in bytes of every object whose key begins with `prefix`; None where we may not list."""
        if not self._may_list:
            return None
        found: dict[str, int] = {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._connection.bucket, Prefix=prefix)
        try:
            with self._guard():
                for page in pages:
                    if "Name" not in page:
                        raise not_a_store(self._connection.address)
                    found.update({entry["Key"]: entry["Size"] for entry in page.get("Contents", [])})
        except CredentialsRefused as error:
            self._may_list = False
            logger.info("The bucket may not be listed; the catalog alone knows what was uploaded (%s)", error)
            return None
        return found

    def abort_unfinished(self, prefix: str) -> None:
        """Abort the multipart uploads that were cut off, of keys that begin with `prefix`, where we may."""
        abort_unfinished(self._connection, prefix)

    def now(self) -> datetime:
        """Return the time as the store has it, which is what links are signed with; asks where it never answered."""
        clock = self._connection.clock
        if not clock.is_known:
            with suppress(CredentialsRefused), self._guard():
                self._client.head_bucket(Bucket=self._connection.bucket)
        return clock.now()

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

    def credentials_expire_at(self) -> datetime | None:
        """Return when temporary credentials end, and every link signed with them; None for lasting ones."""
        _, _, token = self._connection.secrets()
        moment = self._connection.secrets_expire_at()
        if token and moment is None and not self._told_of_unknown_end:
            self._told_of_unknown_end = True
            logger.warning("The credentials are temporary, and nothing says until when: links may end early.")
        return moment.astimezone(UTC) if token and moment else None

    def image_origin(self) -> str:
        """Return scheme, host and port of every link, for the page's content security policy."""
        parts = urlsplit(self._link_base)
        return f"{parts.scheme}://{parts.netloc}"

    def fetch(self, url: str) -> bytes:
        """Open a presigned link once, as a guest would, and return the body as it is stored.

        Raises what the answer means where it is not 200; a redirect is not followed.
        """
        return fetch(url, self._connection.bucket, through_proxy=not self._connection.is_embedded)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def _client(self) -> "S3Client":
        return self._connection.client

    def _guard(self) -> AbstractContextManager[None]:
        return self._connection.in_our_words()

    @cached_property
    def _link_base(self) -> str:
        """Where links point to: the advertised address, or where the client itself addresses the bucket."""
        bucket = self._connection.bucket
        if self._connection.public_url:
            return f"{self._connection.public_url}/{bucket}"
        with self._guard():
            url = self._client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": _PROBE_KEY})
        return url.partition("?")[0].removesuffix("/" + _PROBE_KEY)
