"""The conditioned encoder: Whisper's, with a small affine map per class of frame before each of its layers."""

from __future__ import annotations

import torch
from torch.nn import functional as nnf
from transformers import WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from models.pause import pause
from models.target.masks import BOTH, CLASSES, OTHERS, TARGET

_QUIET = 0.1
_SILENT_LOG_MEL = -1.5


class Conditioning(torch.nn.Module):
    """Scale and shift of the states by class of frame: FDDT of DiCoW, with diagonal maps.

    Map 0 works on what the convolutions give, map i on the input of layer i - 1. At the start only map 0 does anything:
    where the target does not speak it puts nine tenths of silence in place of the sound, so that an untrained model
    hears the turn cut out.
    """

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(layers + 1, CLASSES, width))
        self.shift = torch.nn.Parameter(torch.zeros(layers + 1, CLASSES, width))

    @torch.no_grad()
    def start_from(self, encoder: WhisperEncoder) -> None:
        """The untrained maps for an encoder: frames without the target are all but silence."""
        parameter = encoder.conv1.weight
        mel = torch.full((1, encoder.config.num_mel_bins, 200), _SILENT_LOG_MEL, dtype=parameter.dtype)
        silence = _listen(encoder, mel.to(parameter.device))[0, 50].float()
        for place in range(CLASSES):
            if place not in (TARGET, BOTH):
                self.scale[0, place] = _QUIET
                self.shift[0, place] = (1.0 - _QUIET) * silence

    def forward(self, hidden: torch.Tensor, masks: torch.Tensor, number: int) -> torch.Tensor:
        """(batch, frames, width) states before layer number - 1; masks: (batch, 4, frames)."""
        by_frame = masks.transpose(1, 2).to(hidden.dtype)
        scale = by_frame @ self.scale[number].to(hidden.dtype)
        return hidden * scale + by_frame @ self.shift[number].to(hidden.dtype)


def encode(encoder: WhisperEncoder, conditioning: Conditioning, mel: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """States of clips as one speaker's: Whisper's encoder with the maps between its layers.

    Args:
        mel: (batch, bands, 2 * frames) log-mel spectrograms.
        masks: (batch, 4, frames) as `masks.stno` makes them.

    Returns:
        (batch, frames, width).
    """
    hidden = conditioning(_listen(encoder, mel), masks, 0)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    for number, layer in enumerate(encoder.layers):
        pause()
        hidden = layer(conditioning(hidden, masks, number + 1), None)
    out: torch.Tensor = encoder.layer_norm(hidden)
    return out


def _listen(encoder: WhisperEncoder, mel: torch.Tensor) -> torch.Tensor:
    hidden = nnf.gelu(encoder.conv1(mel))
    return nnf.gelu(encoder.conv2(hidden)).transpose(1, 2)


def new_conditioning(model: WhisperForConditionalGeneration) -> Conditioning:
    """Untrained maps that fit a model."""
    maps = Conditioning(model.config.encoder_layers, model.config.d_model)
    maps.start_from(model.model.encoder)
    return maps


__all__ = ["BOTH", "OTHERS", "Conditioning", "encode", "new_conditioning"]
