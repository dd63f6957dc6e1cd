"""models/asr/tokens.py: marks, languages and text of a tokenizer file; what goes with a checkpoint."""

from __future__ import annotations

import json

import pytest

from models.asr.tokens import Steering, WhisperTokens, load_steering
from models.errors import BadCheckpoint


def test_marks_and_languages(tokens):
    assert (tokens.end, tokens.start, tokens.transcribe) == (256, 257, 262)
    assert (tokens.previous, tokens.no_speech, tokens.no_timestamps) == (264, 265, 266)
    assert tokens.languages == {"en": 258, "de": 259, "zh": 260}


@pytest.mark.parametrize("text", ["Hello, world.", " naïve 你好 🎉", ""])
def test_text_round_trip(tokens, text):
    assert tokens.decode(tokens.encode(text)) == text


def test_marks_are_no_text(tokens):
    assert tokens.decode([257, *tokens.encode("one"), 267, 256]) == "one"


def test_the_older_name_of_silence(tokenizer_json, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer_json.read_text().replace("nospeech", "nocaptions"))
    assert WhisperTokens(path).no_speech == 265


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "is not a tokenizer"),
        ("{", "cannot be read"),
        ("[]", "holds no object"),
    ],
)
def test_refuses_what_is_no_tokenizer(tmp_path, text, said):
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(BadCheckpoint, match=said):
        WhisperTokens(path)


def test_refuses_a_tokenizer_without_the_marks(tokenizer_json, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer_json.read_text().replace("notimestamps", "something"))
    with pytest.raises(BadCheckpoint, match=r"lacks <\|notimestamps\|>"):
        WhisperTokens(path)


CT2 = {"suppress_ids": [1, 2], "suppress_ids_begin": [3], "alignment_heads": [[0, 1]], "lang_ids": [9]}
HF = {"suppress_tokens": [-1, 1, 2], "begin_suppress_tokens": [3], "alignment_heads": [[0, 1]], "max_length": 448}


@pytest.mark.parametrize("raw", [CT2, HF])
def test_steering_of_either_format(tmp_path, raw):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(raw))
    assert load_steering(path) == Steering((1, 2), (3,), ((0, 1),))


def test_steering_may_be_empty(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{}")
    assert load_steering(path) == Steering((), (), ())


@pytest.mark.parametrize("raw", [{"suppress_ids": ["a"]}, {"alignment_heads": [1]}, {"suppress_ids": 4}])
def test_refuses_malformed_steering(tmp_path, raw):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(BadCheckpoint):
        load_steering(path)
    with pytest.raises(BadCheckpoint, match="cannot be read"):
        load_steering(tmp_path / "none.json")
