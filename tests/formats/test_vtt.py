from __future__ import annotations

from dataclasses import replace
from html import unescape

import pysubs2
import webvtt
from hypothesis import given

from app.formats.cues import to_cues
from app.formats.vtt import render
from tests.formats.views import EMPTY, fuzz, meeting, segment, transcripts


def milliseconds(time: webvtt.models.Timestamp) -> int:
    return ((time.hours * 60 + time.minutes) * 60 + time.seconds) * 1000 + time.milliseconds


def test_a_meeting():
    assert render(meeting()) == (
        "WEBVTT\n"
        "\n00:00:00.420 --> 00:00:01.950\n<v Maya>Shall we start?</v>\n"
        "\n00:00:01.800 --> 00:00:04.310\n<v Speaker 2>Yes, two points.</v>\n"
    )
    assert render(EMPTY) == "WEBVTT\n"


def test_nothing_acts_as_markup():
    view = replace(EMPTY, segments=(segment(1, 0, ("</v>&lt;", 0, 1), ("-->", 1, 2)),), names={0: "A > B\n& <c>"})
    assert render(view).splitlines()[3] == "<v A &gt; B &amp; &lt;c&gt;>&lt;/v&gt;&amp;lt; --&gt;</v>"


@fuzz
@given(transcripts())
def test_webvtt_reads_what_was_meant(view):
    captions = webvtt.WebVTT.from_string(render(view), strict=True).captions
    read = [
        (milliseconds(it.start_time), milliseconds(it.end_time), unescape(it.voice), unescape(it.text))
        for it in captions
    ]
    assert read == [(cue.start_ms, cue.end_ms, cue.name, "\n".join(cue.lines)) for cue in to_cues(view)]


@fuzz
@given(transcripts())
def test_pysubs2_finds_the_same_cues(view):
    subtitles = pysubs2.SSAFile.from_string(render(view), format_="vtt")
    assert [(it.start, it.end) for it in subtitles] == [(cue.start_ms, cue.end_ms) for cue in to_cues(view)]
