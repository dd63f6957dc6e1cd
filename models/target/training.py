"""The target-speaker model while it learns: clips, masks and texts in, loss out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as nnf
from transformers import WhisperForConditionalGeneration

from models.target.modeling import Conditioning, encode

IGNORED = -100


@dataclass(frozen=True, slots=True)
class TargetBatch:
    """mel: (batch, bands, 2 * frames); masks: (batch, 4, frames); ids, labels: (batch, positions) int64, labels are
    what follows each id, or `IGNORED`."""

    mel: torch.Tensor
    masks: torch.Tensor
    ids: torch.Tensor
    labels: torch.Tensor


class TargetModel(nn.Module):
    """A Whisper with adapters, and the maps that condition it."""

    def __init__(self, whisper: WhisperForConditionalGeneration, maps: Conditioning) -> None:
        super().__init__()
        self.whisper = whisper
        self.maps = maps

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.maps.scale.device

    @property
    def precision(self) -> torch.dtype:
        """Of Whisper's own weights."""
        dtype: torch.dtype = self.whisper.model.encoder.conv1.weight.dtype
        return dtype

    def forward(self, batch: TargetBatch) -> torch.Tensor:
        """Sum of the cross-entropy over all labels; () float32."""
        model = self.whisper.model
        states = encode(model.encoder, self.maps, batch.mel.to(self.precision), batch.masks)
        read = model.decoder(input_ids=batch.ids, encoder_hidden_states=states, use_cache=False).last_hidden_state
        asked = batch.labels != IGNORED
        logits = self.whisper.proj_out(read[asked]).float()
        loss: torch.Tensor = nnf.cross_entropy(logits, batch.labels[asked], reduction="sum")
        return loss
