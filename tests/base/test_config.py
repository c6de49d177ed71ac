import dataclasses
import datetime as dt
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostroll.base import config
from ghostroll.base.config import SETTINGS, Overridden, Settings
from ghostroll.base.errors import ConfigurationError

NAMES = [setting.name for setting in SETTINGS]
CONFIGURATION_PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"

# Values that cannot be right: as text, from a flag or the environment, and as TOML.
BAD = [
    ("base_dir", "", '""'),
    ("base_dir", "a\x1bb", '"a\\u001bb"'),
    ("db_path", "  ", "1"),
    ("sd_label", "", "false"),
    ("always_create_session", "maybe", '"maybe"'),
    ("mount_roots", "/a,\x07", "[1]"),
    ("s3_bucket", "My_Bucket", '"My_Bucket"'),
    ("s3_bucket", "ab", "[]"),
    ("store_host", "", "0"),
    ("store_port", "0", "65536"),
    ("store_port", "port", "80.5"),
    ("s3_prefix_root", "a//b", '"a//b"'),
    ("s3_prefix_root", "../up", '"x/../up"'),
    ("s3_endpoint_url", "ftp://host", '"s3.example.com"'),
    ("s3_endpoint_url", "https://", '"https://user:secret@host"'),
    ("s3_endpoint_url", "https://host:99999", '"https://[::1"'),
    ("s3_region", "\u202e", "1"),
    ("presign_expiry_seconds", "604801", "604801"),
    ("presign_expiry_seconds", "0", "true"),
    ("presign_expiry_seconds", "-5", "-5"),
    ("status_path", "", "[]"),
    ("status_image_path", "", "{}"),
    ("process_workers", "many", "0"),
    ("upload_workers", "0", "65"),
    ("share_max_long_edge", "63", "20000"),
    ("share_quality", "96", "0"),
    ("thumb_max_long_edge", "x", "1e3"),
    ("thumb_quality", "", '""'),
    ("verify", "sometimes", "true"),
    ("panel", "", "7"),
    ("panel_size", "400", "[400, 300]"),
    ("panel_size", "00x00", '"00x300"'),
    ("button_gpio", "-1", "64"),
    ("led_gpio", "lamp", "64"),
    ("gpio_chip", "chip", "64"),
]

