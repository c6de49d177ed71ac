"""Sending one object: whole, or part by part so that a large file never lies in memory."""

import base64
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

from ghostroll.base.errors import FileFailed, GhostrollError
from ghostroll.base.log import logger
from ghostroll.store.answers import looks_like_a_page, not_a_store
from ghostroll.store.client import Connection

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef

# What is larger goes up in parts of this size. S3 takes parts of 5 MiB to 5 GiB, and 10,000 of them
# (Amazon S3 user guide, "Amazon S3 multipart upload limits").
PART_BYTES = 5 << 20
# The client's timeout is that of one block. botocore's own of 128 KiB take 35 s where eight share 0.25 Mbit/s.
_BLOCK_BYTES = 16 << 10
_STEP_BYTES = 64 << 10
# What is taken sooner than this may only have filled the buffers of this machine.
_BUFFERS_FILL_SECONDS = 1.0


class _Body(BytesIO):
    """The bytes of one request, shared with their maker and handed out in small blocks.

    `moved` is called at every step of 64 KiB for which there was no room at first: so something got through.
    """

    def __init__(self, content: bytes, moved: Callable[[], None]) -> None:
        super().__init__(content)
        self._moved = moved
        self._began = 0.0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next block, of at most `size` bytes."""
        taken = self.tell()
        if taken == 0:  # again at each try
            self._began = time.monotonic()
        elif taken % _STEP_BYTES == 0 and time.monotonic() - self._began > _BUFFERS_FILL_SECONDS:
            self._moved()
        return super().read(size if size is None else min(size, _BLOCK_BYTES))


@dataclass(frozen=True)
class Upload:
    """One object on its way. `sha256` is hex; `headers` are further arguments of the S3 request.

    `part_sent` is called as the object moves: after each part, and within, where that takes longer than a second.
    """

    connection: Connection
    key: str
    sha256: str
    size_bytes: int
    headers: dict[str, Any]
    part_sent: Callable[[], None] = lambda: None

    def send(self, body: bytes) -> None:
        """Send `body` in one request; the store refuses it where it does not match the checksum."""
        if len(body) != self.size_bytes:
            raise FileFailed(f"{self.key} is not the file it was: {len(body)} bytes instead of {self.size_bytes}.")
        with self.connection.in_our_words():
            answer = self.connection.client.put_object(
                **self._object,
                Body=_Body(body, self.part_sent),
                ChecksumSHA256=base64.b64encode(bytes.fromhex(self.sha256)).decode(),
                **self.headers,
            )
        self._proven("ETag", answer)

    def send_file(self, file: IO[bytes]) -> None:
        """Send what is read from `file`; OSError is the file's alone."""
        if self.size_bytes <= PART_BYTES:
            self.send(file.read(self.size_bytes + 1))
            return
        with self.connection.in_our_words():
            answer = self.connection.client.create_multipart_upload(
                **self._object, ChecksumAlgorithm="SHA256", **self.headers
            )
        upload_id = self._proven("UploadId", answer)
        try:
            self._complete(upload_id, self._send_parts(upload_id, file))
        except BaseException:
            with suppress(GhostrollError), self.connection.in_our_words():
                self.connection.client.abort_multipart_upload(**self._object, UploadId=upload_id)
            raise

    def _send_parts(self, upload_id: str, file: IO[bytes]) -> list["CompletedPartTypeDef"]:
        """Send all parts, each with its own checksum; raises FileFailed if together they are not `sha256`."""
        whole = hashlib.sha256()
        parts: list[CompletedPartTypeDef] = []
        while chunk := file.read(PART_BYTES):
            whole.update(chunk)
            parts.append(self._send_part(upload_id, len(parts) + 1, chunk))
            self.part_sent()
        if whole.hexdigest() != self.sha256:
            raise FileFailed(f"{self.key} is not the file it was: its SHA-256 has changed.")
        return parts

    def _send_part(self, upload_id: str, number: int, chunk: bytes) -> "CompletedPartTypeDef":
        checksum = base64.b64encode(hashlib.sha256(chunk).digest()).decode()
        with self.connection.in_our_words():
            answer = self.connection.client.upload_part(
                **self._object,
                UploadId=upload_id,
                PartNumber=number,
                Body=_Body(chunk, self.part_sent),
                ChecksumSHA256=checksum,
            )
        return {"ETag": self._proven("ETag", answer), "PartNumber": number, "ChecksumSHA256": checksum}

    def _complete(self, upload_id: str, parts: list["CompletedPartTypeDef"]) -> None:
        with self.connection.in_our_words():
            answer = self.connection.client.complete_multipart_upload(
                **self._object, UploadId=upload_id, MultipartUpload={"Parts": parts}
            )
        self._proven("ETag", answer)

    @property
    def _object(self) -> dict[str, Any]:
        return {"Bucket": self.connection.bucket, "Key": self.key}

    def _proven(self, name: str, answer: Any) -> str:
        """Return a field that every S3 store gives; a login page that answers 200 to anything is no store's."""
        value: str = answer.get(name, "")
        if not value or looks_like_a_page(answer):
            raise not_a_store(self.connection.address)
        return value


def abort_unfinished(connection: Connection, prefix: str) -> None:
    """Abort multipart uploads of keys with this prefix that were cut off: their parts are kept, and paid for."""
    try:
        with connection.in_our_words():
            pages = connection.client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=connection.bucket, Prefix=prefix):
                for left in page.get("Uploads", []):
                    connection.client.abort_multipart_upload(
                        Bucket=connection.bucket, Key=left["Key"], UploadId=left["UploadId"]
                    )
    except (GhostrollError, ValueError) as error:
        logger.debug("Uploads that were cut off before are left in the bucket: %s", error)
