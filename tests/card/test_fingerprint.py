import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostroll.base.errors import FileFailed
from ghostroll.base.media_kind import MediaKind
from ghostroll.card.fingerprint import SAMPLE_BYTES, SampleHash, open_media_file, sample_sha256_of
from ghostroll.card.media import CardFile
from ghostroll.card.volume import Volume

if TYPE_CHECKING:
    from tests.support.bench import CardBuilder

KIB = 1024
BLOCK = os.urandom(300 * KIB)
sizes = (
    st.sampled_from([0, 64 * KIB, 128 * KIB, 192 * KIB]).flatmap(
        lambda edge: st.integers(-3, 3).map(lambda off: max(0, edge + off))
    )
    | st.integers(0, 5)
    | st.integers(0, len(BLOCK))
)
cuts = st.lists(
    st.integers(1, 70 * KIB) | st.sampled_from([1, 64 * KIB, 128 * KIB, 1024 * KIB]), min_size=1, max_size=9
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return Volume(tmp_path_factory.mktemp("volume"), "card", None, "place:x")


@settings(max_examples=60)
@given(sizes, cuts)
def test_a_sample_is_the_same_however_the_file_was_cut(place: Volume, size: int, cut: list[int]) -> None:
    content = BLOCK[:size]
    (place.root / "a.jpg").write_bytes(content)
    sampler = SampleHash()
    at = turn = 0
    while at < size:
        step = cut[turn % len(cut)]
        sampler.update(content[at : at + step])
        at += step
        turn += 1
    expected = hashlib.sha256(b"%d:" % size + content[:SAMPLE_BYTES] + content[SAMPLE_BYTES:][-SAMPLE_BYTES:])
    assert sampler.hexdigest() == expected.hexdigest()
    assert sample_sha256_of(place, CardFile("a.jpg", MediaKind.STILL, size, 0)) == expected.hexdigest()


def test_a_change_in_head_tail_or_size_changes_the_sample(place: Volume) -> None:
    content = bytearray(BLOCK)

    def sample() -> str:
        (place.root / "b.jpg").write_bytes(content)
        return sample_sha256_of(place, CardFile("b.jpg", MediaKind.STILL, len(content), 0))

    seen = {sample()}
    for at in (0, SAMPLE_BYTES - 1, len(content) - SAMPLE_BYTES, len(content) - 1):
        content[at] ^= 1
        seen.add(sample())
    content.append(0)
    seen.add(sample())
    assert len(seen) == 6


def test_a_file_of_another_size_than_listed_fails(card: "CardBuilder") -> None:
    card.write("DCIM/a.jpg", b"12345")
    (file,) = card.scan().files
    for size in (4, 6, 0):
        with pytest.raises(FileFailed, match="size"):
            sample_sha256_of(card.volume(), replace(file, size_bytes=size))


def test_what_is_no_longer_a_regular_file_is_not_read(card: "CardBuilder", tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"12345")
    place = card.write("DCIM/a.jpg", b"12345")
    (file,) = card.scan().files
    place.unlink()
    place.symlink_to(secret)
    with pytest.raises(OSError, match="jpg"):
        sample_sha256_of(card.volume(), file)
    place.unlink()
    os.mkfifo(place)  # must not wait for a writer
    with pytest.raises(FileFailed, match="regular"):
        sample_sha256_of(card.volume(), file)
    place.unlink()
    place.mkdir()
    with pytest.raises((FileFailed, OSError)):
        sample_sha256_of(card.volume(), file)


def test_a_missing_file_is_an_error_of_the_card(card: "CardBuilder") -> None:
    card.write("DCIM/a.jpg", b"12345").unlink()
    with pytest.raises(FileNotFoundError):
        sample_sha256_of(card.volume(), CardFile("DCIM/a.jpg", MediaKind.STILL, 5, 0))


def test_the_file_is_closed_and_its_access_time_stays(card: "CardBuilder") -> None:
    place = card.write("DCIM/a.jpg", b"12345")
    os.utime(place, ns=(10**18, 2 * 10**18))
    (file,) = card.scan().files
    with open_media_file(card.volume(), file) as fd:
        assert os.read(fd, 10) == b"12345"
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)
    assert place.stat().st_atime_ns == 10**18
