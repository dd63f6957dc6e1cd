"""A decoder's name -> the decoder with its weights. Registry, folder and device in, a ready `Decoder` out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from models.asr.draw import Drawing
from models.asr.features import SAMPLE_RATE_HZ
from models.asr.quantize import quantize_linears
from models.asr.whisper import AsrSettings, WhisperAsr
from models.decoders.base import Decoder
from models.decoders.cascade import CascadeDecoder
from models.decoders.public.decoder import PublicDecoder, PublicRules
from models.decoders.public.kinds import KINDS
from models.decoders.public.load import load_public
from models.decoders.sot import SotDecoder, SotRules
from models.decoders.target import TargetDecoder
from models.errors import BadCheckpoint, ModelError
from models.named import load_asr, load_causal_lm
from models.registry import Registry
from models.sot.checkpoint import load_checkpoint, read_config
from models.target import checkpoint as target_checkpoint
from models.target.whisper import TargetWhisper


class UnknownDecoder(ModelError):
    """There is no decoder of that name. One argument: the message."""

    code = "decoder_unknown"


ENCODER = "whisper-base"
"""The cascade's Whisper, by its name in the registry of weights."""


PUBLIC_BATCH_S = 120
"""Seconds of sound that a public decoder writes in one pass, or one window where that is longer."""


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """How a decoder runs.

    weights_dir: folder of the weights; quantize: 8-bit linear layers (CPU); max_batch: clips in one pass of Whisper.
    candidates: texts that the target-speaker decoder draws for what it is not sure of (`models.asr.draw`)
    checkpoint: folder of the SOT or target-speaker decoder's checkpoint; None = the one that comes with the code
    public_source: where a public decoder's weights are: a folder, or REPOSITORY@COMMIT
    public_window_s: seconds of sound that a public decoder hears at once
    """

    registry: Registry
    weights_dir: Path
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    quantize: bool = False
    max_batch: int = 16
    candidates: int = 0
    checkpoint: Path | None = None
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


def asr_settings(settings: DecoderSettings) -> AsrSettings:
    """How Whisper runs for a decoder."""
    return AsrSettings(settings.device, settings.dtype, settings.quantize, settings.max_batch)


def _load_cascade(settings: DecoderSettings) -> Decoder:
    return CascadeDecoder(load_asr(ENCODER, settings.registry, settings.weights_dir, asr_settings(settings)))


def load_sot(settings: DecoderSettings, rules: SotRules | None = None) -> SotDecoder:
    """The SOT decoder. Raises ModelError."""
    folder = settings.checkpoint or SOT_DIR
    config = read_config(folder)
    asr = load_asr(config.encoder, settings.registry, settings.weights_dir, asr_settings(settings))
    llm, tokenizer = load_causal_lm(
        config.llm, settings.registry, settings.weights_dir, settings.device, settings.dtype
    )
    model = load_checkpoint(folder, llm)
    if settings.quantize:
        quantize_linears(llm)
    return SotDecoder(asr, model, tokenizer, load_first_pass(config.first_pass, settings, asr), rules or SotRules())


def load_first_pass(name: str, settings: DecoderSettings, asr: WhisperAsr | None = None) -> Decoder:
    """What writes the text that the SOT decoder's LLM is given.

    Args:
        name: `cascade`, `target` (the checkpoint that comes with the code), or the folder of a target-speaker
            checkpoint, absolute or below the folder of the weights.
        asr: the cascade's Whisper, where it is loaded already.

    Raises ModelError.
    """
    if name == CascadeDecoder.name:
        return _load_cascade(settings) if asr is None else CascadeDecoder(asr)
    return _target_decoder(_target_folder(name, settings), settings, asr)


def load_target(settings: DecoderSettings) -> TargetDecoder:
    """The target-speaker decoder. Raises ModelError."""
    return _target_decoder(settings.checkpoint or TARGET_DIR, settings, None)


def _target_decoder(folder: Path, settings: DecoderSettings, asr: WhisperAsr | None) -> TargetDecoder:
    whisper = load_target_whisper(folder, settings)
    cascade = _load_cascade(settings) if asr is None else CascadeDecoder(asr)
    return TargetDecoder(whisper, target_checkpoint.read_config(folder).language, cascade)


def load_target_whisper(folder: Path, settings: DecoderSettings) -> TargetWhisper:
    """A target-speaker Whisper from its checkpoint. Raises ModelError."""
    config = target_checkpoint.read_config(folder)
    maps, adapters = target_checkpoint.read_weights(folder, config)
    how = dataclasses.replace(asr_settings(settings), int8=False, drawing=Drawing(settings.candidates))
    asr = load_asr(config.encoder, settings.registry, settings.weights_dir, how)
    if (asr.model.config.encoder_layers, asr.d_model) != (config.layers, config.width):
        raise BadCheckpoint(
            f"{folder} was trained with {config.encoder!r} of {config.layers} layers and width {config.width}; "
            f"this one has {asr.model.config.encoder_layers} and {asr.d_model}"
        )
    target_checkpoint.merge(asr.model, adapters, config.alpha / config.rank)
    if settings.quantize:
        quantize_linears(asr.model)
    return TargetWhisper(asr, maps.to(settings.device))


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

TARGET_DIR = Path(__file__).parents[1] / "target-base"
"""The checkpoint of the target-speaker decoder that comes with the code."""


def checkpoint_files(name: str, settings: DecoderSettings) -> list[Path]:
    """Files of the checkpoints of our own that a decoder reads, beside the registry's weights. Raises BadCheckpoint."""
    folders: list[Path] = []
    if name == TargetDecoder.name:
        folders = [settings.checkpoint or TARGET_DIR]
    elif name.startswith(SotDecoder.name):
        folders = [settings.checkpoint or SOT_DIR]
        first = read_config(folders[0]).first_pass
        if first != CascadeDecoder.name:
            folders.append(_target_folder(first, settings))
    return [path for folder in folders for path in sorted(folder.glob("*"))]


def _target_folder(name: str, settings: DecoderSettings) -> Path:
    return TARGET_DIR if name == TargetDecoder.name else settings.weights_dir / name


OWN_CHECKPOINT = frozenset({TargetDecoder.name, SotDecoder.name, "sot-deaf", "sot-blind"})
"""Decoders with a checkpoint of ours, which another may stand in for."""

EIGHT_BIT = frozenset({CascadeDecoder.name, TargetDecoder.name})
"""Decoders whose linear layers are 8-bit on a CPU unless asked otherwise: it costs them no accuracy."""

DECODERS: Mapping[str, Callable[[DecoderSettings], Decoder]] = {
    "cascade": _load_cascade,
    **{name: _load_public(name) for name in KINDS},
    "sot": load_sot,
    "sot-deaf": lambda settings: load_sot(settings, SotRules(sound=False)),
    "sot-blind": lambda settings: load_sot(settings, SotRules(text=False)),
    "target": load_target,
}
"""Every decoder by name. `moss` and `vibevoice` need weights of the user's own; `sot-deaf` (no sound) and `sot-blind`
(no first-pass text) are there to be measured."""
