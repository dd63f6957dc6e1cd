"""app/options.py: what users ask for, checked once for all edges."""

from __future__ import annotations

import pytest

from app.core.types import SpeakerCount
from app.errors import OptionInvalid
from app.formats.languages import LANGUAGE_NAMES
from app.options import Asked, hotwords, language_code, session_options, speaker_count


@pytest.mark.parametrize("given", ["en", "EN", " en ", "en-US", "en_GB", "English"])
def test_ways_to_write_a_language(given):
    assert language_code(given) == "en"


def test_every_code_and_name_is_known():
    for code, name in LANGUAGE_NAMES.items():
        assert language_code(code) == code
        assert language_code(name) == code


@pytest.mark.parametrize("given", ["", "xx", "klingon", "e n"])
def test_unknown_language_names_the_valid_ones(given):
    with pytest.raises(OptionInvalid, match=r"known are af, am, .*, zh") as caught:
        language_code(given)
    assert caught.value.param == "language"


@pytest.mark.parametrize(
    ("counts", "param"),
    [
        ((0, None, None), "num_speakers"),
        ((None, 65, None), "min_speakers"),
        ((None, None, -1), "max_speakers"),
        ((2, 1, None), "num_speakers"),
        ((None, 4, 3), "min_speakers"),
    ],
)
def test_speaker_counts_that_contradict(counts, param):
    with pytest.raises(OptionInvalid) as caught:
        speaker_count(*counts)
    assert caught.value.param == param


def test_speaker_counts_pass_through():
    assert speaker_count(None, 2, 2) == SpeakerCount(None, 2, 2)
    assert speaker_count(3, None, None) == SpeakerCount(exact=3)


def test_hotwords_are_cleaned_and_limited():
    assert hotwords([" Ada  Lovelace ", "Ada\tLovelace\n", "", "Ada Lovelace", "Babbage"]) == (
        "Ada Lovelace",
        "Babbage",
    )
    with pytest.raises(OptionInvalid, match="4000"):
        hotwords(["x" * 4001])


@pytest.mark.parametrize("word", ["a\x00b", "\x1b[31mred", "\x7f", "\x85", "\x1f", "\ud800"])
def test_hotwords_with_control_characters_are_refused(word):
    with pytest.raises(OptionInvalid) as refused:
        hotwords(["Ada", word])
    assert (refused.value.param, refused.value.code) == ("hotwords", "option_invalid")


def test_all_together():
    options = session_options(Asked(language="de", max_speakers=4, hotwords=("Ada",)))
    assert (options.language, options.speakers.max, options.hotwords) == ("de", 4, ("Ada",))
    assert session_options(Asked()).language is None
