"""A conditioned Whisper ready to write: clips with who speaks when in, what the target speaker of each says out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.asr.features import FRAME_SAMPLES
from models.asr.whisper import AsrResult, WhisperAsr
from models.target.masks import stno
from models.target.modeling import Conditioning, encode


@dataclass(frozen=True, slots=True)
class TargetClip:
    """samples: (samples,) float32 at 16 kHz, at most 30 s; target, others: [start, end) in samples of the clip."""

    samples: NDArray[np.float32]
    target: tuple[tuple[int, int], ...]
    others: tuple[tuple[int, int], ...]


class TargetWhisper:
    """Holds no state of any clip; use it from one thread at a time."""

    def __init__(self, asr: WhisperAsr, conditioning: Conditioning) -> None:
        """asr: the Whisper that the maps were trained with, its adapters merged into it."""
        self.asr = asr
        self._conditioning = conditioning

    def write(
        self, clips: Sequence[TargetClip], *, language: str | None, prompt: str | None = None, brief: bool = False
    ) -> list[AsrResult]:
        """What the target speaker says in each clip, in the order of the clips.

        Args:
            language, prompt, brief: as in `WhisperAsr.transcribe`.

        Raises:
            UnsupportedLanguage: the model does not know the language.
            ValueError: a clip is not (samples,) of finite numbers, or is longer than 30 s.
        """

        def listen(places: Sequence[int], padded_samples: int) -> torch.Tensor:
            return self.encode([clips[i] for i in places], padded_samples)

        sounds = [clip.samples for clip in clips]
        return self.asr.transcribe(sounds, language=language, prompt=prompt, brief=brief, encode=listen)

    @torch.inference_mode()
    def encode(self, clips: Sequence[TargetClip], padded_samples: int) -> torch.Tensor:
        """(batch, padded_samples / 320, d_model) states of clips padded with silence, each as its target's."""
        asr, frames = self.asr, padded_samples // FRAME_SAMPLES
        masks = np.stack([stno(clip.target, clip.others, len(clip.samples), frames) for clip in clips])
        mel = asr.mel([clip.samples for clip in clips], padded_samples).to(asr.settings.dtype)
        marks = torch.from_numpy(masks).to(device=mel.device, dtype=mel.dtype)
        return encode(asr.model.model.encoder, self._conditioning, mel, marks)
