"""A voice from a sample: with the fake engine, and with the real models on real speech."""

from __future__ import annotations

import asyncio
import wave

import numpy as np
import pytest

from app.audio import AudioLimits
from app.core.naming import recognised
from app.core.times import to_samples
from app.engine.build import EngineSettings, build_engine
from app.engine.settings import WorkerSettings
from app.enrolment import SampleRules, voice_of
from app.errors import AudioTooLong, AudioUnreadable, SampleSilent, SampleTooShort, SeveralVoices
from app.recordings import Workplace
from app.settings import JobsGroup
from tests.engine.fake_worker import Line, fake_engine, meeting
from tests.engine.test_worker_weights import SAMPLE, reference
from tests.transport.server import wav

ALONE = "alpha bravo charlie delta echo foxtrot golf hotel"


async def learnt(tmp_path, data, engine=None, rules=None):
    engine, path = engine or fake_engine(), tmp_path / "sample.wav"
    path.write_bytes(data)
    try:
        return await voice_of(Workplace(engine, AudioLimits(), tmp_path / "work"), path, rules)
    finally:
        await engine.aclose()


def learn(tmp_path, lines, duration_s=12.0, **more):
    return asyncio.run(learnt(tmp_path, wav(meeting(lines, duration_s)), **more))


def test_one_person_has_one_voice_whatever_is_said_and_when(tmp_path):
    first = learn(tmp_path, [Line(0.5, 2, ALONE), Line(6.0, 2, ALONE)])
    again = learn(tmp_path, [Line(1.0, 2, "hotel golf foxtrot echo delta charlie bravo alpha hotel golf")], 7.0)
    other = learn(tmp_path, [Line(0.5, 6, ALONE), Line(6.0, 6, ALONE)])
    assert first.voice.dtype == np.float32
    assert float(np.linalg.norm(first.voice)) == pytest.approx(1, abs=1e-5)
    assert recognised({0: again.voice}, [other.voice, first.voice], 0.5) == {0: 1}
    assert recognised({0: other.voice}, [first.voice], 0.5) == {}
    assert 5.5 < first.speech / 16_000 < 6.5
    assert (first.duration, again.duration) == (12 * 16_000, 7 * 16_000)


def test_what_gives_no_voice(tmp_path):
    with pytest.raises(SampleSilent):
        learn(tmp_path, [])
    with pytest.raises(SampleTooShort, match=r"1\.\d s of one person's speech; at least 3 s"):
        learn(tmp_path, [Line(0.5, 2, "alpha bravo charlie delta")])
    with pytest.raises(SeveralVoices, match="2 people"):
        learn(tmp_path, [Line(0.5, 2, ALONE), Line(6.0, 5, ALONE)])
    with pytest.raises(AudioTooLong, match="at most 5 s"):
        learn(tmp_path, [Line(0.5, 2, ALONE)], rules=SampleRules(max_duration_s=5.0))
    with pytest.raises(AudioUnreadable):
        asyncio.run(learnt(tmp_path, b"no sound" * 100))


def test_a_word_from_the_back_does_no_harm(tmp_path):
    alone = [Line(0.5, 2, ALONE), Line(4.0, 2, ALONE), Line(8.0, 2, ALONE)]
    clean = learn(tmp_path, alone)
    noisy = learn(tmp_path, [*alone, Line(11.3, 5, "golf")])
    assert float(clean.voice @ noisy.voice) > 0.999


def spoken(speaker):
    """All that one person of the sample says while nobody else does, as a WAV."""
    with wave.open(str(SAMPLE)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32_768
    owner = np.zeros(len(sound), np.int64)
    for start_s, end_s, name in reference():
        owner[to_samples(start_s) : to_samples(end_s)] += 1 if name == speaker else 100
    return wav(sound[owner == 1])


@pytest.mark.weights
def test_real_voices_are_told_apart_and_two_are_refused(tmp_path):
    people = sorted({name for *_, name in reference()})

    async def all_of_it():
        engine = await build_engine(EngineSettings(worker=WorkerSettings(device="cpu")))
        place, path = Workplace(engine, AudioLimits(), tmp_path / "work"), tmp_path / "one.wav"
        try:
            voices = []
            for name in people:
                path.write_bytes(spoken(name))
                voices.append(await voice_of(place, path))
            with pytest.raises(SeveralVoices):
                await voice_of(place, SAMPLE)
            return voices
        finally:
            await engine.aclose()

    one, two = asyncio.run(all_of_it())
    assert min(one.speech, two.speech) > 5 * 16_000
    assert recognised({0: one.voice}, [two.voice], JobsGroup().speaker_likeness) == {}
