"""What runs inside a worker: `python -m ghostroll.derivatives.worker_main RENDERER RECIPE MEMORY_BYTES`.

Reads tasks from stdin and writes answers to stdout, a line of JSON each; a first line says that it is ready.
An answer holds `rendered`, or `failed` (a reason), or `errno` with `message` and `path`: the disk failed.
"""

import contextlib
import ctypes
import errno
import importlib
import json
import logging
import os
import pkgutil
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ghostroll.base.errors import FileFailed
from ghostroll.base.media_kind import MediaKind
from ghostroll.derivatives import Recipe, Rendered, Task

READY = b"ready\n"
# Needed by nearly every picture: loaded before the first one, while the card is still being read.
_PRELOADED = (
    "ghostroll.derivatives.pictures",
    "ghostroll.derivatives.colour",
    "ghostroll.derivatives.exif",
    "PIL.JpegImagePlugin",
    "PIL.TiffImagePlugin",
)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# The kernel, short of memory, takes a worker before anything else of ours (proc_pid_oom_score_adj(5)).
_OOM_SCORE_ADJ = 500

Renderer = Callable[[Task, Recipe], Rendered]


def main() -> None:
    """Answer tasks until stdin ends, or nobody is left to hear."""
    renderer, recipe, memory_bytes = sys.argv[1:]
    answers = _quiet()
    _confine(int(memory_bytes))
    for module in _PRELOADED:
        importlib.import_module(module)
    render: Renderer = pkgutil.resolve_name(renderer)
    _lift_guards()
    with contextlib.suppress(BrokenPipeError):  # the run was killed
        os.write(answers, READY)
        for line in sys.stdin.buffer:
            answer = _answer(render, _decode_task(line), Recipe(**json.loads(recipe)))
            os.write(answers, json.dumps(answer).encode() + b"\n")


def _answer(render: Renderer, task: Task, recipe: Recipe) -> dict[str, Any]:
    try:
        return {"rendered": asdict(render(task, recipe))}
    except FileFailed as error:
        return {"failed": str(error)}
    except MemoryError:
        return {"failed": "too large for this machine's memory"}
    except OSError as error:
        return {"errno": error.errno or errno.EIO, "message": error.strerror or str(error), "path": str(error.filename)}


def _decode_task(line: bytes) -> Task:
    fields = json.loads(line)
    return Task(kind=MediaKind(fields.pop("kind")), **{name: Path(path) for name, path in fields.items()})


def _quiet() -> int:
    """Keep stdout for answers and stderr for our own tracebacks, away from the libraries; return where answers go."""
    answers = os.dup(1)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    logging.disable()
    warnings.simplefilter("ignore")
    return answers


def _confine(memory_bytes: int) -> None:
    """Bound what a picture may take, and die with the run: not from its Ctrl-C, which the run answers itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    with contextlib.suppress(AttributeError):  # Linux only; elsewhere the end of stdin has to do
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE_ADJ))


def _lift_guards() -> None:
    """Let large pictures through Pillow's guard: here memory is bounded, and `pictures` knows what it may take."""
    from PIL import Image  # noqa: PLC0415 - after the limits

    Image.MAX_IMAGE_PIXELS = None


if __name__ == "__main__":
    main()
