"""A session's updates -> a job's progress: how far, how fast, how long still, and the segments not yet told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from app.core.times import SAMPLE_RATE
from app.core.types import Segment
from app.formats.times import seconds
from app.jobs.types import JobProgress
from app.session import Progress

_SPAN_S = 60.0
_LEAST_S = 2.0


class Tracker:
    """Follows one run of a job. With channels as speakers every channel is a part of the way. clock: seconds."""

    def __init__(self, total: int | None, parts: int, clock: Callable[[], float]) -> None:
        self._total = total
        self._parts = parts
        self._part = 0
        self._clock = clock
        self._at: dict[str, int] = {"diarize": 0, "decode": 0}
        self._seen: dict[str, deque[tuple[float, int]]] = {"diarize": deque(), "decode": deque()}
        self._stage = "diarize"
        self._untold: list[dict[str, Any]] = []

    def begin_part(self, part: int) -> None:
        """The next channel begins."""
        self._part = part
        for seen in self._seen.values():
            seen.clear()
        self._at = dict.fromkeys(self._at, 0)

    def passed(self, progress: Progress) -> None:
        """A stage got further."""
        if progress.total is not None:
            self._total = progress.total
        self._stage = progress.stage
        self._at[progress.stage] = progress.done
        if progress.stage == "decode":
            self._at["diarize"] = max(self._at["diarize"], progress.done if self._total is None else self._total)
        seen, now_s = self._seen[progress.stage], self._clock()
        seen.append((now_s, progress.done))
        while seen[0][0] < now_s - _SPAN_S:
            seen.popleft()

    def finished(self, segment: Segment) -> None:
        """A segment is final."""
        mark = f"ch{self._part + 1}-" if self._parts > 1 else ""
        self._untold.append(
            {
                "id": f"{mark}{segment.id}",
                "speaker": self._part if self._parts > 1 else segment.speaker,
                "start_s": seconds(segment.start),
                "end_s": seconds(segment.end),
                "text": segment.text,
            }
        )

    def progress(self) -> JobProgress:
        """As it stands now."""
        return JobProgress(
            stage=self._stage,
            diarized=self._whole(self._at["diarize"]),
            decoded=self._whole(self._at["decode"]),
            total=self._total,
            speed=self._speed(self._stage),
            left_s=self._left_s(),
        )

    def take_segments(self) -> list[dict[str, Any]]:
        """The segments since the last call."""
        segments, self._untold = self._untold, []
        return segments

    def put_back(self, segments: list[dict[str, Any]]) -> None:
        """They could not be told."""
        self._untold = segments + self._untold

    def _whole(self, done: int) -> int:
        """Samples of the whole job: the mean over its parts."""
        if self._parts == 1 or self._total is None:
            return done
        return (self._part * self._total + done) // self._parts

    def _speed(self, stage: str) -> float | None:
        """Seconds of sound a second, over the last minute."""
        seen = self._seen[stage]
        if len(seen) < 2 or seen[-1][0] - seen[0][0] < _LEAST_S:
            return None
        return (seen[-1][1] - seen[0][1]) / SAMPLE_RATE / (seen[-1][0] - seen[0][0])

    def _left_s(self) -> float | None:
        """Known once words are being written: finding speakers is quick, and tells little of what comes after."""
        speed = self._speed("decode")
        if self._total is None or not speed:
            return None
        rest = self._total - self._at["decode"] + (self._parts - 1 - self._part) * self._total
        return max(rest, 0) / SAMPLE_RATE / speed
