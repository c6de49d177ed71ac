"""The thumbnails for the contact sheet are read once, small, and never trusted."""

import os
from pathlib import Path

import pytest
from PIL import Image

from ghostroll.status.model import THUMBNAILS_MOST
from ghostroll_display.thumbnails import Thumbnails


def save(path: Path, colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (512, 341)) -> Path:
    Image.new("RGB", size, colour).save(path, "JPEG")
    return path


def test_a_thumbnail_is_read_small(tmp_path: Path) -> None:
    read = Thumbnails().load(str(save(tmp_path / "a.jpg")))
    assert read is not None
    assert (read.mode, max(read.size)) == ("RGB", 256)
    assert read.size[0] > read.size[1]


def test_a_file_is_read_once_and_again_when_it_was_replaced(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg")
    thumbnails = Thumbnails()
    first = thumbnails.load(str(path))
    assert thumbnails.load(str(path)) is first
    save(path, (30, 30, 200))
    os.utime(path, ns=(1, 1))
    again = thumbnails.load(str(path))
    assert again is not None
    assert first is not None
    assert again.getpixel((5, 5)) != first.getpixel((5, 5))


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"P6 9 9 255 ", b"\0" * 5_000_000])
def test_what_is_no_small_jpeg_is_no_thumbnail(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    assert Thumbnails().load(str(tmp_path / "a.jpg")) is None


def test_a_name_that_leads_nowhere_is_no_thumbnail(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("", "\0", str(tmp_path), str(tmp_path / "gone"), str(tmp_path / "pipe"), "/dev/zero", "x" * 5000):
        assert Thumbnails().load(name) is None


def test_no_more_are_kept_than_two_sheets_have(tmp_path: Path) -> None:
    thumbnails = Thumbnails()
    for number in range(3 * THUMBNAILS_MOST):
        assert thumbnails.load(str(save(tmp_path / f"{number}.jpg", size=(16, 16))))
    assert len(thumbnails._kept) == 2 * THUMBNAILS_MOST
