"""A voice that is not known yet and still speaks: what it says is decided later."""

from __future__ import annotations

import numpy as np

from app.core.speakers import SpeakerTracker, TrackerRules
from app.core.timeline import Timeline
from app.core.types import FrameGrid, Labelled, LocalDiarization, SpeakerCount, VoiceRun

GRID = FrameGrid(160, 80)
WINDOW, FRAMES = 160_000, 1_000
KNOWN, OTHER = np.eye(2, 8, dtype=np.float32)


def window(spans: list[tuple[int, int, int, np.ndarray]], end: int = WINDOW) -> LocalDiarization:
    """(local speaker, first frame, last frame, voice) as a window whose sound ends at `end`."""
    activity = np.zeros((FRAMES, 3), np.float32)
    runs = []
    for local, first, last, voice in spans:
        activity[first:last, local] = 1.0
        runs.append(VoiceRun(local, first * 160, last * 160, voice))
    return LocalDiarization(0, end, activity, tuple(runs))


def undecided(spans: list[tuple[int, int, int, np.ndarray]]) -> int | None:
    tracker = SpeakerTracker(GRID, SpeakerCount(), TrackerRules(min_run_samples=16_000))
    tracker.push(window([(0, 0, 400, KNOWN)]))
    tracker.push(window(spans))
    return tracker.undecided


def test_who_is_unknown_and_still_speaks_is_waited_for() -> None:
    assert undecided([(0, 0, 400, KNOWN), (1, 950, 1_000, OTHER)]) == 950 * 160


def test_nobody_is_waited_for_in_vain() -> None:
    assert undecided([(0, 0, 400, KNOWN), (1, 950, 1_000, KNOWN)]) is None  # sounds like somebody known
    assert undecided([(0, 0, 400, KNOWN), (1, 850, 1_000, OTHER)]) is None  # long enough to be somebody new
    assert undecided([(0, 0, 400, KNOWN), (1, 900, 950, OTHER)]) is None  # has stopped: no more of it will come


def overlapped(tracker: SpeakerTracker) -> Labelled:
    """Somebody begins, and goes on, while the first speaker still speaks: no clean speech tells who it is."""
    talk = window([(0, 0, 1_000, KNOWN)])
    talk.activity[850:, 1] = 1.0
    (found,) = tracker.push(talk)
    return found


def test_who_spoke_only_while_another_did_is_waited_for() -> None:
    tracker = SpeakerTracker(GRID, SpeakerCount(), TrackerRules(min_run_samples=16_000))
    tracker.push(window([(0, 0, 400, KNOWN), (1, 500, 900, OTHER)]))
    labelled = overlapped(tracker)
    assert tracker.undecided == 850 * 160
    assert labelled.unsure is not None
    assert not labelled.unsure[:850].any()
    assert labelled.unsure[850:].tolist() == [[False, True]] * 150  # the first speaker is known to speak there


def test_of_two_people_it_is_the_other_one() -> None:
    tracker = SpeakerTracker(GRID, SpeakerCount(exact=2), TrackerRules(min_run_samples=16_000))
    tracker.push(window([(0, 0, 400, KNOWN), (1, 500, 900, OTHER)]))
    overlapped(tracker)
    assert tracker.undecided is None


def test_a_guess_is_forgotten_where_it_is_heard_again() -> None:
    tracker = SpeakerTracker(GRID, SpeakerCount(), TrackerRules(min_run_samples=16_000, repeat=8.0))
    tracker.push(window([(0, 0, 400, KNOWN)]))
    (first,) = tracker.push(window([(1, 950, 1_000, OTHER)]))
    assert first.values[960, 0] == 1.0  # shown as the likeliest one's, until it is known
    covered = window([(0, 0, 400, KNOWN)])
    covered.activity[950:, :2] = 1.0
    tracker.push(covered)
    assert tracker.undecided == 950 * 160


def test_a_guess_counts_little_beside_a_window_that_knows() -> None:
    timeline = Timeline(GRID, 8_000, right_samples=16_000)
    guess, known = np.zeros((2, FRAMES, 2), np.float32)
    guess[:, 0], known[:, 1] = 1.0, 1.0
    for _ in range(3):
        timeline.push(Labelled(0, WINDOW, guess, np.ones((FRAMES, 2), np.bool_)), hold=0)
    assert timeline.tentative().values[500].tolist() == [1.0, 0.0]
    timeline.push(Labelled(0, WINDOW, known), hold=0)
    first, second = timeline.tentative().values[500].tolist()
    assert first < 0.1
    assert second > 0.9


def test_what_is_held_is_not_given_out() -> None:
    timeline = Timeline(GRID, 8_000, right_samples=16_000)
    values = np.ones((FRAMES, 1), np.float32)
    (held,) = timeline.push(Labelled(0, WINDOW, values), hold=100_000)
    assert held.end == 100_000
    (rest,) = timeline.cut()
    assert (rest.first, rest.end) == (held.first + len(held.values), WINDOW)
