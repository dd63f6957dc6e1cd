"""Small meetings with known answers, by hand and at random."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from app.bench.speech import Speech, SpokenTurn, Utterance, of_utterances

WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"]
DURATION_S = 30.0

TWO_SPEAKERS = of_utterances(
    [
        Utterance("A", 0.0, 4.0, "alpha bravo charlie delta"),
        Utterance("B", 3.0, 7.0, "echo foxtrot golf hotel"),
        Utterance("A", 10.0, 12.0, "delta charlie"),
    ]
)
"""From 3 to 4 s both speak: there lie A's "delta" (by characters, from 3.1 s) and most of B's "echo"."""


def renamed(speech: Speech, names: dict[str, str]) -> Speech:
    """The same meeting under other names."""
    utterances = speech.utterances
    return Speech(
        tuple(sorted(replace(turn, speaker=names[turn.speaker]) for turn in speech.turns)),
        None if utterances is None else tuple(replace(item, speaker=names[item.speaker]) for item in utterances),
    )


def utterances(max_speakers: int = 4) -> st.SearchStrategy[Utterance]:
    """One utterance anywhere in the meeting, of no words up to six."""
    return st.builds(
        lambda speaker, start, length, words: Utterance(speaker, start / 10, (start + length) / 10, " ".join(words)),
        st.integers(0, max_speakers - 1).map(lambda number: f"speaker{number}"),
        st.integers(0, 250),
        st.integers(1, 50),
        st.lists(st.sampled_from(WORDS), max_size=6),
    )


def meetings(max_utterances: int = 8, max_speakers: int = 4) -> st.SearchStrategy[Speech]:
    """Utterances of any speakers, overlapping in any way, also with themselves."""
    return st.lists(utterances(max_speakers), max_size=max_utterances).map(of_utterances)


def turns_only(*rows: tuple[str, float, float]) -> Speech:
    """Speech without words from (speaker, start, end)."""
    return Speech(tuple(sorted(SpokenTurn(start, end, speaker) for speaker, start, end in rows)))
