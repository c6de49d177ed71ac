"""The bundle for a Raspberry Pi: it is built and looked into here, and run nowhere."""

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

REPOSITORY = Path(__file__).parents[2]
BOOKWORM_GLIBC_MINOR = 36


def tags_on_a_pi(python: tuple[int, int]) -> Iterator[Tag]:
    """Yield what pip on a 64-bit Raspberry Pi takes (PEP 425, PEP 600)."""
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(BOOKWORM_GLIBC_MINOR, 16, -1)]
    platforms += ["manylinux2014_aarch64", "linux_aarch64"]
    yield from cpython_tags(python, platforms=platforms)
    yield from compatible_tags(python, f"cp{python[0]}{python[1]}", platforms)


@pytest.mark.core
def test_it_has_a_wheel_that_a_pi_takes_for_everything_it_needs() -> None:
    built = subprocess.run(
        [REPOSITORY / "deploy/bundle.sh", "arm64"], check=True, capture_output=True, text=True
    ).stdout.split(":")[0]
    with tarfile.open(REPOSITORY / built) as bundle:
        (top,) = {name.split("/")[0] for name in bundle.getnames()}
        wheels = [Path(name).name for name in bundle.getnames() if name.endswith(".whl")]

        def text(name: str) -> str:
            member = bundle.extractfile(f"{top}/{name}")
            assert member is not None
            return member.read().decode()

        assert text("ARCH").strip() == "arm64"
        required = {python: text(f"requirements-{python}.txt").split() for python in ("3.11", "3.13")}
    known = [parse_wheel_filename(wheel) for wheel in wheels]
    for python, names in required.items():
        major, minor = map(int, python.split("."))
        taken = set(tags_on_a_pi((major, minor)))
        there = {f"{name}=={version}" for name, version, _, tags in known if tags & taken}
        assert {f"{canonicalize_name(name.split('==')[0])}=={name.split('==')[1]}" for name in names} <= there
        assert any(name.startswith("ghostroll==") for name in there)
        assert any(name.startswith("pip==") for name in there)
