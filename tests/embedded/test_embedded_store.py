"""The embedded store: one serves, all use it, nothing is left behind, and strangers get nothing."""

import hashlib
import http.client
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest

from ghostroll.base import local_address
from ghostroll.base.config import Settings
from ghostroll.base.errors import ConfigurationError, StoreUnreachable
from ghostroll.embedded import seaweedfs
from ghostroll.embedded import server as embedded
from ghostroll.embedded.server import EmbeddedStore, may_start_unasked, serve
from ghostroll.store.s3 import Store

if TYPE_CHECKING:
    from tests.support.served import Served, SettingsMaker

PICTURE = b"\xff\xd8 a picture that nobody else may see"
SERVE_FOREVER = """\
import sys, time
from pathlib import Path
from ghostroll.base import config
from ghostroll.embedded.server import serve
with serve(config.load({"base_dir": sys.argv[1], "store_port": sys.argv[2]}, {}, "/dev/null").settings, asked=True):
    print("serving", flush=True)
    time.sleep(600)
"""


def put(store: EmbeddedStore, settings: Settings, key: str) -> None:
    opened = Store.open(settings, endpoint=store.endpoint)
    digest = hashlib.sha256(PICTURE).hexdigest()
    opened.put(key, PICTURE, sha256=digest, size_bytes=len(PICTURE), content_type="image/jpeg", cache_control="private")
    opened.close()


def fetched(store: EmbeddedStore, settings: Settings, key: str) -> bytes:
    opened = Store.open(settings, endpoint=store.endpoint)
    try:
        return opened.fetch(opened.presigner(60, datetime.now(UTC))(key))
    finally:
        opened.close()


def server_of(store: EmbeddedStore) -> psutil.Process:
    assert store._server is not None
    return psutil.Process(store._server._process.pid)


def waited_for(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def settings(tmp_path: Path, store_settings: "SettingsMaker") -> Settings:
    return store_settings(tmp_path / "base")


def test_the_second_one_uses_the_first_ones_store(served: "Served") -> None:
    with serve(served.settings) as second:
        assert served.embedded.is_owner
        assert not second.is_owner
        assert second.endpoint == served.endpoint
        put(second, served.settings, "second/a.jpg")
        assert fetched(served.embedded, served.settings, "second/a.jpg") == PICTURE
    put(served.embedded, served.settings, "second/still there.jpg")


def test_a_restart_keeps_every_object_and_key(settings: Settings, store_settings: "SettingsMaker") -> None:
    with serve(settings, asked=True) as first:
        put(first, settings, "kept/a.jpg")
        before = first.endpoint
    moved = store_settings(settings.base_dir)
    with serve(moved, asked=True) as second:
        assert fetched(second, moved, "kept/a.jpg") == PICTURE
        put(second, moved, "kept/b.jpg")
        assert second.endpoint.identity == before.identity
        assert second.endpoint.secret_key == before.secret_key


def test_a_store_that_is_ended_at_once_has_all_that_it_acknowledged(
    settings: Settings, store_settings: "SettingsMaker"
) -> None:
    keys = [f"ended/{number}.jpg" for number in range(24)]
    with serve(settings, asked=True) as first:
        server = server_of(first)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: put(first, settings, key), keys))
        os.kill(server.pid, signal.SIGSTOP)  # one that heeds nothing is not waited for
    assert not server.is_running()
    moved = store_settings(settings.base_dir)
    with serve(moved, asked=True) as second:
        assert {fetched(second, moved, key) for key in keys} == {PICTURE}


def test_a_killed_server_is_started_again_with_its_objects(settings: Settings) -> None:
    with serve(settings, asked=True) as store:
        put(store, settings, "killed/a.jpg")
        server = server_of(store)
        server.kill()
        assert waited_for(lambda: not server.is_running(), 5)
        store.ensure_running()
        assert fetched(store, settings, "killed/a.jpg") == PICTURE
        put(store, settings, "killed/b.jpg")


