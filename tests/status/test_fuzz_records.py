"""Settings and status records of any content: taken as they are, refused by name, or passed over."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ghostroll.base import config
from ghostroll.base.config import SETTINGS, Settings
from ghostroll.base.errors import ConfigurationError
from ghostroll.status import model
from ghostroll.status.model import CardState, State, Status
from ghostroll.status.run_records import RunRecords
from ghostroll_display import frame
from ghostroll_display.models import png_model
from tests.support.damage import damaged, damages, examples, fresh_directory

NAMES = [setting.name for setting in SETTINGS]
DIGITS_THAT_PYTHON_REFUSES_TO_PRINT = "0x" + "f" * 4000

# --- settings

toml_strings = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ("auto", "~nobody-at-all/x", "~", "/", "http://u:p@h/", "http://[", "https://h:99999", "٣", "0x10", "400x300", ",,")
)
# Valid TOML of every type; strings as JSON writes them, whose escapes TOML shares.
toml_values = st.one_of(
    toml_strings.map(lambda text: json.dumps(text).replace("\x7f", "\\u007f")),
    st.integers().map(str),
    st.floats().map(lambda number: str(number).replace("e+", "e")),
    st.sampled_from(
        ("true", "false", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "[]", "{}", "[[1], 'a']", "{a = 1}")
    ),
    st.lists(toml_strings.map(json.dumps), max_size=3).map(lambda items: f"[{', '.join(items)}]"),
)
toml_lines = st.dictionaries(st.sampled_from(NAMES), toml_values, max_size=3).map(
    lambda found: "".join(f"{name} = {value}\n" for name, value in found.items())
)
variables = st.dictionaries(
    st.sampled_from([setting.variable for setting in SETTINGS]),
    st.binary(max_size=20).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"_"))) | toml_strings,
    max_size=3,
)


def assert_loads_or_names_the_key(content: bytes, environment: dict[str, str], keys: list[str]) -> None:
    """Settings, or an error that names the key (or the file that cannot be read), in one printable line."""
    with fresh_directory() as root:
        file = root / "ghostroll.toml"
        file.write_bytes(content)
        try:
            effective = config.load({}, environment, str(file))
        except ConfigurationError as error:
            told = str(error)
        else:
            assert isinstance(effective.settings, Settings)
            assert effective.settings.base_dir.is_absolute()
            return
    assert told.splitlines() == [told]
    assert any(key in told for key in [*keys, "max_long_edge"]) or re.search(
        r"ghostroll\.toml is not valid|Unknown", told
    )


@given(toml_lines, variables)
@example("s3_prefix_root = '/../'\n", {})
def test_any_value_of_any_setting_is_taken_or_refused_by_its_name(lines: str, environment: dict[str, str]) -> None:
    assert_loads_or_names_the_key(
        lines.encode(),
        environment,
        [line.partition(" ")[0] for line in lines.splitlines()]
        + [variable.removeprefix("GHOSTROLL_").lower() for variable in environment],
    )


@given(toml_lines, damages)
@examples(0.5)
def test_a_damaged_file_of_settings_is_taken_or_refused_by_its_name(lines: str, changes: list[Any]) -> None:
    assert_loads_or_names_the_key(damaged(lines.encode(), changes), {}, NAMES)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0="), max_size=12))
def test_a_variable_that_is_none_of_ours_is_named(name: str) -> None:
    variable = f"GHOSTROLL_{name.upper()}"
    if variable in {setting.variable for setting in SETTINGS} | {"GHOSTROLL_CONFIG"}:
        return
    with pytest.raises(ConfigurationError) as caught:
        config.load({}, {variable: "1"}, os.devnull)
    assert repr(variable) in str(caught.value)


@pytest.mark.parametrize("name", ["store_port", "sd_label", "mount_roots"])
def test_a_number_too_long_to_print_is_refused_by_its_name(name: str) -> None:
    assert_loads_or_names_the_key(f"{name} = {DIGITS_THAT_PYTHON_REFUSES_TO_PRINT}\n".encode(), {}, [name])


# --- status

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None, exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [*Status.__dataclass_fields__, "runs"]
cards = st.fixed_dictionaries({}, optional={"state": st.sampled_from(CardState) | json_values, "files": json_values})
records = st.builds(
    lambda known, others: others | known,
    st.fixed_dictionaries(
        {},
        optional={
            "state": st.sampled_from(State) | json_values,
            "updated_at": st.text(max_size=20) | json_values,
            "card": cards | json_values,
        },
    ),
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4),
)
contents = st.one_of(
    st.binary(max_size=60),
    json_values.map(lambda value: json.dumps(value).encode()),
    records.map(lambda record: json.dumps(record).encode()),
    st.tuples(records.map(lambda record: json.dumps(record).encode()), damages).map(lambda pair: damaged(*pair)),
)
NESTED = b"[" * 100_000


@contextmanager
def status_path(*found: bytes, merged: bytes | None = None) -> Iterator[Path]:
    """A status file, and records of runs beside it."""
    with fresh_directory() as root:
        directory = root / "status.d"
        if found:
            directory.mkdir()
        for number, content in enumerate(found):
            (directory / f"run-{number}.json").write_bytes(content)
        if merged is not None:
            (root / "status.json").write_bytes(merged)
        yield root / "status.json"


@given(st.lists(contents, min_size=1, max_size=3))
def test_any_records_of_runs_are_merged_or_passed_over(found: list[bytes]) -> None:
    with status_path(*found) as path:
        merged = RunRecords(path).current()
    assert merged["state"] in list(State)
    assert isinstance(merged["card"], dict)
    assert isinstance(merged["updated_at"], str)
    assert merged["runs"] == [] or len(merged["runs"]) > 1
    json.dumps(merged)


@given(contents)
def test_any_status_file_is_read_as_a_record(content: bytes) -> None:
    with status_path(merged=content) as path:
        record = model.read(path)
        assert RunRecords(path).current() == record or record != record  # noqa: PLR0124 - a NaN is not itself
    assert isinstance(record, dict)


def test_a_record_nested_without_end_is_passed_over() -> None:
    with status_path(NESTED) as path:
        assert RunRecords(path).current()["state"] == "idle"
    with status_path(merged=NESTED) as path:
        assert model.read(path)["state"] == "idle"


NOW = datetime(2026, 11, 24, tzinfo=UTC)
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


links = st.text("abcdefghij%&=/?", max_size=500).map("https://example.com/".__add__)
drawable = st.fixed_dictionaries(
    {
        "state": st.sampled_from([*State, "paused"]),
        "message": plain,
        "receipt": st.none() | plain,
        "card": st.fixed_dictionaries(
            {"state": st.sampled_from(CardState), "files": st.integers(0), "saved": st.integers(0)}
        ),
        "error": st.none() | st.fixed_dictionaries({"hint": plain}),
        "url": st.none() | links,
    }
)


@given(drawable, st.sampled_from(((16, 16), (212, 104), (800, 480))))
@examples(0.3)
def test_any_words_of_a_record_can_be_drawn(record: dict[str, Any], size: tuple[int, int]) -> None:
    assert frame.draw(record, png_model(size), now=NOW).size == size


@given(records)
@example({"card": [1]})
@example({"card": "none"})
@example({"error": "none"})
@example({"state": "done", "url": "https://example.com/" + "x" * 3000})
@examples(0.3)
def test_any_record_can_be_drawn(record: dict[str, Any]) -> None:
    assert frame.draw(record, png_model((212, 104)), now=NOW).size == (212, 104)
