"""Whisper's weights as transformers' model: a CTranslate2 file or a transformers directory in, a loaded model out.

CTranslate2 keeps the same numbers under other names, with the query, key and value matrices of an attention stacked
into one. They are cut apart here and loaded strictly: every tensor of the file is used once, every parameter of the
model is filled, and the switches in the file (activation, norm order ...) must be those of Whisper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from models.asr.ct2 import Array, Ct2Model, read_ct2
from models.errors import BadCheckpoint

_SPEC = "WhisperSpec"

# Switches of the format, with the only values that are Whisper's. Activation 3 is GELU; alignment here is a
# property of translation models, not of Whisper's word timing.
_SWITCHES: Mapping[str, int] = {
    "decoder/activation": 3,
    "decoder/alibi": 0,
    "decoder/alibi_use_positive_positions": 0,
    "decoder/alignment_heads": 1,
    "decoder/alignment_layer": -1,
    "decoder/pre_norm": 1,
    "decoder/scale_alibi": 0,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}
# Our name of a linear layer's parts under the layer's prefix, in the order in which the file stacks them.
_SELF_ATTENTION = {"linear_0": ("q_proj", "k_proj", "v_proj"), "linear_1": ("out_proj",)}
_CROSS_ATTENTION = {"linear_0": ("q_proj",), "linear_1": ("k_proj", "v_proj"), "linear_2": ("out_proj",)}


def load_whisper(
    model_bin: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> WhisperForConditionalGeneration:
    """Load a Whisper model of any size from CTranslate2's `model.bin`, in eval mode.

    Raises:
        BadCheckpoint: the file is not a whole Whisper model; the message names the tensors at fault.
        OSError: the file cannot be opened.
    """
    source = read_ct2(model_bin)
    if source.spec != _SPEC:
        raise BadCheckpoint(f"{model_bin} holds a {source.spec}, not a {_SPEC}")
    try:
        reader = _Reader(source)
        config = _config(reader)
        state = dict(_tensors(reader, config))
        reader.refuse_unused()
        return build_whisper(config, state, device=device, dtype=dtype)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{model_bin}: {error}") from None


def load_whisper_dir(
    directory: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> WhisperForConditionalGeneration:
    """Load any Whisper-family model from a directory in transformers' own format, in eval mode.

    Raises:
        BadCheckpoint: the directory is no Whisper model, or tensors are missing, left over or of another shape.
    """
    try:
        loaded: Any = WhisperForConditionalGeneration.from_pretrained(
            directory, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise BadCheckpoint(f"{directory} is not a Whisper model: {error}") from error
    model: WhisperForConditionalGeneration = loaded[0]
    report: Mapping[str, Any] = loaded[1]
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(key):
            raise BadCheckpoint(f"{directory}: {key.replace('_', ' ')}: {sorted(map(str, report[key]))[:5]}")
    if model.config.model_type != "whisper":
        raise BadCheckpoint(f"{directory} holds a {model.config.model_type}, not a whisper")
    model.to(device)  # type: ignore[arg-type]  # of a method that transformers wraps
    model.requires_grad_(False).train(False)
    return model


def build_whisper(
    config: WhisperConfig, state: Mapping[str, torch.Tensor], *, device: torch.device | str, dtype: torch.dtype
) -> WhisperForConditionalGeneration:
    """A model of `config` whose parameters are `state`, without random initialisation in between.

    Raises BadCheckpoint when names or shapes differ.
    """
    with torch.device("meta"):
        model = WhisperForConditionalGeneration(config)
    state = {name: tensor.to(device=device, dtype=dtype) for name, tensor in state.items()}
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise BadCheckpoint(f"the tensors do not fit the model: {error}") from error
    model.tie_weights()
    model.requires_grad_(False).train(False)
    return model


class _Reader:
    """Hands out the file's variables and keeps count of those taken."""

    def __init__(self, source: Ct2Model) -> None:
        self._variables = dict(source.variables)
        aliases = dict(source.aliases)
        if aliases.pop("decoder/projection/weight", None) != "decoder/embeddings/weight" or aliases:
            raise BadCheckpoint(f"the output layer must share the embeddings and nothing else, but: {source.aliases}")
        for name, value in _SWITCHES.items():
            if name in self._variables and (found := self.scalar(name)) != value:
                raise BadCheckpoint(f"{name} is {found}, Whisper has {value}")

    def array(self, name: str) -> Array:
        """Take a variable of any shape."""
        if name not in self._variables:
            raise BadCheckpoint(f"tensor {name} is missing, or was asked for twice")
        return self._variables.pop(name)

    def scalar(self, name: str) -> int:
        """Take a number."""
        value = self.array(name)
        if value.shape != ():
            raise BadCheckpoint(f"{name} must be a number, has shape {value.shape}")
        return int(value)

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """Look at the shape of a variable without taking it."""
        if name not in self._variables or self._variables[name].ndim != rank:
            raise BadCheckpoint(f"tensor {name} of {rank} dimensions is missing")
        return tuple(self._variables[name].shape)

    def layers(self, side: str) -> int:
        """Number of layers of the encoder or decoder."""
        numbers = {name.split("/")[1] for name in self._variables if name.startswith(f"{side}/layer_")}
        return len(numbers - {"layer_norm"})

    def refuse_unused(self) -> None:
        """Every variable must have been taken."""
        if self._variables:
            raise BadCheckpoint(f"tensors that Whisper does not have: {sorted(self._variables)[:5]}")


