"""Sending one object: whole, or part by part so that a large file never lies in memory."""

import base64
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from ghostroll.errors import FileFailed, GhostrollError
from ghostroll.store.answers import not_a_store
from ghostroll.store.client import Connection

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef

# What is larger goes up in parts of this size. S3 takes parts of 5 MiB to 5 GiB, and 10,000 of them
# (Amazon S3 user guide, "Amazon S3 multipart upload limits").
PART_BYTES = 5 << 20


@dataclass(frozen=True)
class Upload:
    """One object on its way. `sha256` is hex; `headers` are further arguments of the S3 request."""

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
                Body=body,
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
                **self._object, UploadId=upload_id, PartNumber=number, Body=chunk, ChecksumSHA256=checksum
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

    def _proven(self, field: str, answer: Any) -> str:
        """Return a field that every S3 store gives; a login page that answers 200 to anything has none."""
        value: str = answer.get(field, "")
        if not value:
            raise not_a_store(self.connection.address)
        return value
