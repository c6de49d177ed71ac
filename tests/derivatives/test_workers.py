import contextlib
import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest

from ghostroll.base.errors import FileFailed
from ghostroll.derivatives import Task
from ghostroll.derivatives.workers import RenderPool, memory_limit_for, size_for
from tests.derivatives.bad_renderers import DONE
from tests.support.photos import PHOTOS, RECIPE, needs_photos, patches, task_for

MIB = 1 << 20


@pytest.fixture
def pool() -> Iterator[RenderPool]:
    with RenderPool(RECIPE, 2, timeout_seconds=2, renderer="tests.derivatives.bad_renderers:by_name") as pool:
        yield pool


def task(name: str, directory: Path) -> Task:
    return Task(
        directory / name,
        task_for(directory / name, directory).kind,
        directory / f"{name}.s",
        directory / f"{name}.t",
        directory,
    )


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def wait_until(condition: object, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_renders_as_the_recipe_says(tmp_path: Path) -> None:
    original = tmp_path / "Straße 写真 \udcff.jpg"
    patches((200, 10, 10), (10, 10, 200)).save(original)
    asked = task_for(original, tmp_path)
    with RenderPool(RECIPE, 1) as pool:
        result = pool.submit(asked).result()
    assert (result.share_size, result.thumb_size) == ((64, 32), (64, 32))
    assert hashlib.sha256(asked.share.read_bytes()).hexdigest() == result.share_sha256
    assert children() == []


def test_bad_files_cost_themselves_and_nothing_else(pool: RenderPool, tmp_path: Path) -> None:
    bad = ["segfault", "killed", "hang", "memory", "bug", "refused", "babble", "lie"]
    names = [f"good-{index}" for index in range(60)]
    for index, name in enumerate(bad):
        names.insert(index * 7, name)
    futures = {name: pool.submit(task(name, tmp_path)) for name in names}
    reasons = {name: str(future.exception()) for name, future in futures.items() if future.exception()}
    assert reasons == {
        "segfault": "the picture crashed its decoder (SIGSEGV)",
        "killed": "the picture's decoder was killed twice (SIGKILL)",
        "hang": "the picture took longer than 2 seconds to read",
        "memory": "too large for this machine's memory",
        "bug": "the picture crashed its decoder (exit 1)",
        "refused": "not a picture",
        "babble": "the picture confused its decoder",
        "lie": "the picture confused its decoder",
    }
    assert all(isinstance(futures[name].exception(), FileFailed) for name in bad)
    assert all(future.result() == DONE for name, future in futures.items() if name not in bad)


def test_a_worker_killed_from_outside_costs_no_file(pool: RenderPool, tmp_path: Path) -> None:
    assert pool.submit(task("killedonce", tmp_path)).result() == DONE


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_an_idle_worker_that_dies_is_replaced(number: signal.Signals, pool: RenderPool, tmp_path: Path) -> None:
    pool.submit(task("good", tmp_path)).result()
    for worker in children():
        worker.send_signal(number)
        wait_until(lambda worker=worker: worker.status() == psutil.STATUS_ZOMBIE)
    for index in range(4):
        assert pool.submit(task(f"good-{index}", tmp_path)).result() == DONE


def test_a_failing_disk_is_told_apart_from_a_bad_picture(pool: RenderPool, tmp_path: Path) -> None:
    error = pool.submit(task("full", tmp_path)).exception()
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    assert error.filename == str(tmp_path / "full.s")


def test_terminating_takes_no_time_whatever_the_workers_do(tmp_path: Path) -> None:
    pool = RenderPool(RECIPE, 2, renderer="tests.derivatives.bad_renderers:by_name")
    futures = [pool.submit(task(f"hang-{index}", tmp_path)) for index in range(5)]
    wait_until(lambda: (tmp_path / "hang-0.s").exists() and (tmp_path / "hang-1.s").exists())
    start = time.monotonic()
    pool.terminate()
    assert time.monotonic() - start < 0.5
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(timeout=0)
    assert children() == []


def test_an_exception_ends_the_pool_at_once(tmp_path: Path) -> None:
    start = time.monotonic()
    with (
        contextlib.suppress(KeyboardInterrupt),
        RenderPool(RECIPE, 1, renderer="tests.derivatives.bad_renderers:by_name") as pool,
    ):
        pool.submit(task("hang", tmp_path))
        raise KeyboardInterrupt
    assert time.monotonic() - start < 2
    assert children() == []


def test_workers_do_not_outlive_a_killed_run(tmp_path: Path) -> None:
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from tests.derivatives.test_workers import RECIPE, RenderPool, task\n"
        "pool = RenderPool(RECIPE, 1, renderer='tests.derivatives.bad_renderers:by_name')\n"
        "pool.submit(task('hang', Path(sys.argv[2]))); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, Path(__file__).parents[2], tmp_path]) as run:
        written = tmp_path / "hang.s"
        wait_until(lambda: written.exists() and written.read_text(), 20)
        worker = psutil.Process(int(written.read_text()))
        run.kill()
        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 1)


