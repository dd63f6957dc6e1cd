"""Random but plausible input for the core's blocks."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from app.core.types import Decoded, DecodedTurn, DecodeTurn, FrameGrid, LocalDiarization, Turn, VoiceRun, Word

GRID = FrameGrid(step=270, offset=495)
WINDOW_FRAMES = 40
WINDOW = WINDOW_FRAMES * GRID.step


def activity_tracks(max_frames: int = 400, max_speakers: int = 3) -> st.SearchStrategy[np.ndarray]:
    """(frames, speakers) float32 in [0, 1]: runs of speech, silence and doubt, as a diarization model gives them."""

    @st.composite
    def build(draw: st.DrawFn) -> np.ndarray:
        frames = draw(st.integers(1, max_frames))
        columns = []
        for _ in range(draw(st.integers(1, max_speakers))):
            runs = draw(st.lists(st.tuples(st.integers(1, 80), st.sampled_from([0.0, 0.45, 0.55, 1.0])), min_size=1))
            track = np.concatenate([np.full(length, value, dtype=np.float32) for length, value in runs])
            columns.append(np.resize(track, frames))
        return np.stack(columns, axis=1)

    return build()


def voices(rng: np.random.Generator, count: int, dim: int = 16) -> np.ndarray:
    """(count, dim) float32 unit vectors, far apart from each other."""
    basis, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    return np.asarray(basis[:count], dtype=np.float32)


def local_windows(
    truth: np.ndarray, rng: np.random.Generator, step_frames: int = 20, local_speakers: int = 3
) -> list[LocalDiarization]:
    """What a perfect model says of a meeting: `truth` (frames, speakers) bool, local speakers in random order.

    Every stretch in which somebody speaks alone is a run of the window in whose own part its middle lies; its voice is
    its speaker's own direction plus a little noise.
    """
    people = voices(rng, truth.shape[1])
    firsts = list(range(0, max(1, len(truth) - WINDOW_FRAMES + step_frames), step_frames))
    windows = []
    for first in firsts:
        part = truth[first : first + WINDOW_FRAMES]
        heard = [s for s in range(truth.shape[1]) if part[:, s].any()][:local_speakers]
        slots = rng.permutation(local_speakers)[: len(heard)].tolist()
        activity = np.zeros((WINDOW_FRAMES, local_speakers), dtype=np.float32)
        own_first = 0 if first == 0 else first + (WINDOW_FRAMES - step_frames) // 2
        own_last = len(truth) if first == firsts[-1] else first + (WINDOW_FRAMES + step_frames) // 2
        runs = []
        for slot, speaker in zip(slots, heard, strict=True):
            activity[: len(part), slot] = part[:, speaker]
            alone = part[:, speaker] & (part.sum(1) == 1)
            for a, b in np.flatnonzero(np.diff(np.pad(alone, 1).astype(np.int8))).reshape(-1, 2).tolist():
                if own_first <= first + (a + b) // 2 < own_last:
                    noisy = people[speaker] + rng.normal(scale=0.05, size=people.shape[1])
                    voice = (noisy / np.linalg.norm(noisy)).astype(np.float32)
                    start, end = (GRID.offset - GRID.step // 2 + (first + f) * GRID.step for f in (a, b))
                    runs.append(VoiceRun(slot, start, end, voice))
        end = min(first + WINDOW_FRAMES, len(truth)) * GRID.step
        windows.append(LocalDiarization(first * GRID.step, end, activity, tuple(sorted(runs, key=lambda r: r.start))))
    return windows


@st.composite
def meetings(draw: st.DrawFn, max_speakers: int = 4) -> np.ndarray:
    """(frames, speakers) bool: turns taken one after the other with pauses and overlaps, at most two at once."""
    speakers = draw(st.integers(1, max_speakers))
    turns = draw(
        st.lists(
            st.tuples(st.integers(0, speakers - 1), st.integers(10, 60), st.integers(-6, 10)), min_size=1, max_size=14
        )
    )
    end, spans = 0, []
    for speaker, length, gap in turns:
        start = max(0, end + gap)
        spans.append((start, start + length, speaker))
        end = max(end, start + length)
    truth = np.zeros((end, speakers), dtype=bool)
    for start, stop, speaker in spans:
        truth[start:stop, speaker] = True
    return truth


@st.composite
def turn_lists(draw: st.DrawFn, longest: int = 160_000) -> list[Turn]:
    """Turns in the order of their starts, overlapping at will, none longer than `longest`."""
    turns, start = [], 0
    for _ in range(draw(st.integers(0, 20))):
        start += draw(st.integers(0, 80_000))
        turns.append(Turn(start, start + draw(st.integers(1, longest)), draw(st.integers(0, 3))))
    return sorted(turns)


@st.composite
def decoded_lists(draw: st.DrawFn) -> list[Decoded]:
    """Answers of consecutive windows, each with a few turns whose words lie in and around them."""
    answers, start = [], 0
    for _ in range(draw(st.integers(0, 6))):
        turns = []
        for _ in range(draw(st.integers(0, 3))):
            start += draw(st.integers(0, 30_000))
            turn = DecodeTurn(start, start + draw(st.integers(1_000, 40_000)), draw(st.integers(0, 2)))
            turns.append(DecodedTurn(turn, tuple(draw(words_in(turn)))))
        answers.append(Decoded(tuple(turns)))
    return answers


@st.composite
def words_in(draw: st.DrawFn, turn: DecodeTurn) -> list[Word]:
    """Words in order of time, from a little before the turn to a little after it."""
    words, at = [], turn.start - 6_000
    while at < turn.end + 6_000 and len(words) < 8:
        at += draw(st.integers(1, 6_000))
        end = at + draw(st.integers(800, 8_000))
        words.append(Word(draw(st.sampled_from(["yes", "no", "well", "I", "see"])), max(0, at), max(0, end), 0.5))
        at = end
    return words
