from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.training.simulate.clips import Clip
from models.training.simulate.errors import ClipUnreadable, SettingsInvalid
from models.training.simulate.sources import FreeSource, ScriptSource, cast_free, cast_script
from models.training.simulate.speech import Utterance

Make = Callable[..., Utterance]


def clip(speaker: str, number: int, meeting: str | None = None, seconds: float = 2.0) -> Clip:
    file = f"{meeting}-{speaker}-{number}"
    return Clip(file, Path(file), speaker, "text", seconds, meeting, number if meeting else None)


@pytest.fixture
def load(make_utterance: Make) -> Callable[[Clip], Utterance]:
    def build(wanted: Clip) -> Utterance:
        if "broken" in wanted.speaker:
            raise ClipUnreadable(wanted.file)
        made = make_utterance(wanted.duration_s)
        return Utterance(wanted, made.samples, made.lead, made.spans)

    return build


def test_speakers_are_drawn_and_load_no_more_than_needed(load: Callable[[Clip], Utterance]) -> None:
    people = {name: [clip(name, number) for number in range(50)] for name in "abcde"}
    cast = cast_free(people, 3, 20.0, load, np.random.default_rng(0))
    assert len(set(cast.names)) == 3
    assert isinstance(cast.source, FreeSource)
    assert [len(items) for items in cast.source.utterances] == [10, 10, 10]


def test_speakers_without_speech_are_passed_over(load: Callable[[Clip], Utterance]) -> None:
    people = {name: [clip(name, 0)] for name in ("a", "broken", "c")}
    assert set(cast_free(people, 2, 20.0, load, np.random.default_rng(0)).names) == {"a", "c"}
    with pytest.raises(SettingsInvalid, match="only 2"):
        cast_free(people, 3, 20.0, load, np.random.default_rng(0))
    with pytest.raises(SettingsInvalid, match="manifest has 3"):
        cast_free(people, 4, 20.0, load, np.random.default_rng(0))


def test_a_script_keeps_its_most_talkative_speakers(load: Callable[[Clip], Utterance]) -> None:
    lines = [
        clip(name, number, "m", seconds)
        for number, (name, seconds) in enumerate(zip("abcab", (5, 1, 4, 3, 1), strict=True))
    ]
    cast = cast_script([*lines, clip("z", 0)], 2, 5.0, load, np.random.default_rng(0))
    assert cast.names == ("a", "c")
    assert isinstance(cast.source, ScriptSource)
    assert [speaker for speaker, _ in cast.source.lines] == [0, 1, 0]
    with pytest.raises(SettingsInvalid, match="4 speakers"):
        cast_script(lines, 4, 5.0, load, np.random.default_rng(0))


def test_scripts_with_speech_enough_are_preferred(load: Callable[[Clip], Utterance]) -> None:
    short = [clip(name, number, "short") for number, name in enumerate("ab")]
    long = [clip(name, number, "long") for number, name in enumerate("abababab")]
    for seed in range(5):
        cast = cast_script([*short, *long], 2, 10.0, load, np.random.default_rng(seed))
        assert isinstance(cast.source, ScriptSource)
        assert len(cast.source.lines) == 8
    assert len(cast_script([*short, *long], 2, 99.0, load, np.random.default_rng(0)).source.lines) == 8


def test_short_utterances_can_be_preferred(make_utterance: Make) -> None:
    source = FreeSource([[make_utterance(seconds) for seconds in (3.0, 1.0, 2.0)]]).fresh(np.random.default_rng(0))
    short = source.find(0, 10**9, prefer_short=True)
    assert short is not None
    assert short.length == 16_000
    source.use(short)
    assert source.find(0, 16_000, prefer_short=False) is None
