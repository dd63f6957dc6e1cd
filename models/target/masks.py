"""Who speaks when, as one speaker's encoder frames see it: silence, the target alone, others alone, both at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.asr.features import FRAME_SAMPLES

SILENCE, TARGET, OTHERS, BOTH = range(4)
"""Rows of a mask: the four classes of DiCoW (STNO), one of which holds at each frame."""

CLASSES = 4


def stno(
    target: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]], samples: int, frames: int
) -> NDArray[np.float32]:
    """The mask of one clip for one speaker.

    Args:
        target: [start, end) of the target speaker's turns, in samples of the clip.
        others: the same of everybody else's.
        samples: length of the clip; turns are cut to it.
        frames: encoder frames, those past the clip are silence.

    Returns:
        (4, frames) of 0 and 1; exactly one class per frame.
    """
    own, foreign = _busy(target, samples, frames), _busy(others, samples, frames)
    mask = np.empty((CLASSES, frames), dtype=np.float32)
    mask[SILENCE] = ~own & ~foreign
    mask[TARGET] = own & ~foreign
    mask[OTHERS] = ~own & foreign
    mask[BOTH] = own & foreign
    return mask


def _busy(turns: Sequence[tuple[int, int]], samples: int, frames: int) -> NDArray[np.bool_]:
    busy = np.zeros(frames, dtype=bool)
    for start, end in turns:
        low, high = max(0, start), min(end, samples)
        if low < high:
            busy[low // FRAME_SAMPLES : -(-high // FRAME_SAMPLES)] = True
    return busy
