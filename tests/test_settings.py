"""app/settings: defaults, environment, overrides, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.settings import Group, Settings, SettingsInvalid, load_settings, setting_names
from app.settings.load import load_all
from app.settings.page import page, shown


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith("CROSSTALK_"):
            monkeypatch.delenv(name)


def test_defaults_need_no_environment():
    settings = load_settings()
    assert settings.server.host == "127.0.0.1"
    assert settings == Settings()


def test_environment_reaches_nested_groups(monkeypatch):
    monkeypatch.setenv("CROSSTALK_SERVER__PORT", "9001")
    monkeypatch.setenv("CROSSTALK_DATA_DIR", "/somewhere")
    monkeypatch.setenv("CROSSTALK_LOG", '{"level": "debug"}')
    settings = load_settings()
    assert (settings.server.port, str(settings.data_dir), settings.log.level) == (9001, "/somewhere", "debug")


def test_override_beats_environment_and_none_is_not_given(monkeypatch):
    monkeypatch.setenv("CROSSTALK_ENGINE__DEVICE", "cuda")
    monkeypatch.setenv("CROSSTALK_ENGINE__NUM_THREADS", "3")
    engine = load_settings({"engine": {"device": "cpu", "num_threads": None}}).engine
    assert (engine.device, engine.num_threads) == ("cpu", 3)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CROSSTALK_SERVER__PROT", "1", "did you mean CROSSTALK_SERVER__PORT"),
        ("CROSSTALK_NONSENSE", "1", "unknown setting CROSSTALK_NONSENSE"),
        ("CROSSTALK_SERVER__PORT", "many", "CROSSTALK_SERVER__PORT"),
        ("CROSSTALK_SERVER__PORT", "-1", "CROSSTALK_SERVER__PORT"),
        ("CROSSTALK_LOG__FORMAT", "xml", "'text' or 'json'"),
        ("CROSSTALK_LIMITS__MAX_DURATION_S", "0", "greater than 0"),
        ("CROSSTALK_LOG", "{broken", "not JSON"),
        ("CROSSTALK_LOG", '{"colour": "red"}', "CROSSTALK_LOG__COLOUR"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=said) as caught:
        load_settings()
    assert caught.value.code == "settings_invalid"


def test_bad_override_names_the_setting():
    with pytest.raises(SettingsInvalid, match="CROSSTALK_ENGINE__NUM_THREADS"):
        load_settings({"engine": {"num_threads": -1}})


def test_unknown_keys_are_refused_in_code_too():
    with pytest.raises(ValueError, match="colour"):
        Settings(colour="red")


def test_every_setting_can_be_set_by_its_variable_and_is_described():
    names = list(setting_names())
    assert len(names) == len(set(names))
    assert "CROSSTALK_ENGINE__MAX_WAIT_MS" in names
    for model in (Settings, *(f.annotation for f in Settings.model_fields.values() if _is_group(f.annotation))):
        for name, field in model.model_fields.items():
            assert _is_group(field.annotation) or field.description, f"{model.__name__}.{name} has no docstring"


def given(monkeypatch, tmp_path, text: str) -> None:
    path = tmp_path / "crosstalk.toml"
    path.write_text(text)
    monkeypatch.setenv("CROSSTALK_CONFIG", str(path))


def test_the_environment_wins_over_the_file_and_an_option_over_both(monkeypatch, tmp_path):
    given(
        monkeypatch,
        tmp_path,
        """
        data_dir = "/from/file"
        [server]
        port = 1
        host = "::1"
        [access]
        origins = ["https://a.example"]
        [log]
        level = "error"
        format = "json"
        """,
    )
    monkeypatch.setenv("CROSSTALK_SERVER__PORT", "2")
    monkeypatch.setenv("CROSSTALK_LOG", '{"level": "debug"}')
    found = load_settings({"server": {"port": None}})
    assert (str(found.data_dir), found.server.port, found.server.host) == ("/from/file", 2, "::1")
    assert (found.access.origins, found.log.level, found.log.format) == (("https://a.example",), "debug", "json")
    assert load_settings({"server": {"port": 3}}).server.port == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nprot = 1", r"unknown setting server\.prot in .*toml; did you mean server\.port"),
        ("nonsense = 1", "unknown setting nonsense in"),
        ("[serve]\nport = 1", "unknown setting serve in .*did you mean server"),
        ("server = 1", r"server in .*it is a group"),
        ("[server.port]\nx = 1", r"server\.port in .*one setting"),
        ("[server]\nport = -1", r"server\.port in .*toml: .*greater than or equal to 0 \(is -1\)"),
        ("[server", "is not TOML"),
        ("debug = true", "set CROSSTALK_DEBUG"),
        ("[engine]\ntoken = ['secret']", r"engine\.token in [^(]*$"),
    ],
)
def test_a_file_is_refused_by_the_key_at_fault(monkeypatch, tmp_path, text, said):
    given(monkeypatch, tmp_path, text)
    with pytest.raises(SettingsInvalid, match=said):
        load_settings()


def test_a_value_of_the_environment_is_not_blamed_on_the_file(monkeypatch, tmp_path):
    given(monkeypatch, tmp_path, "[server]\nport = 1")
    monkeypatch.setenv("CROSSTALK_SERVER__PORT", "-2")
    with pytest.raises(SettingsInvalid, match=r"^CROSSTALK_SERVER__PORT"):
        load_settings()


def test_a_file_that_is_not_there_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSTALK_CONFIG", str(tmp_path / "nowhere.toml"))
    with pytest.raises(SettingsInvalid, match=r"nowhere\.toml cannot be read"):
        load_settings()


def test_the_page_is_up_to_date():
    kept = (Path(__file__).parents[1] / "docs/settings.md").read_text()
    assert kept == page(), "crosstalk settings page > docs/settings.md"


def test_what_is_set_is_shown_with_its_origin_and_without_secrets(monkeypatch, tmp_path):
    given(monkeypatch, tmp_path, '[store]\nurl = "postgresql://me:hidden@host/db"')
    monkeypatch.setenv("CROSSTALK_ENGINE__TOKEN", "hidden")
    text = shown(load_all())
    assert "hidden" not in text
    assert 'engine.token = "***"  # environment\n' in text
    assert f'store.url = "postgresql://***@host/db"  # file {tmp_path}/crosstalk.toml\n' in text
    assert "server.port = 8000  # default\n" in text


def _is_group(annotation) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Group)
