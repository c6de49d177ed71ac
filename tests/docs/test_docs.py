import argparse
import re
from pathlib import Path

import pytest

from ghostroll import cli
from ghostroll.base import errors

REPOSITORY = Path(__file__).parents[2]
PAGES = [path for pattern in ("*.md", "docs/*.md", "tests/data/*.md") for path in REPOSITORY.glob(pattern)]


def commands() -> dict[str, argparse.ArgumentParser]:
    (verbs,) = (action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(verbs.choices)


def test_every_command_is_in_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    for name in commands():
        assert f"`ghostroll {name}" in readme, name


def test_the_readme_names_no_command_that_is_not_there() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    named = set(re.findall(r"`?ghostroll ([a-z]+)", readme))
    assert named <= set(commands())


@pytest.mark.parametrize("name", commands())
def test_help_ends_with_every_exit_status(name: str) -> None:
    epilog = commands()[name].format_help().split("exit status:")[1]
    told = {int(code) for code in re.findall(r"^  (\d+) ", epilog, re.MULTILINE)}
    codes = {each.exit_code for each in vars(errors).values() if isinstance(each, type) and hasattr(each, "exit_code")}
    assert told == codes | {0}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_module_a_page_names_is_there(page: Path) -> None:
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)?\.py)`", page.read_text()):
        assert [
            file
            for top in ("ghostroll", "display", "tests")
            for file in (REPOSITORY / top).rglob(name.rpartition("/")[2])
        ], name


def test_every_make_target_the_pages_name_is_there() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`make ([a-z-]+)", page.read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), (page, target)
