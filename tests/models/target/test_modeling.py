"""The conditioned encoder: Whisper's own where the target alone speaks, silence for others, and everything learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.asr.whisper import WhisperAsr
from models.target.masks import BOTH, OTHERS, TARGET, stno
from models.target.modeling import new_conditioning
from models.target.whisper import TargetClip, TargetWhisper
from tests.models.sot.tiny import tiny_asr

RATE = 16_000
SOUND = np.random.default_rng(1).normal(0, 0.1, 2 * RATE).astype(np.float32)


@pytest.fixture(scope="module")
def asr(tmp_path_factory: pytest.TempPathFactory) -> WhisperAsr:
    return tiny_asr(tmp_path_factory.mktemp("asr"))


def states(asr: WhisperAsr, target: tuple[int, int], *others: tuple[int, int]) -> torch.Tensor:
    whisper = TargetWhisper(asr, new_conditioning(asr.model).requires_grad_(False))
    return whisper.encode([TargetClip(SOUND, (target,), others)], 2 * RATE)[0]


def test_untrained_it_hears_a_lone_target_as_whisper_does(asr: WhisperAsr) -> None:
    torch.testing.assert_close(states(asr, (0, 2 * RATE)), asr.encode([SOUND], 2 * RATE)[0])


def test_untrained_it_hears_overlap_as_whisper_does(asr: WhisperAsr) -> None:
    both = states(asr, (0, 2 * RATE), (0, 2 * RATE))
    torch.testing.assert_close(both, asr.encode([SOUND], 2 * RATE)[0])


def test_others_are_all_but_silent(asr: WhisperAsr) -> None:
    """What others say changes the states by a tenth or so of what it does to Whisper itself."""
    other = SOUND.copy()
    other[RATE:] = np.random.default_rng(2).normal(0, 0.1, RATE)
    maps = new_conditioning(asr.model).requires_grad_(False)
    whisper = TargetWhisper(asr, maps)
    conditioned = [
        whisper.encode([TargetClip(sound, ((0, RATE),), ((RATE, 2 * RATE),))], 2 * RATE)[0] for sound in (SOUND, other)
    ]
    plain = [asr.encode([sound], 2 * RATE)[0] for sound in (SOUND, other)]
    assert (conditioned[0] - conditioned[1]).norm() < 0.35 * (plain[0] - plain[1]).norm()


def test_every_map_learns(asr: WhisperAsr) -> None:
    maps = new_conditioning(asr.model)
    hidden = torch.randn(1, 4, asr.d_model)
    mask = torch.from_numpy(stno([(0, 640)], [(320, 960)], 1280, 4))[None]
    for number in range(2):
        maps(hidden, mask, number).square().sum().backward()
    assert maps.scale.grad is not None
    assert maps.shift.grad is not None
    assert (maps.scale.grad.abs().sum(dim=-1) > 0).all()
    assert (maps.shift.grad[:, [TARGET, BOTH, OTHERS]].abs().sum(dim=-1) > 0).all()


def test_a_clip_may_share_a_pass(asr: WhisperAsr) -> None:
    whisper = TargetWhisper(asr, new_conditioning(asr.model).requires_grad_(False))
    clips = [TargetClip(SOUND, ((0, RATE),), ((RATE, 2 * RATE),)), TargetClip(SOUND[:RATE], ((0, RATE),), ())]
    together = whisper.encode(clips, 3 * RATE)
    for row, clip in zip(together, clips, strict=True):
        torch.testing.assert_close(row, whisper.encode([clip], 3 * RATE)[0], atol=1e-4, rtol=1e-3)


def test_it_writes_for_each_clip(asr: WhisperAsr, tmp_path: Path) -> None:
    whisper = TargetWhisper(asr, new_conditioning(asr.model).requires_grad_(False))
    clips = [TargetClip(SOUND, ((0, RATE),), ()), TargetClip(SOUND, ((RATE, 2 * RATE),), ((0, RATE),))]
    results = whisper.write(clips, language="en")
    assert len(results) == 2
    assert results[0].logprobs != results[1].logprobs
