"""`make release`, in a repository of its own and with bundles that take no time."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "release.sh"
CHANGELOG = """# Changelog

## Unreleased

### Added

- A button.

## 0.9.0 - 2026-01-02

- The first.
"""
BUNDLE = """#!/bin/sh
version=$(sed -n 's/__version__ = "\\(.*\\)"/\\1/p' ghostroll/__init__.py)
mkdir -p dist
echo "$1" >"dist/ghostroll-$version-$1.tar.gz"
"""


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.write("ghostroll/__init__.py", '"""GhostRoll."""\n\n__version__ = "0.9.0"\n')
        self.write("CHANGELOG.md", CHANGELOG)
        self.write(".gitignore", "/dist/\n")
        self.write("bundle.sh", BUNDLE).chmod(0o755)
        (root / "deploy").mkdir()
        shutil.copy(SCRIPT, root / "deploy")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()

    @property
    def environment(self) -> dict[str, str]:
        identity = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        nowhere = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        return {"PATH": os.environ["PATH"], "BUNDLE": "./bundle.sh", **identity, **nowhere}

    def write(self, name: str, text: str) -> Path:
        file = self.root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.root), *arguments]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Change something")

    def release(self, version: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.root / "deploy" / "release.sh"), version]
        return subprocess.run(command, env=self.environment, check=False, capture_output=True, text=True)

    def refuses(self, version: str, why: str) -> None:
        before = self.git("show-ref"), self.git("status", "--porcelain")
        refused = self.release(version)
        assert refused.returncode != 0
        assert why in refused.stderr
        assert (self.git("show-ref"), self.git("status", "--porcelain")) == before


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def test_a_release_is_a_commit_an_annotated_tag_and_two_bundles_with_checksums(repository: Repository) -> None:
    released = repository.release("0.10.0")
    assert released.returncode == 0, released.stderr
    assert '__version__ = "0.10.0"' in repository.read("ghostroll/__init__.py")
    assert repository.git("status", "--porcelain") == ""
    assert repository.git("cat-file", "-t", "v0.10.0").strip() == "tag"
    assert repository.git("rev-parse", "v0.10.0^{commit}") == repository.git("rev-parse", "HEAD")
    for arch in ("amd64", "arm64"):
        assert (repository.root / "dist" / f"ghostroll-0.10.0-{arch}.tar.gz").is_file()
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=repository.root / "dist", check=True, stdout=-1)
    assert checked.stdout.count(b": OK") == 2


def test_what_was_unreleased_stands_below_the_version(repository: Repository) -> None:
    repository.release("1.0.0")
    headings = [line for line in repository.read("CHANGELOG.md").splitlines() if line.startswith("## ")]
    assert headings[0] == "## Unreleased"
    assert headings[1].startswith("## 1.0.0 - 20")
    assert headings[2] == "## 0.9.0 - 2026-01-02"
    assert repository.read("CHANGELOG.md").index("## 1.0.0") < repository.read("CHANGELOG.md").index("- A button.")


def test_a_version_that_was_never_released_may_be(repository: Repository) -> None:
    repository.write("CHANGELOG.md", CHANGELOG.partition("## 0.9.0")[0])
    repository.commit()
    assert repository.release("0.9.0").returncode == 0


@pytest.mark.parametrize("version", ["0.9.0", "0.8.11", "0.0.1"])
def test_a_version_that_is_not_newer_is_refused(repository: Repository, version: str) -> None:
    repository.refuses(version, "is not newer than 0.9.0")


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0rc1", "1.0.0 ", "1.0.0/../x"])
def test_what_is_no_version_is_refused(repository: Repository, version: str) -> None:
    repository.refuses(version, "is no version")


def test_no_version_at_all_is_refused(repository: Repository) -> None:
    repository.refuses("", "usage: make release VERSION=x.y.z")


@pytest.mark.parametrize("name", ["CHANGELOG.md", "notes.txt"])
def test_a_tree_with_changes_is_refused(repository: Repository, name: str) -> None:
    repository.write(name, f"{CHANGELOG}\nMore.\n")
    repository.refuses("1.0.0", "the working tree has changes")


def test_a_tag_that_exists_is_refused(repository: Repository) -> None:
    repository.git("tag", "v1.0.0")
    repository.refuses("1.0.0", "the tag v1.0.0 exists already")


def test_an_empty_changelog_is_refused(repository: Repository) -> None:
    repository.write("CHANGELOG.md", CHANGELOG.replace("- A button.\n", ""))
    repository.commit()
    repository.refuses("1.0.0", "lists nothing under Unreleased")


def test_a_bundle_that_fails_leaves_no_release_behind(repository: Repository) -> None:
    repository.write("bundle.sh", "#!/bin/sh\n[ $1 = amd64 ]\n")
    repository.commit()
    repository.refuses("1.0.0", "nothing was released")
    assert '__version__ = "0.9.0"' in repository.read("ghostroll/__init__.py")
