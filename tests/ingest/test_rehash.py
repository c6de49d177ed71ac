"""Reading all anew: earlier copies are compared with the card, and what is gone or rotten is saved again."""

from typing import TYPE_CHECKING

from ghostroll.ingest.plan import make_plan

if TYPE_CHECKING:
    from tests.support.bench import Bench


def save_anew(bench: "Bench") -> None:
    volume = bench.card.volume()
    ingest = bench.ingest(volume)
    ingest.rehash = True
    try:
        ingest.read(make_plan(volume, bench.card.scan(), bench.catalog, rehash=True).to_read)
        ingest.finish()
    finally:
        ingest.close()


def verified(bench: "Bench") -> list[int]:
    return [row[0] for row in bench.catalog._rows("SELECT verified FROM ingested_files")]


def test_a_copy_that_nobody_verified_is_verified(bench: "Bench") -> None:
    bench.card.write("DCIM/100/A.JPG", b"picture")
    bench.save(verify=False)
    assert verified(bench) == [0]
    save_anew(bench)
    assert verified(bench) == [1]
    assert bench.saved() == {"DCIM/100/A.JPG": b"picture"}


def test_a_rotten_copy_is_saved_again(bench: "Bench") -> None:
    bench.card.write("DCIM/100/A.JPG", b"picture")
    bench.save()
    (bench.session.originals / "DCIM/100/A.JPG").write_bytes(b"pictuse")
    save_anew(bench)
    assert verified(bench) == [1]
    assert b"picture" in bench.saved().values()
    bench.assert_catalogued_means_safe()


def test_a_copy_that_is_gone_is_saved_again(bench: "Bench") -> None:
    bench.card.write("DCIM/100/A.JPG", b"picture")
    bench.save()
    (bench.session.originals / "DCIM/100/A.JPG").unlink()
    save_anew(bench)
    assert b"picture" in bench.saved().values()
    bench.assert_catalogued_means_safe()
