"""A decoder's name -> the decoder with its weights. Registry, folder and device in, a ready `Decoder` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from models.asr.features import SAMPLE_RATE_HZ
from models.asr.whisper import AsrSettings, WhisperAsr
from models.decoders.base import Decoder
from models.decoders.cascade import CascadeDecoder
from models.decoders.public.decoder import PublicDecoder, PublicRules
from models.decoders.public.kinds import KINDS
from models.decoders.public.load import load_public
from models.decoders.sot import SotDecoder
from models.errors import BadCheckpoint, ModelError
from models.llm.load import load_llm
from models.registry import Registry
from models.sot.checkpoint import CONFIG_FILE, load_checkpoint, read_config
from models.store import require


class UnknownDecoder(ModelError):
    """There is no decoder of that name. One argument: the message."""

    code = "decoder_unknown"


ENCODER = "whisper-base"
"""The Whisper of the registry of weights: it writes the cascade's words and hears for the SOT decoder."""


PUBLIC_BATCH_S = 120
"""Seconds of sound that a public decoder writes in one pass, or one window where that is longer."""


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """How a decoder runs.

    weights_dir: folder of the weights; quantize: 8-bit linear layers (CPU); max_batch: clips in one pass of Whisper.
    public_source: where a public decoder's weights are: a folder, or REPOSITORY@COMMIT
    public_window_s: seconds of sound that a public decoder hears at once
    """

    registry: Registry
    weights_dir: Path
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    quantize: bool = False
    max_batch: int = 16
    public_source: str = ""
    public_window_s: float = 30.0


class SettingUnsupported(ModelError):
    """The decoder does not have what a setting asks for. One argument: the message."""

    code = "setting_unsupported"


def load_decoder(name: str, settings: DecoderSettings) -> Decoder:
    """The decoder called `name`, ready to write.

    Raises:
        UnknownDecoder: no decoder has that name.
        ModelError: its weights are missing, damaged or of another model.
    """
    if name not in DECODERS:
        raise UnknownDecoder(f"there is no decoder {name!r}; known are {', '.join(sorted(DECODERS))}")
    return DECODERS[name](settings)


def load_asr(settings: DecoderSettings) -> WhisperAsr:
    """The Whisper of the registry. Raises ModelError."""
    return WhisperAsr.load(
        require(settings.registry, f"{ENCODER}-model", settings.weights_dir),
        require(settings.registry, f"{ENCODER}-config", settings.weights_dir),
        require(settings.registry, f"{ENCODER}-tokenizer", settings.weights_dir),
        AsrSettings(settings.device, settings.dtype, settings.quantize, settings.max_batch),
    )


def _load_cascade(settings: DecoderSettings) -> Decoder:
    return CascadeDecoder(load_asr(settings))


def _load_sot(settings: DecoderSettings) -> Decoder:
    config = read_config(SOT_DIR)
    if config.encoder != ENCODER:
        raise BadCheckpoint(f"{SOT_DIR} hears encoder {config.encoder!r}; the one that is loaded is {ENCODER!r}")
    asr = load_asr(settings)
    path = require(settings.registry, config.llm, settings.weights_dir)
    llm, tokenizer = load_llm(path, device=settings.device, dtype=settings.dtype)
    return SotDecoder(asr, load_checkpoint(SOT_DIR, llm), tokenizer)


def _load_public(name: str) -> Callable[[DecoderSettings], Decoder]:
    def load(settings: DecoderSettings) -> Decoder:
        if settings.quantize:
            raise SettingUnsupported(f"the {name} decoder has no 8-bit layers; leave quantize off")
        known = settings.registry.public_model(name)
        writer = load_public(KINDS[name], known, settings.public_source, settings.device, settings.dtype)
        # Two minutes of sound in one pass, in however many windows: what bounds the memory.
        batch = max(1, int(PUBLIC_BATCH_S // settings.public_window_s))
        return PublicDecoder(KINDS[name], writer, PublicRules(round(settings.public_window_s * SAMPLE_RATE_HZ), batch))

    return load


SOT_DIR = Path(__file__).parents[1] / "sot-base"
"""The checkpoint of the SOT decoder that comes with the code."""

DECODERS: Mapping[str, Callable[[DecoderSettings], Decoder]] = {
    "cascade": _load_cascade,
    **{name: _load_public(name) for name in KINDS},
    **({"sot": _load_sot} if (SOT_DIR / CONFIG_FILE).is_file() else {}),
}
"""Every decoder by name; `sot` where its checkpoint is there. `moss` and `vibevoice` need weights of the user's own."""
