from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from models.training.simulate.clips import SAMPLE_RATE
from models.training.simulate.conversation import Limits, Placed, Plan, plan_with_overlap
from models.training.simulate.sources import FreeSource, ScriptSource
from models.training.simulate.speech import Utterance
from models.training.simulate.timing import Transition, load_table

Make = Callable[..., Utterance]
TABLE = load_table()


def free_source(make: Make, speakers: int, clips: int = 40, seed: int = 0) -> FreeSource:
    lengths = np.random.default_rng(seed).gamma(3.0, 0.9, size=(speakers, clips)) + 0.5
    return FreeSource(
        [[make(float(s), f"s{n}", f"s{n}-{i}") for i, s in enumerate(row)] for n, row in enumerate(lengths)]
    )


def plan(source: FreeSource | ScriptSource, target: float | None, seconds: float = 90.0, seed: int = 0) -> Plan:
    limits = Limits(round(seconds * SAMPLE_RATE))
    return plan_with_overlap(source, TABLE, limits, target, np.random.SeedSequence(seed))


def check_laws(placed: tuple[Placed, ...], duration: int, most: int) -> None:
    by_speaker: dict[int, list[Placed]] = {}
    for item in placed:
        assert item.start > 0
        assert item.end <= duration
        by_speaker.setdefault(item.speaker, []).append(item)
    for items in by_speaker.values():
        items.sort(key=lambda item: item.start)
        for before, after in pairwise(items):
            assert after.start >= before.end + 0.1 * SAMPLE_RATE, "nobody speaks over themselves"
    edges = sorted([(item.start, 1) for item in placed] + [(item.end, -1) for item in placed])
    assert max(np.cumsum([change for _, change in edges])) <= most


@pytest.mark.parametrize("target", [0.0, 0.15, 0.30, 0.45])
@pytest.mark.parametrize("speakers", [2, 3, 5])
def test_the_overlap_dial_is_met(make_utterance: Make, target: float, speakers: int) -> None:
    source = free_source(make_utterance, speakers)
    shares = []
    for seed in range(3):
        made = plan(source, target, seed=seed)
        check_laws(made.placed, 90 * SAMPLE_RATE, 2)
        assert made.speakers() == set(range(speakers))
        shares.append(made.overlap_share())
    assert np.mean(shares) == pytest.approx(target, abs=0.02)
    assert np.max(np.abs(np.array(shares) - target)) <= 0.04


def test_without_a_target_the_table_decides(make_utterance: Make) -> None:
    made = plan(free_source(make_utterance, 4), None, seconds=600)
    check_laws(made.placed, 600 * SAMPLE_RATE, 2)
    kinds = Counter(item.transition for item in made.placed)
    assert set(kinds) == {None, *Transition}
    assert 0.03 < made.overlap_share() < 0.3


def test_short_windows_hold_what_fits(make_utterance: Make) -> None:
    for seed in range(5):
        made = plan(free_source(make_utterance, 3, seed=seed), 0.3, seconds=12, seed=seed)
        check_laws(made.placed, 12 * SAMPLE_RATE, 2)
        assert len(made.speakers()) >= 2


def test_one_speaker_talks_alone(make_utterance: Make) -> None:
    made = plan(free_source(make_utterance, 1), 0.0, seconds=60)
    check_laws(made.placed, 60 * SAMPLE_RATE, 1)
    assert len(made.placed) > 5


def test_the_same_seed_gives_the_same_plan(make_utterance: Make) -> None:
    source = free_source(make_utterance, 3)
    first, second, other = (plan(source, 0.2, seed=seed) for seed in (4, 4, 5))
    assert first == second
    assert first != other


def test_no_clip_is_heard_twice_before_all_were(make_utterance: Make) -> None:
    source = free_source(make_utterance, 2, clips=5)
    made = plan(source, 0.1, seconds=120)
    for speaker in range(2):
        files = [item.utterance.clip.file for item in made.placed if item.speaker == speaker]
        assert len(files) > 5, "the meeting is long enough for repeats"
        assert len(set(files[:5])) == 5
        assert max(Counter(files).values()) - min(Counter(files).values()) <= 1


def test_pauses_stay_below_the_limit(make_utterance: Make) -> None:
    limits = Limits(300 * SAMPLE_RATE, max_silence_s=2.0)
    made = plan_with_overlap(free_source(make_utterance, 3), TABLE, limits, 0.0, np.random.SeedSequence(0))
    gaps = [after.start - before.end for before, after in pairwise(made.placed)]
    assert max(gaps) <= 2.0 * SAMPLE_RATE


def test_pauses_within_a_clip_are_not_speech(make_utterance: Make) -> None:
    item = Placed(0, make_utterance(3.0, pause=(1.0, 2.0)), SAMPLE_RATE)
    assert item.spans() == [(SAMPLE_RATE, 2 * SAMPLE_RATE), (3 * SAMPLE_RATE, 4 * SAMPLE_RATE)]


@pytest.mark.parametrize("target", [0.0, 0.3])
def test_a_script_keeps_each_speakers_order(make_utterance: Make, target: float) -> None:
    rng = np.random.default_rng(0)
    lines = [
        (int(speaker), make_utterance(float(rng.uniform(1, 4)), f"s{speaker}", f"{number:03d}"))
        for number, speaker in enumerate(rng.integers(0, 3, size=60))
    ]
    made = plan(ScriptSource(lines, 3), target)
    check_laws(made.placed, 90 * SAMPLE_RATE, 2)
    assert made.overlap_share() == pytest.approx(target, abs=0.03)
    for speaker in range(3):
        files = [item.utterance.clip.file for item in made.placed if item.speaker == speaker]
        assert files == sorted(files)
        assert files == [line.clip.file for who, line in lines if who == speaker][: len(files)]
    if target == 0:
        assert [item.utterance.clip.file for item in made.placed] == [
            line.clip.file for _, line in lines[: len(made.placed)]
        ]
