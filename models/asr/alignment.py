"""When each word was said: cross-attention of the decoder in, word times out. Follows the decoding of a clip.

The published method of openai/whisper (`timing.py`): some heads of the decoder look at the sound of the token that they
write. Their attention, normalised over the tokens, smoothed over time and averaged, is a map of tokens against frames;
the cheapest monotonic path through it (dynamic time warping) gives the frame at which each token begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.asr.features import FRAME_SAMPLES, SAMPLE_RATE_HZ

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
_SMOOTH_FRAMES = 7


def token_starts_s(attention: torch.Tensor) -> NDArray[np.float64]:
    """Start time of every token of a clip, and the end of the last one.

    Args:
        attention: (tokens + 1, heads, frames) attention probabilities of the alignment heads, over the frames of the
            clip alone. Row i is that of the step which wrote token i; the last row is of the step which wrote the end.

    Returns:
        (tokens + 1,) seconds from the begin of the clip, never decreasing.
    """
    probabilities = attention.float()
    probabilities = probabilities / probabilities.sum(dim=-1, keepdim=True).clamp(min=1e-10)
    deviation, mean = torch.std_mean(probabilities, dim=0, keepdim=True, correction=0)
    scores = median_filter((probabilities - mean) / deviation.clamp(min=1e-10), _SMOOTH_FRAMES).mean(dim=1)
    starts: NDArray[np.float64] = warp_starts(-scores.double().cpu().numpy()) * np.float64(FRAME_S)
    return starts


def median_filter(values: torch.Tensor, width: int) -> torch.Tensor:
    """Median over `width` (odd) neighbours in the last dimension, mirrored at the ends. Short inputs are left alone."""
    side = width // 2
    if values.shape[-1] <= side:
        return values
    padded = torch.nn.functional.pad(values, (side, side), mode="reflect")
    return padded.unfold(-1, width, 1).median(dim=-1).values


def warp_starts(cost: NDArray[Any]) -> NDArray[np.int64]:
    """Dynamic time warping of tokens onto frames: the first frame of each token on the cheapest monotonic path.

    A path goes from the first token and frame to the last ones by steps of one token, one frame, or both. Row by row,
    the cost to a cell is C[j] + min over k <= j of (before[k] - C[k-1]): `before[k]` is the best way to enter the row
    at frame k, C the row's running sum. The minimum is a running one, so a row takes a few array operations.

    Args:
        cost: (tokens, frames).

    Returns:
        (tokens,) frame numbers, never decreasing.
    """
    tokens, frames = cost.shape
    running = np.cumsum(cost, axis=1, dtype=np.float64)
    entering = np.full((tokens, frames), np.inf)  # before[k] - C[k-1] of every row; the first row is entered at 0
    entering[0, 0] = 0.0
    total = np.empty((tokens, frames))
    total[0] = running[0]
    for i in range(1, tokens):
        entering[i] = total[i - 1]
        entering[i, 1:] = np.minimum(total[i - 1, 1:], total[i - 1, :-1]) - running[i, :-1]
        total[i] = running[i] + np.minimum.accumulate(entering[i])
    starts = np.zeros(tokens, dtype=np.int64)
    end = frames - 1
    for i in range(tokens - 1, 0, -1):
        end -= int(np.argmin(entering[i, end::-1]))  # the latest of equals
        starts[i] = end
        if end > 0 and total[i - 1, end - 1] <= total[i - 1, end]:
            end -= 1
    return starts


def clip_frames(samples: int) -> int:
    """Encoder frames that a clip of so many samples fills, at least one."""
    return max(1, -(-samples // FRAME_SAMPLES))