def _config(reader: _Reader) -> WhisperConfig:
    """Whisper's dimensions, all of which follow from the tensors."""
    vocab_size, d_model = reader.shape("decoder/embeddings/weight", 2)
    return WhisperConfig(
        vocab_size=vocab_size,
        num_mel_bins=reader.shape("encoder/conv1/weight", 3)[1],
        d_model=d_model,
        encoder_layers=reader.layers("encoder"),
        decoder_layers=reader.layers("decoder"),
        encoder_attention_heads=reader.scalar("encoder/num_heads"),
        decoder_attention_heads=reader.scalar("decoder/num_heads"),
        encoder_ffn_dim=reader.shape("encoder/layer_0/ffn/linear_0/bias", 1)[0],
        decoder_ffn_dim=reader.shape("decoder/layer_0/ffn/linear_0/bias", 1)[0],
        max_source_positions=reader.shape("encoder/position_encodings/encodings", 2)[0],
        max_target_positions=reader.shape("decoder/position_encodings/encodings", 2)[0],
        # Ids of tokens are the tokenizer's to say.
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )


def _tensors(reader: _Reader, config: WhisperConfig) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter of the model under transformers' name, but for the output layer, which is the embeddings."""
    for conv in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            yield f"model.encoder.{conv}.{part}", _tensor(reader.array(f"encoder/{conv}/{part}"))
    yield "model.decoder.embed_tokens.weight", _tensor(reader.array("decoder/embeddings/weight"))
    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        ours = f"model.{side}"
        yield f"{ours}.embed_positions.weight", _tensor(reader.array(f"{side}/position_encodings/encodings"))
        yield from _norm(reader, f"{side}/layer_norm", f"{ours}.layer_norm")
        for i in range(layers):
            yield from _layer(reader, f"{side}/layer_{i}", f"{ours}.layers.{i}", cross=side == "decoder")


def _layer(reader: _Reader, theirs: str, ours: str, *, cross: bool) -> Iterator[tuple[str, torch.Tensor]]:
    yield from _norm(reader, f"{theirs}/self_attention/layer_norm", f"{ours}.self_attn_layer_norm")
    for linear, parts in _SELF_ATTENTION.items():
        yield from _linear(reader, f"{theirs}/self_attention/{linear}", [f"{ours}.self_attn.{part}" for part in parts])
    if cross:
        yield from _norm(reader, f"{theirs}/attention/layer_norm", f"{ours}.encoder_attn_layer_norm")
        for linear, parts in _CROSS_ATTENTION.items():
            names = [f"{ours}.encoder_attn.{part}" for part in parts]
            yield from _linear(reader, f"{theirs}/attention/{linear}", names)
    yield from _norm(reader, f"{theirs}/ffn/layer_norm", f"{ours}.final_layer_norm")
    yield from _linear(reader, f"{theirs}/ffn/linear_0", [f"{ours}.fc1"])
    yield from _linear(reader, f"{theirs}/ffn/linear_1", [f"{ours}.fc2"])


def _norm(reader: _Reader, theirs: str, ours: str) -> Iterator[tuple[str, torch.Tensor]]:
    yield f"{ours}.weight", _tensor(reader.array(f"{theirs}/gamma"))
    yield f"{ours}.bias", _tensor(reader.array(f"{theirs}/beta"))


def _linear(reader: _Reader, theirs: str, ours: list[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """One matrix of the file, rows stacked, as the layers `ours`. Whisper's keys have no bias: the file's must be 0."""
    weight, bias = reader.array(f"{theirs}/weight"), reader.array(f"{theirs}/bias")
    if weight.shape[0] != bias.shape[0] or weight.shape[0] % len(ours):
        raise BadCheckpoint(f"{theirs} of shape {weight.shape} with bias {bias.shape} is not {len(ours)} layers")
    rows = weight.shape[0] // len(ours)
    for i, name in enumerate(ours):
        part = slice(i * rows, (i + 1) * rows)
        yield f"{name}.weight", _tensor(weight[part])
        if not name.endswith("k_proj"):
            yield f"{name}.bias", _tensor(bias[part])
        elif bias[part].any():
            raise BadCheckpoint(f"{theirs}/bias is not 0 for the keys, where Whisper has none")


def _tensor(array: Array) -> torch.Tensor:
    """A float32 copy: reading it is what brings the data in from disk. Quantized files have no floats to read."""
    if array.dtype.kind != "f":
        raise BadCheckpoint(f"a tensor of type {array.dtype} is quantized; a float16 or float32 file is needed")
    return torch.from_numpy(array.astype("float32"))
