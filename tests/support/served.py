"""What the fixture `served` gives: the S3 server of a test run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ghostroll.base.config import Settings
from ghostroll.embedded.server import EmbeddedStore
from ghostroll.store.endpoint import StoreEndpoint

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


class SettingsMaker(Protocol):
    def __call__(self, base_dir: Path, **overrides: Any) -> Settings: ...


@dataclass(frozen=True)
class Served:
    """The server of this test run. `client` is boto3's own, with the store's credentials."""

    settings: Settings
    embedded: EmbeddedStore
    endpoint: StoreEndpoint
    client: "S3Client"