def test_ctrl_c_and_a_stopping_service_are_for_the_run_to_answer(pool: RenderPool, tmp_path: Path) -> None:
    pool.submit(task("good", tmp_path)).result()
    (worker,) = children()
    assert os.getpgid(worker.pid) != os.getpgid(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        worker.send_signal(number)
    assert pool.submit(task("good-2", tmp_path)).result() == DONE
    assert worker.is_running()


def test_a_worker_is_confined(pool: RenderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    pool.submit(task("good", tmp_path)).result()
    (worker,) = children()
    assert "AWS_SECRET_ACCESS_KEY" not in worker.environ()
    assert worker.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    memory_bytes = psutil.virtual_memory().total
    assert worker.rlimit(psutil.RLIMIT_DATA)[0] == pytest.approx(memory_limit_for(memory_bytes), rel=0.01)
    assert Path(f"/proc/{worker.pid}/oom_score_adj").read_text().strip() == "500"
    assert {Path(file.path).suffix for file in worker.open_files()} == set()


@needs_photos
def test_bombs_are_refused_by_name_and_size(tmp_path: Path) -> None:
    with RenderPool(RECIPE, 1) as pool:
        lying = pool.submit(task_for(PHOTOS / "hostile/lying_dimensions.jpg", tmp_path))
        bomb = pool.submit(task_for(PHOTOS / "hostile/bomb_20000x20000.png", tmp_path))
        assert str(lying.exception()) == "too large: 65500 x 65500 pixels"
        assert str(bomb.exception()) == "too large: 20000 x 20000 pixels"


@pytest.mark.parametrize(
    ("cores", "memory_mib", "size"),
    [(4, 430, 2), (4, 512, 2), (4, 906, 3), (4, 1024, 3), (4, 1900, 4), (8, 8192, 8), (1, 8192, 1), (1, 430, 1)],
)
def test_cores_and_memory_bound_the_pool(cores: int, memory_mib: int, size: int) -> None:
    assert size_for(cores, memory_mib * MIB) == size


def test_one_picture_may_take_most_of_a_small_machine_and_some_of_a_large_one() -> None:
    assert memory_limit_for(430 * MIB) == pytest.approx(322 * MIB, rel=0.01)
    assert memory_limit_for(200 * MIB) == 256 * MIB
    assert memory_limit_for(64_000 * MIB) == 2048 * MIB


def test_the_run_itself_loads_no_decoder() -> None:
    program = "import sys, ghostroll.derivatives.workers, ghostroll.derivatives; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"PIL", "numpy", "rawpy", "pillow_heif", "exifread", "multiprocessing", "asyncio"} & set(loaded)


def test_a_worker_whose_run_was_killed_before_it_was_ready_ends_without_a_word() -> None:
    limits = ("ghostroll.derivatives:render", "{}", str(512 << 20))
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "ghostroll.derivatives.worker_main", *limits],
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")
