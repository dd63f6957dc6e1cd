"""How a live session is set. Every decision about what becomes final depends on sound positions only, never on time."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.core.live_commit import CommitRules
from app.core.reviser import ReviserRules
from app.core.speakers import TrackerRules
from app.core.stitch import StitchRules
from app.core.times import SAMPLE_RATE
from app.core.turns import TurnRules


@dataclass(frozen=True, slots=True)
class LiveRules:
    """Times in samples at 16 kHz.

    step_samples: a diarization window every so much sound (rounded down to the frame grid).
    reach_samples: how far back from its end each window listens for voices.
    right_samples: a frame's speaker is decided once this much sound behind it was heard.
    undecided_samples: while somebody speaks whose voice is not known yet, what is said since then is decided by so much
        later at most.
    turns: `max_samples` is how long a turn may stay open in which no word can be made final (laughter, song); it is
        then cut at the deepest dip in its second half.
    commit: when a turn that goes on is made final up to a word.
    margin_samples: sound around a turn that is decoded with it.
    before_samples: sound before a turn that the decoder hears as well: with what was said before, it mistakes fewer
        words. shown_before_samples: the same for text that is only shown, which has to be quick.
    max_ahead_samples: sound that may wait; `push` returns only once less waits.
    ack_samples: sound between two snapshots.
    known_threshold, known_samples: cosine from which a voice is that of somebody enrolled, and how much speech it takes
        before that is decided; below the threshold nobody is named.
    max_kept: finals kept for the last view.
    max_marks, max_flushes: commands that may wait for their answers; a further mark is refused, a flush waits.
    max_in_flight: windows asked for at once when the sound comes faster than real time.
    """

    step_samples: int = SAMPLE_RATE // 2
    reach_samples: int = 4 * SAMPLE_RATE
    right_samples: int = 5 * SAMPLE_RATE // 4
    undecided_samples: int = 3 * SAMPLE_RATE
    edge_samples: int = SAMPLE_RATE // 2
    turns: TurnRules = field(default_factory=lambda: TurnRules(max_samples=10 * SAMPLE_RATE))
    commit: CommitRules = field(default_factory=CommitRules)
    tracker: TrackerRules = field(
        default_factory=lambda: TrackerRules(min_run_samples=20_000, repeat=8.0, memory_samples=20 * SAMPLE_RATE)
    )
    reviser: ReviserRules = field(default_factory=ReviserRules)
    stitch: StitchRules = field(default_factory=StitchRules)
    margin_samples: int = 8_000
    before_samples: int = 5 * SAMPLE_RATE
    shown_before_samples: int = 2 * SAMPLE_RATE
    max_ahead_samples: int = 30 * SAMPLE_RATE
    ack_samples: int = 5 * SAMPLE_RATE
    known_threshold: float = 0.5
    known_samples: int = 2 * SAMPLE_RATE
    max_kept: int = 500
    max_marks: int = 1_000
    max_flushes: int = 16
    max_in_flight: int = 4