toml_values = st.recursive(
    st.none() | st.text() | st.integers() | st.floats() | st.booleans() | st.dates() | st.datetimes() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("configuration") / "empty.toml"
    file.touch()
    return str(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ghostroll.toml"


def test_every_setting_is_a_field_and_every_field_a_setting() -> None:
    assert sorted(NAMES) == sorted(field.name for field in dataclasses.fields(Settings))


def test_the_defaults_are_those_of_the_contract(empty_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    effective = config.load({}, {}, empty_file)
    assert effective.settings == Settings(
        base_dir=Path("/home/ann/ghostroll"),
        db_path=Path("/home/ann/.ghostroll/ghostroll.db"),
        sd_label="auto-import",
        always_create_session=False,
        mount_roots=(Path("/Volumes"), Path("/media"), Path("/run/media"), Path("/mnt")),
        s3_bucket=None,
        store_host="127.0.0.1",
        store_port=8333,
        s3_prefix_root="sessions/",
        s3_endpoint_url=None,
        s3_region=None,
        presign_expiry_seconds=604_800,
        status_path=Path("/home/ann/ghostroll/status.json"),
        status_image_path=Path("/home/ann/ghostroll/status.png"),
        process_workers=None,
        upload_workers=8,
        share_max_long_edge=2048,
        share_quality=90,
        thumb_max_long_edge=512,
        thumb_quality=85,
        verify="readback",
        panel="auto",
        panel_size=None,
        button_gpio=5,
        led_gpio=None,
        gpio_chip=None,
        short_links=True,
        short_link_host="auto",
        short_link_port=80,
    )
    assert set(effective.origins.values()) == {"default"}


def test_a_flag_wins_over_the_environment_and_that_over_the_file_and_that_over_the_default(file: Path) -> None:
    file.write_text("share_quality = 81\nthumb_quality = 71\nupload_workers = 2\n")
    environment = {"GHOSTROLL_SHARE_QUALITY": "82", "GHOSTROLL_THUMB_QUALITY": "72"}
    effective = config.load({"share_quality": "83"}, environment, str(file))
    settings, origins = effective.settings, effective.origins
    assert (settings.share_quality, origins["share_quality"]) == (83, "flag")
    assert (settings.thumb_quality, origins["thumb_quality"]) == (72, "environment")
    assert (settings.upload_workers, origins["upload_workers"]) == (2, f"file {file}")
    assert (settings.store_port, origins["store_port"]) == (8333, "default")


def test_what_the_file_says_in_vain_is_known(file: Path) -> None:
    file.write_text(
        'base_dir = "/mnt/ssd"\ndb_path = "/srv/../srv/a.db"\nshare_quality = 81\nthumb_quality = 71\n'
        'store_port = "no"\ns3_endpoint_url = "http://ann:secret@here"\n'
    )
    environment = {
        "GHOSTROLL_BASE_DIR": "/var/lib/ghostroll/sessions",
        "GHOSTROLL_DB_PATH": "/srv/a.db",  # the same place
        "GHOSTROLL_THUMB_QUALITY": "71",
        "GHOSTROLL_STORE_PORT": "9000",
        "GHOSTROLL_S3_ENDPOINT_URL": "",
    }
    assert config.load({"share_quality": "82"}, environment, str(file)).overridden == {
        "base_dir": Overridden("'/mnt/ssd'", str(file), "'/var/lib/ghostroll/sessions'"),
        "share_quality": Overridden("81", str(file), "'82'"),
        "store_port": Overridden("'no'", str(file), "'9000'"),
        "s3_endpoint_url": Overridden("'http://…@here'", str(file), "''"),
    }


def test_the_file_named_by_flag_wins_over_the_one_named_by_the_environment(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("store_port = 2")
    file.write_text("store_port = 1")
    assert config.load({}, {"GHOSTROLL_CONFIG": str(other)}, str(file)).settings.store_port == 1
    assert config.load({}, {"GHOSTROLL_CONFIG": str(other)}).settings.store_port == 2


def test_without_a_named_file_the_first_of_the_usual_ones_is_read(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.toml"
    monkeypatch.setattr(config, "CONFIG_FILES", (file, other))
    assert config.load({}, {}).settings.store_port == 8333
    other.write_text("store_port = 2")
    assert config.load({}, {}).settings.store_port == 2
    file.write_text("store_port = 1")
    assert config.load({}, {}).settings.store_port == 1


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_mount_roots_may_be_empty(empty_file: str, text: str) -> None:
    assert config.load({}, {"GHOSTROLL_MOUNT_ROOTS": text}, empty_file).settings.mount_roots == ()


def test_mount_roots_may_be_a_list_in_the_file(file: Path) -> None:
    file.write_text('mount_roots = ["/a", "/b c"]')
    assert config.load({}, {}, str(file)).settings.mount_roots == (Path("/a"), Path("/b c"))


def test_an_unknown_key_is_named_with_its_file_and_what_was_meant(file: Path) -> None:
    file.write_text('s3_buket = "x"')
    with pytest.raises(ConfigurationError) as caught:
        config.load({}, {}, str(file))
    assert all(part in str(caught.value) for part in ("s3_buket", str(file), "s3_bucket"))
    assert caught.value.exit_code == 78


def test_an_unknown_variable_is_named_with_what_was_meant(empty_file: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.load({}, {"GHOSTROLL_S3_BUKET": "x"}, empty_file)
    assert all(part in str(caught.value) for part in ("GHOSTROLL_S3_BUKET", "environment", "GHOSTROLL_S3_BUCKET"))


def test_variables_of_others_do_not_matter(empty_file: str) -> None:
    config.load({}, {"PATH": "/bin", "GHOST": "x", "ghostroll_s3_bucket": "x"}, empty_file)


@pytest.mark.parametrize(("name", "text", "_toml"), BAD)
def test_a_bad_value_is_an_error_that_names_the_key_and_where_it_came_from(
    empty_file: str, name: str, text: str, _toml: str
) -> None:
    variable = "GHOSTROLL_" + name.upper()
    for flags, environment, origin in (({name: text}, {}, "flag"), ({}, {variable: text}, "environment")):
        with pytest.raises(ConfigurationError) as caught:
            config.load(flags, environment, empty_file)
        assert name in str(caught.value)
        assert origin in str(caught.value)
        assert "must be" in str(caught.value)


@pytest.mark.parametrize(("name", "_text", "toml"), BAD)
def test_a_bad_value_in_the_file_is_an_error_that_names_key_and_file(
    file: Path, name: str, _text: str, toml: str
) -> None:
    file.write_text(f"{name} = {toml}")
    with pytest.raises(ConfigurationError) as caught:
        config.load({}, {}, str(file))
    assert name in str(caught.value)
    assert str(file) in str(caught.value)


def test_an_error_never_puts_control_characters_on_a_terminal(empty_file: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.load({"panel": "\x1b[2J\u202e"}, {}, empty_file)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "content",
    [
        b"store_port = ",
        b"\xff\xfe",
        b"store_port = 1\nstore_port = 2",
        b"[s3]\nbucket = 'x'",
        b"store_port = " + b"9" * 5000,
        b"store_port = " + b"[" * 5000,
        b"store_port = 2026-02-30",
    ],
)
def test_a_broken_file_is_an_error_that_names_it(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"ghostroll\.toml"):
        config.load({}, {}, str(file))


def test_a_named_file_that_is_missing_or_a_directory_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigurationError, match="Cannot read"):
            config.load({}, {}, str(path))


def test_a_named_file_in_the_home_of_nobody_is_an_error() -> None:
    with pytest.raises(ConfigurationError):
        config.load({}, {}, "~no-such-user-here/ghostroll.toml")


@pytest.mark.parametrize("name", ["base_dir", "db_path", "status_path", "status_image_path", "mount_roots"])
def test_a_path_in_the_home_of_nobody_is_an_error_that_names_the_key(empty_file: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        config.load({name: "~no-such-user-here/x"}, {}, empty_file)


def test_paths_that_are_no_files_are_refused_with_their_key(empty_file: str) -> None:
    with pytest.raises(ConfigurationError, match="status_path"):
        config.load({}, {"GHOSTROLL_STATUS_PATH": "/"}, empty_file)


def test_paths_are_absolute_and_links_in_them_are_kept(empty_file: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    settings = config.load({"base_dir": str(tmp_path / "link" / "." / "x" / "..")}, {}, empty_file).settings
    assert settings.base_dir == tmp_path / "link"
    relative = config.load({"base_dir": "here"}, {}, empty_file).settings.base_dir
    assert relative == Path(os.path.realpath(".")) / "here"


@pytest.mark.parametrize(
    ("given_prefix", "prefix"), [("", ""), ("/", ""), ("a", "a/"), ("/a/b/", "a/b/"), ("sessions/", "sessions/")]
)
def test_a_prefix_ends_with_one_slash_and_begins_with_none(empty_file: str, given_prefix: str, prefix: str) -> None:
    assert config.load({"s3_prefix_root": given_prefix}, {}, empty_file).settings.s3_prefix_root == prefix


@pytest.mark.parametrize("word", ["true", "YES", " on ", "1"])
def test_yes_can_be_said_in_several_words(empty_file: str, word: str) -> None:
    assert config.load({"always_create_session": word}, {}, empty_file).settings.always_create_session is True


def test_a_thumbnail_is_never_larger_than_the_share_image(empty_file: str) -> None:
    with pytest.raises(ConfigurationError, match="thumb_max_long_edge"):
        config.load({"thumb_max_long_edge": "2048", "share_max_long_edge": "1024"}, {}, empty_file)


def test_an_empty_bucket_means_the_embedded_store(empty_file: str) -> None:
    assert config.load({}, {"GHOSTROLL_S3_BUCKET": ""}, empty_file).settings.uses_embedded_store
    assert not config.load({}, {"GHOSTROLL_S3_BUCKET": "photos"}, empty_file).settings.uses_embedded_store


@given(st.dictionaries(st.sampled_from(NAMES), toml_values, max_size=4))
def test_any_value_gives_settings_or_a_configuration_error(empty_file: str, values: dict[str, Any]) -> None:
    given_values = {name: value for name, value in values.items() if value is not None}
    try:
        config.load(given_values, {}, empty_file)
    except ConfigurationError as error:
        shown = str(error)
    else:
        shown = ""
    assert not shown or shown.isprintable()


@given(
    st.dictionaries(st.sampled_from([s.variable for s in SETTINGS]), st.text(max_size=20) | st.just("~x/"), max_size=4)
)
def test_any_environment_gives_settings_or_a_configuration_error(empty_file: str, values: dict[str, str]) -> None:
    try:
        config.load({}, values, empty_file)
    except ConfigurationError as error:
        shown = str(error)
    else:
        shown = ""
    assert not shown or shown.isprintable()


@given(
    st.binary(max_size=60)
    | st.tuples(st.sampled_from(NAMES), st.text(max_size=30)).map(lambda pair: f"{pair[0]} = {pair[1]}".encode())
)
def test_any_file_gives_settings_or_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    try:
        config.load({}, {}, str(file))
    except ConfigurationError:
        pass
    else:
        assert set(tomllib.loads(content.decode())) <= set(NAMES)


def test_toml_dates_are_never_taken_for_numbers(empty_file: str) -> None:
    with pytest.raises(ConfigurationError):
        config.load({"store_port": dt.date(2026, 1, 1)}, {}, empty_file)


def test_the_configuration_page_tells_every_setting() -> None:
    page = CONFIGURATION_PAGE.read_text()
    assert [setting.variable for setting in SETTINGS if setting.variable not in page] == []
