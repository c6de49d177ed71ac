"""A real S3 server for the tests that want one: the embedded store itself, started once."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from ghostroll.base import config
from ghostroll.base.config import Settings
from ghostroll.base.log import logger
from ghostroll.embedded.seaweedfs import free_ports
from ghostroll.embedded.server import serve
from ghostroll.store.endpoint import StoreEndpoint
from ghostroll.store.s3 import Store
from tests.support.appliance import Appliance, connected
from tests.support.bench import bench, card, catalog, record, session  # noqa: F401 - fixtures
from tests.support.served import Served, SettingsMaker

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


@pytest.fixture(scope="session", autouse=True)
def signals_are_heard() -> Iterator[None]:
    """Have programs that tests start heed signals, though nohup(1) or a shell in the background has us ignore them."""
    handlers: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def log_lines_reach_the_test() -> Iterator[None]:
    """Have each test begin with a logger that nobody has set up, and leave none behind."""
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    logger.handlers[:], logger.propagate = [], True
    logger.setLevel(logging.DEBUG)
    yield
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def no_aws_but_ours() -> Iterator[None]:
    """Keep what the machine knows of AWS out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AWS_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def store_settings() -> SettingsMaker:
    """Return a function that makes settings for a base directory: everything below it, a free port, no file read."""

    def make(base_dir: Path, **overrides: Any) -> Settings:
        flags = {
            "base_dir": str(base_dir),
            "db_path": str(base_dir / "ghostroll.db"),
            "store_port": free_ports(1)[0],
            **overrides,
        }
        return config.load(flags, {}, os.devnull).settings

    return make


@pytest.fixture(scope="session")
def served(store_settings: SettingsMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run the embedded store for the whole test session."""
    settings = store_settings(tmp_path_factory.mktemp("served"))
    with serve(settings, asked=True) as embedded:
        endpoint = embedded.endpoint
        client = raw_client(endpoint)
        yield Served(settings, embedded, endpoint, client)
        client.close()


@pytest.fixture
def store(served: Served) -> Iterator[Store]:
    opened = Store.open(served.settings, endpoint=served.endpoint)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def raw_s3() -> Callable[[StoreEndpoint], "S3Client"]:
    """Return a function that gives boto3's own client for an endpoint."""
    return raw_client


def raw_client(endpoint: StoreEndpoint) -> "S3Client":
    boto = boto3.Session(endpoint.access_key, endpoint.secret_key, region_name=endpoint.region)
    settings = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return boto.client("s3", endpoint_url=endpoint.local_url, config=settings)


@pytest.fixture
def appliance(served: Served, tmp_path: Path) -> Iterator[Appliance]:
    """The program on a disk of its own, with the real store for a bucket."""
    made = connected(tmp_path, served)
    yield made
    made.kill_all()
