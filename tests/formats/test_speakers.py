from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from app.formats.speakers import all_speakers, shown_name, speaker_tokens, to_token
from tests.formats.views import EMPTY, fuzz, meeting, transcripts


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("Speaker 1", "Speaker_1"),
        ('Maya: <CEO> "x"', "Maya_CEO_x"),
        ("NA", "speaker_NA"),
        ("N/A", "speaker_N_A"),
        ("null", "speaker_null"),
        ("नमस्ते", "नमस्ते"),
        ("王芳", "王芳"),
        ("J.-P.", "J.-P"),
        ("<>", ""),
    ],
)
def test_tokens(name, token):
    assert to_token(name) == token


def test_two_with_one_name_stay_two():
    view = replace(EMPTY, names={0: "Anna", 1: "Anna", 2: "Anna_2", 3: "-->"})
    assert speaker_tokens(view) == {0: "Anna", 1: "Anna_2", 2: "Anna_2_2", 3: "Speaker_4"}


def test_everyone_is_listed():
    assert all_speakers(replace(meeting(), names={4: "Late"})) == [0, 1, 4]


def test_a_name_with_nothing_to_show_falls_back():
    assert shown_name(replace(EMPTY, names={0: " \n"}), 0) == "Speaker 1"
    assert shown_name(replace(EMPTY, names={0: "A\nB"}), 0) == "A B"


@fuzz
@given(transcripts())
def test_tokens_are_distinct_single_words(view):
    tokens = speaker_tokens(view)
    assert len(set(tokens.values())) == len(tokens)
    assert all(token.split() == [token] for token in tokens.values())
