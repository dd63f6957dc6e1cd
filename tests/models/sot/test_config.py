"""The configuration of a checkpoint is read back as written, and refused where it does not belong."""

from __future__ import annotations

import json

import pytest

from models.errors import BadCheckpoint
from models.sot.config import config_from_json
from tests.models.sot.tiny import tiny_config


def test_a_configuration_is_read_back() -> None:
    config = tiny_config()
    assert config_from_json(config.to_json(), "config") == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "colour"),
        ({"llm_width": "wide"}, "llm_width"),
        ({"format": 99}, "format"),
        ({"lora": {"rank": 4, "dropout": 0.1}}, "dropout"),
    ],
)
def test_what_does_not_belong_is_named(change: dict[str, object], message: str) -> None:
    values = json.loads(tiny_config().to_json()) | change
    with pytest.raises(BadCheckpoint, match=message):
        config_from_json(json.dumps(values), "config.json")


def test_a_missing_key_is_named() -> None:
    values = json.loads(tiny_config().to_json())
    del values["encoder"]
    with pytest.raises(BadCheckpoint, match="encoder"):
        config_from_json(json.dumps(values), "config.json")


def test_text_that_is_not_json() -> None:
    with pytest.raises(BadCheckpoint, match=r"config\.json is not JSON"):
        config_from_json("{", "config.json")
