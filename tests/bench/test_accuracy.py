from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import count

import pytest

from app.bench.accuracy import AccuracyOptions, run_accuracy
from app.bench.references import CorpusInvalid
from app.bench.values import Speed, WordErrors
from app.core.types import Segment, TranscriptView, Turn, Word
from app.errors import EngineFailed
from app.session import Final, Progress

SECOND = 16_000


def view(*words: str) -> TranscriptView:
    """One speaker who says one word a second from 1 s on, in a recording of 10 s."""
    spoken = tuple(Word(text, at * SECOND, (at + 1) * SECOND, 1.0) for at, text in enumerate(words, start=1))
    end = (1 + len(words)) * SECOND
    segment = Segment("s1", 0, SECOND, end, spoken)
    return TranscriptView(10 * SECOND, "en", (segment,), (Turn(SECOND, end, 0),))


def corpus(folder):
    for group, session in (("ov00", "a"), ("ov30", "b"), ("ov30", "c")):
        (folder / group).mkdir(exist_ok=True)
        (folder / group / f"{session}.wav").write_bytes(b"")
        (folder / group / f"{session}.stm").write_text(f"{session} 1 A 1.0 4.0 alpha bravo charlie\n")
    return folder


class Fake:
    """Says the right words but for file c; diarizes before it decodes, as a session does with recordings."""

    def __init__(self, *stages: str) -> None:
        self.heard: list[str] = []
        self.stages = stages

    async def __call__(self, audio, on_update):
        self.heard.append(audio.stem)
        await asyncio.sleep(0)
        answer = view("Alpha", "bravo,", "golf" if audio.stem == "c" else "charlie")
        for stage in self.stages:
            on_update(Progress(stage, SECOND, None))
        on_update(Final(answer.segments[0]))
        return answer


def ran(options: AccuracyOptions, transcribe, **more):
    """Every look at the clock takes a second."""
    ticks = count()
    run = run_accuracy(
        options, transcribe, clock=lambda: float(next(ticks)), now=lambda: datetime(2026, 1, 2, tzinfo=UTC), **more
    )
    return asyncio.run(run)


def test_every_meeting_is_transcribed_once_and_scored(tmp_path):
    fake, seen = Fake("diarize", "diarize", "decode"), []
    options = AccuracyOptions(corpus(tmp_path), settings={"decoder": "fake"}, title="Test")
    report = ran(options, fake, on_item=lambda result, done, total: seen.append((result.session, done, total)))
    assert fake.heard == ["a", "b", "c"]
    assert seen == [("a", 1, 3), ("b", 2, 3), ("c", 3, 3)]
    assert [(group.name, group.scores.words.cp) for group in report.groups if group.scores.words] == [
        ("ov00", WordErrors(3)),
        ("ov30", WordErrors(6, substitutions=1)),
    ]
    assert report.settings == {"decoder": "fake", "tcpWER collar": "5 s"}
    assert report.title == "Test"
    assert report.date.year == 2026
    assert report.peak_rss_bytes > 0


def test_time_is_told_apart_by_stage(tmp_path):
    # Looks at the clock: begin, diarize, diarize, first decode, end.
    report = ran(AccuracyOptions(corpus(tmp_path)), Fake("diarize", "diarize", "decode", "decode"))
    assert report.items[0].speed == Speed(10.0, 4.0, diarize_s=2.0, decode_s=2.0)


@pytest.mark.parametrize("stages", [(), ("decode",), ("diarize", "decode", "diarize")])
def test_stages_that_run_together_are_not_told_apart(tmp_path, stages):
    speed = ran(AccuracyOptions(corpus(tmp_path)), Fake(*stages)).overall.speed
    assert (speed.diarize_s, speed.decode_s) == (None, None)
    assert speed.audio_s == 30.0
    assert speed.wall_s > 0


def test_groups_may_be_chosen(tmp_path):
    fake = Fake()
    ran(AccuracyOptions(corpus(tmp_path), groups=("ov00",)), fake)
    assert fake.heard == ["a"]
    with pytest.raises(CorpusInvalid, match="no group 'ov15'; it holds ov00, ov30"):
        ran(AccuracyOptions(tmp_path, groups=("ov15",)), fake)


def test_a_failure_ends_the_run_and_names_the_file(tmp_path):
    async def fail(audio, on_update):
        raise EngineFailed("no answer")

    with pytest.raises(EngineFailed) as caught:
        ran(AccuracyOptions(corpus(tmp_path)), fail)
    assert caught.value.__notes__ == [f"while transcribing {tmp_path / 'ov00' / 'a.wav'}"]
