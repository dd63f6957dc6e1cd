"""Decoders by name: an unknown one and missing weights are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.decoders.build import DECODERS, DecoderSettings, UnknownDecoder, load_decoder
from models.errors import WeightsMissing
from models.registry import load_registry


def test_an_unknown_decoder_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownDecoder, match=r"'oracle'; known are .*cascade"):
        load_decoder("oracle", DecoderSettings(load_registry(), tmp_path))


@pytest.mark.parametrize("name", sorted(set(DECODERS) - set(load_registry().public)))
def test_missing_weights_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="whisper"):
        load_decoder(name, DecoderSettings(load_registry(), tmp_path))


def test_every_public_model_of_the_registry_is_a_decoder() -> None:
    assert {"moss", "vibevoice"} == set(load_registry().public)
    assert set(load_registry().public) <= set(DECODERS)
