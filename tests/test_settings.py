"""app/settings: defaults, environment, overrides, and what is refused."""

from __future__ import annotations

import os

import pytest

from app.settings import Group, Settings, SettingsInvalid, load_settings, setting_names


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


def _is_group(annotation) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Group)
