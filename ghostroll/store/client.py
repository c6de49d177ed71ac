"""The S3 client: signature version 4, the bucket's own region, the right address, no needless round trip."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ghostroll.base.config import Settings
from ghostroll.base.errors import ConfigurationError, CredentialsRefused
from ghostroll.store.answers import in_our_words, of_answer
from ghostroll.store.clock import StoreClock, sign_by
from ghostroll.store.endpoint import StoreEndpoint
from ghostroll.store.wire import send_without_hoarding

if TYPE_CHECKING:
    import boto3
    from types_boto3_s3.client import S3Client

# Also for each block of a body that is sent (urllib3 knows but one timeout until the answer is awaited): many times
# what a block takes where eight of them share 0.2 Mbit/s.
_CONNECT_TIMEOUT_SECONDS = 15
# From the last block to the answer: what the system's buffers still hold must get through first.
_READ_TIMEOUT_SECONDS = 60
# Of one request, the first included: our own loops know better when to try again.
_ATTEMPTS = 2
_ASK_HERE = "us-east-1"
_Style = Literal["path", "virtual"]


@dataclass(frozen=True)
class Connection:
    """A client and what else must be known of the bucket behind it.

    `secrets` gives access key, secret key and token, fresh ones where they are temporary.
    """

    client: "S3Client"
    bucket: str
    region: str
    identity: str
    clock: StoreClock
    secrets: Callable[[], tuple[str, str, str | None]]
    secrets_expire_at: Callable[[], datetime | None]
    public_url: str | None = None

    @property
    def address(self) -> str:
        """Scheme and host of the store."""
        return self.client.meta.endpoint_url

    @property
    def is_embedded(self) -> bool:
        """Whether the store is our own."""
        return self.public_url is not None

    def in_our_words(self) -> AbstractContextManager[None]:
        """Turn every error of the client inside into one of ours."""
        return in_our_words(self.address, self.bucket)


def connect_embedded(settings: Settings, endpoint: StoreEndpoint) -> Connection:
    """Return a connection to the embedded store."""
    import boto3  # noqa: PLC0415 - slow to import

    clock = StoreClock()
    with in_our_words(endpoint.local_url, endpoint.bucket):
        session = boto3.Session(aws_access_key_id=endpoint.access_key, aws_secret_access_key=endpoint.secret_key)
        client = _client(session, settings, endpoint.region, endpoint.local_url, "path", proxies={})
        sign_by(clock, client)
    return Connection(
        client=client,
        bucket=endpoint.bucket,
        region=endpoint.region,
        identity=endpoint.identity,
        clock=clock,
        secrets=lambda: (endpoint.access_key, endpoint.secret_key, None),
        secrets_expire_at=lambda: None,
        public_url=endpoint.url,
    )


def connect(settings: Settings, bucket: str) -> Connection:
    """Return a connection to the configured bucket, with what boto3 finds of credentials and configuration."""
    import boto3  # noqa: PLC0415 - slow to import

    clock = StoreClock()
    with in_our_words(settings.s3_endpoint_url or "Amazon S3", bucket):
        session = boto3.Session()
        credentials = session.get_credentials()
        if credentials is None:
            raise CredentialsRefused("There are no credentials for the store.")
        region = settings.s3_region or session.region_name
        client = _addressed(session, settings, region or _ASK_HERE, bucket)
        if region is None and _is_amazon(client):
            region = _region_of(client, bucket)
            client = _addressed(session, settings, region, bucket)
        sign_by(clock, client)

    def secrets() -> tuple[str, str, str | None]:
        with in_our_words(client.meta.endpoint_url, bucket):
            frozen = credentials.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            raise CredentialsRefused("There are no complete credentials for the store.")
        return frozen.access_key, frozen.secret_key, frozen.token

    return Connection(
        client=client,
        bucket=bucket,
        region=client.meta.region_name,
        identity=f"{client.meta.endpoint_url}/{bucket}",
        clock=clock,
        secrets=secrets,
        # botocore tells nobody but itself; credentials that are not refreshed have no such moment.
        secrets_expire_at=lambda: getattr(credentials, "_expiry_time", None),
    )


def _addressed(session: "boto3.Session", settings: Settings, region: str, bucket: str) -> "S3Client":
    """Return a client with the addressing that fits: virtual at Amazon's, path elsewhere and for dotted names."""
    custom = settings.s3_endpoint_url
    client = _client(session, settings, region, custom, "path" if custom or "." in bucket else "virtual")
    if custom is None and not _is_amazon(client):  # AWS_ENDPOINT_URL or its like in a configuration file
        client = _client(session, settings, region, None, "path")
    return client


def _client(
    session: "boto3.Session",
    settings: Settings,
    region: str,
    endpoint_url: str | None,
    style: _Style,
    *,
    proxies: dict[str, str] | None = None,
) -> "S3Client":
    from botocore.config import Config  # noqa: PLC0415 - slow to import
    from botocore.handlers import add_expect_header  # noqa: PLC0415

    config = Config(
        signature_version="s3v4",
        s3={
            "addressing_style": style,
            "us_east_1_regional_endpoint": "regional",
            # The signed checksum header already binds the body: hashing it twice gains nothing.
            "payload_signing_enabled": False,
        },
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        read_timeout=_READ_TIMEOUT_SECONDS,
        proxies=proxies,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=settings.upload_workers + 2,
    )
    send_without_hoarding()
    try:
        client = session.client("s3", region_name=region, endpoint_url=endpoint_url, config=config)
    except ValueError as error:
        raise ConfigurationError(f"The store's address cannot be right: {error}.") from error
    # Waiting for "100 Continue" costs a round trip for every object.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    client.meta.events.register("before-call.s3", _stay_in_region)
    return client


def _stay_in_region(context: dict[str, Any], **_: Any) -> None:
    """Keep botocore from following the bucket to its region: links would still be signed for the wrong one."""
    if "s3_redirect" in context:
        context["s3_redirect"]["redirected"] = True


def _is_amazon(client: "S3Client") -> bool:
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _region_of(client: "S3Client", bucket: str) -> str:
    """Ask where the bucket is: even a refusal says so (S3 API reference, HeadBucket, x-amz-bucket-region)."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow to import

    answer: Any
    try:
        answer = client.head_bucket(Bucket=bucket)
    except ClientError as error:
        answer = error.response
    region = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
    if region:
        return str(region)
    if answer["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
        answer["Error"]["Code"] = "NoSuchBucket"
    raise of_answer(client.meta.endpoint_url, bucket, answer)
