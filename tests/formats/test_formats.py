from __future__ import annotations

import pytest
from hypothesis import given

from app.errors import OptionInvalid
from app.formats import FORMATS, render
from tests.formats.views import EMPTY, fuzz, meeting, transcripts


def test_names_are_the_promised_ones():
    assert set(FORMATS) == {"txt", "json", "srt", "vtt", "rttm", "ctm", "seglst", "verbose_json", "diarized_json"}
    assert all(name == it.name for name, it in FORMATS.items())


def test_extensions_tell_formats_apart():
    extensions = [it.extension for it in FORMATS.values()]
    assert len(set(extensions)) == len(extensions)
    assert all(extension.startswith(".") for extension in extensions)


def test_unknown_format_names_the_known_ones():
    with pytest.raises(OptionInvalid, match=r"'docx'.*txt, json, srt") as caught:
        render(meeting(), "docx")
    assert caught.value.param == "format"
    assert caught.value.code == "option_invalid"


@pytest.mark.parametrize("name", FORMATS)
def test_the_empty_meeting_renders(name):
    assert isinstance(render(EMPTY, name), str)


@fuzz
@given(transcripts())
def test_any_meeting_renders_and_can_be_written(view):
    for name in FORMATS:
        text = render(view, name)
        assert text == render(view, name)
        assert text.encode().decode() == text
