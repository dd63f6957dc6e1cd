"""A turn that goes on -> the words of it that are final now, and where the rest begins.

Live, a monologue is made final piece by piece. Cut by the activity alone, words at the cut are lost or written twice.
So a turn that goes on is decoded with sound behind the place where it may be cut, and is cut between two words. The
next piece is decoded with the words before the cut once more; which of them are out already is told by text and time
together: word times alone move by some 0.2 s from one decoding to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.times import SAMPLE_RATE
from app.core.types import Word

_COMPARED = 4
"""Words before a cut that are looked for in the next decoding."""


@dataclass(frozen=True, slots=True)
class CommitRules:
    """Times in samples.

    open_samples: a turn that goes on is made final up to a word once so much of it is decided.
    together_samples: the same where somebody else speaks as well: what is said at once is told apart better with more
        sound.
    guard_samples: words that end closer than this to where it is decided stay open: more sound may change them.
    back_samples: how much in front of a cut is decoded again with what follows.
    drift_samples: how far the place of a cut may move from one decoding to the next.
    pause_samples, pause_within_samples: a pause of at least the first, no further back than the second, is a better
        place for a cut than the last word that can be final.
    """

    open_samples: int = 3 * SAMPLE_RATE // 2
    together_samples: int = 5 * SAMPLE_RATE
    guard_samples: int = 3 * SAMPLE_RATE // 10
    back_samples: int = 2 * SAMPLE_RATE
    drift_samples: int = 6 * SAMPLE_RATE // 10
    pause_samples: int = SAMPLE_RATE // 8
    pause_within_samples: int = 8 * SAMPLE_RATE // 10


def words_out(words: Sequence[Word], given: Sequence[Word], cut: int, rules: CommitRules) -> int:
    """How many of `words`, decoded anew, are out already: `given` are the last words before `cut`."""
    tail = [key(word) for word in given[-_COMPARED:]]
    row = list(range(len(tail) + 1))  # edits from the empty beginning of `words` to each beginning of the tail
    best, least = 0, _far(words, 0, cut, rules) + row[-1]
    for count, word in enumerate(words, start=1):
        text, before = key(word), row
        row = [0]  # what stands in front of the tail costs nothing
        for i, other in enumerate(tail):
            row.append(min(before[i] + (text != other), before[i + 1] + 1, row[i] + 1))
        cost = _far(words, count, cut, rules) + row[-1]
        if cost < least:
            best, least = count, cost
    return best


def words_final(words: Sequence[Word], until: int, rules: CommitRules) -> int:
    """How many words of a turn that goes on are final, where those that end by `until` can be."""
    most = sum(word.end <= until for word in words)
    for count in range(most, 0, -1):
        if words[count - 1].end < until - rules.pause_within_samples:
            break
        if count < len(words) and words[count].start - words[count - 1].end >= rules.pause_samples:
            return count
    return most


def cut_behind(words: Sequence[Word], count: int, until: int) -> int:
    """Where the rest of a turn begins whose first `count` words are final."""
    if count == len(words):
        return until
    return (words[count - 1].end + words[count].start) // 2 if count else words[0].start


def key(word: Word) -> str:
    """What is compared of a word."""
    return "".join(c for c in word.text.casefold() if c.isalnum())


def _far(words: Sequence[Word], count: int, cut: int, rules: CommitRules) -> float:
    """How unlikely a cut lies behind `count` words by its time alone, in edits."""
    if not words:
        return 0.0
    place = words[0].start if count == 0 else words[-1].end
    if 0 < count < len(words):
        place = (words[count - 1].end + words[count].start) // 2
    return 1.5 * abs(place - cut) / rules.drift_samples