def test_a_killed_owner_leaves_no_orphan_and_another_takes_over(settings: Settings) -> None:
    arguments = [sys.executable, "-c", SERVE_FOREVER, str(settings.base_dir), str(settings.store_port)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "serving\n"
        with serve(settings, asked=True) as store:
            assert not store.is_owner
            put(store, settings, "taken over/a.jpg")
            children = psutil.Process(owner.pid).children()
            assert len(children) == 1
            os.kill(owner.pid, signal.SIGKILL)
            owner.wait()
            assert waited_for(lambda: not children[0].is_running(), 5)
            store.ensure_running()
            assert store.is_owner
            assert fetched(store, settings, "taken over/a.jpg") == PICTURE
            server = server_of(store)
    assert not server.is_running()


def test_the_server_outlives_the_thread_that_asked_for_it(settings: Settings) -> None:
    store = EmbeddedStore(settings, asked=True)
    thread = threading.Thread(target=store.ensure_running)
    thread.start()
    thread.join()
    time.sleep(0.3)
    put(store, settings, "thread/a.jpg")
    store.close()


def test_of_many_at_once_one_serves(settings: Settings) -> None:
    stores = [EmbeddedStore(settings, asked=True) for _ in range(5)]
    threads = [threading.Thread(target=store.ensure_running) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.is_owner for store in stores].count(True) == 1
    for number, store in enumerate(stores):
        put(store, settings, f"many/{number}.jpg")
    for store in stores:
        store.close()


def test_a_taken_port_names_the_setting_and_blocks_nothing(settings: Settings) -> None:
    with (
        socket.create_server(("127.0.0.1", settings.store_port)),
        pytest.raises(ConfigurationError, match="store_port"),
    ):
        EmbeddedStore(settings, asked=True).ensure_running()
    with serve(settings, asked=True) as store:
        assert store.is_owner


def test_a_server_that_does_not_start_says_why(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "weed"
    broken.write_text("#!/bin/sh\necho 'I1123 beginning'\necho 'F1123 disk is\033[31m on fire' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(seaweedfs, "program", lambda: broken)
    with pytest.raises(StoreUnreachable, match=r"disk is.*on fire") as caught:
        EmbeddedStore(settings, asked=True).ensure_running()
    assert "\033" not in str(caught.value)


def test_a_machine_without_the_server_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        seaweedfs.program()
    assert "s3_bucket" in caught.value.hint


def test_short_memory_wants_to_be_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert may_start_unasked()
    monkeypatch.setattr(embedded, "_ENOUGH_MEMORY_BYTES", 1 << 60)
    assert not may_start_unasked()
    with pytest.raises(ConfigurationError, match="ghostroll store"), serve(settings):
        pass
    with serve(settings, asked=True), serve(settings) as user:
        assert not user.is_owner


def test_a_deep_base_directory_is_no_trouble(tmp_path: Path, store_settings: "SettingsMaker") -> None:
    settings = store_settings(tmp_path / ("very deep " * 10) / ("and deeper " * 10))
    with serve(settings, asked=True) as store:
        put(store, settings, "a.jpg")


def test_only_the_owner_can_read_what_lies_on_disk(served: "Served") -> None:
    directory = served.settings.base_dir / "store"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for name in ("keys.json", "s3.json", "serving.json", "grpc.key"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600, name


def test_no_secret_stands_in_the_command_line_or_the_log(served: "Served") -> None:
    keys = seaweedfs.keys_of(served.settings.base_dir / "store")
    log = (served.settings.base_dir / "store" / "weed.log").read_text()
    line = " ".join(server_of(served.embedded).cmdline())
    for secret in (keys.secret_key, keys.jwt_key):
        assert secret not in line
        assert secret not in log
    assert keys.secret_key not in repr(served.endpoint)


def test_the_server_speaks_on_loopback_only(served: "Served") -> None:
    connections = server_of(served.embedded).net_connections("inet")
    assert {connection.laddr.ip for connection in connections} == {"127.0.0.1"}
    assert {connection.raddr.ip for connection in connections if connection.raddr} <= {"127.0.0.1"}


def test_the_helpers_give_nothing_to_other_users_of_the_machine(served: "Served") -> None:
    put(served.embedded, served.settings, "helpers/a.jpg")
    connections = server_of(served.embedded).net_connections("inet")
    ports = {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}
    assert len(ports) >= 9
    for port in ports:
        for path in (
            "/buckets/ghostroll/helpers/a.jpg",
            "/buckets/ghostroll/helpers/",
            "/1,01637037d6",
            "/dir/lookup?fileId=1,01637037d6&read=yes",
            "/dir/assign",
            "/ui/index.html",
            "/",
        ):
            assert not reveals(port, path), (port, path)


def reveals(port: int, path: str) -> bool:
    """Tell whether a stranger gets a picture, a name, or a token that opens one; an error may repeat the path."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read() + str(answer.headers).encode()
    except (http.client.HTTPException, OSError):
        return False
    finally:
        connection.close()
    return PICTURE in text or b"Bearer" in text or b'"fid"' in text or (b"a.jpg" in text and not path.endswith("a.jpg"))


def test_the_helpers_grpc_wants_our_certificate(served: "Served", tmp_path: Path) -> None:
    put(served.embedded, served.settings, "grpc/a.jpg")
    arguments = server_of(served.embedded).cmdline()
    options = dict(argument[1:].split("=", 1) for argument in arguments if "=" in argument)
    master = f"127.0.0.1:{options['master.port']}"
    filer = f"127.0.0.1:{options['filer.port']}"
    with subprocess.Popen(
        [seaweedfs.program(), "shell", f"-master={master}", f"-filer={filer}"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as shell:
        with pytest.raises(subprocess.TimeoutExpired):
            shell.communicate(b"fs.ls /buckets/ghostroll/grpc\nfs.cat /buckets/ghostroll/grpc/a.jpg\nexit\n", timeout=4)
        shell.kill()
        output, _ = shell.communicate()
    assert b"a.jpg" not in output
    assert b"a picture" not in output


def test_the_local_network_reaches_nothing_but_s3(tmp_path: Path, store_settings: "SettingsMaker") -> None:
    settings = store_settings(tmp_path / "base", store_host="auto")
    with serve(settings, asked=True) as store:
        put(store, settings, "lan/a.jpg")
        address = local_address.advertised_host("auto")
        assert store.endpoint.url == f"http://{address}:{settings.store_port}"
        assert fetched(store, settings, "lan/a.jpg") == PICTURE
        assert refused(address, settings.store_port)
        listening = {
            connection.laddr.port
            for process in (psutil.Process(), server_of(store))
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN and not local_address.is_loopback(connection.laddr.ip)
        }
        assert listening == {settings.store_port}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, settings.store_port))


def refused(address: str, port: int) -> bool:
    connection = http.client.HTTPConnection(address, port, timeout=5)
    connection.request("GET", "/ghostroll/lan/a.jpg")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status == 403 and b"a picture" not in body


def test_a_taken_port_is_noticed_for_the_network_too(tmp_path: Path, store_settings: "SettingsMaker") -> None:
    settings = store_settings(tmp_path / "base", store_host="0.0.0.0.example")
    with socket.create_server(("", settings.store_port)), pytest.raises(ConfigurationError, match="store_port"):
        EmbeddedStore(settings, asked=True).ensure_running()


def test_an_endpoint_without_a_server_is_unreachable(settings: Settings) -> None:
    with pytest.raises(StoreUnreachable):
        _ = EmbeddedStore(settings).endpoint


def test_a_log_that_has_grown_large_is_emptied(settings: Settings) -> None:
    with serve(settings, asked=True) as store:
        log = settings.base_dir / "store" / "weed.log"
        with log.open("ab") as file:
            file.truncate(5 << 20)
        store.ensure_running()
        assert log.stat().st_size < 1 << 20


def test_the_link_names_the_configured_host(served: "Served", store_settings: "SettingsMaker") -> None:
    named = store_settings(served.settings.base_dir, store_host="ghostroll.local", store_port=8333)
    assert urlsplit(EmbeddedStore(named).endpoint.url).netloc == "ghostroll.local:8333"


def test_base_dir_that_cannot_be_written_names_the_setting(store_settings: "SettingsMaker", tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="base_dir"):
        EmbeddedStore(store_settings(tmp_path / "file"))


def test_sockets_of_killed_servers_are_swept_and_those_in_use_are_not() -> None:
    dead, alive = (Path(f"/tmp/seaweedfs-test-grpc-{secrets.randbelow(10**9)}.sock") for _ in range(2))
    try:
        with socket.socket(socket.AF_UNIX) as left, socket.socket(socket.AF_UNIX) as served:
            left.bind(str(dead))
            served.bind(str(alive))
            served.listen()
            left.close()
            seaweedfs.sweep_sockets()
            assert not dead.exists()
            assert alive.exists()
    finally:
        dead.unlink(missing_ok=True)
        alive.unlink(missing_ok=True)
