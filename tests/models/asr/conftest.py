"""A Whisper of a few thousand parameters with a vocabulary of bytes, and a writer of CTranslate2 files to save it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from models.asr.convert import WhisperConfig, WhisperForConditionalGeneration, load_whisper
from models.asr.tokens import Steering, WhisperTokens
from models.asr.whisper import AsrSettings, WhisperAsr

WIDTH, HEADS, LAYERS, FFN, MELS = 16, 2, 2, 32, 80
POSITIONS, TEXT_POSITIONS = 1500, 64
MARKS = (
    *("endoftext", "startoftranscript", "en", "de", "zh", "translate", "transcribe"),
    *("startoflm", "startofprev", "nospeech", "notimestamps", "0.00", "0.02"),
)
VOCABULARY = 256 + len(MARKS)
TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}

Variables = dict[str, np.ndarray]
WriteCt2 = Callable[..., Path]


def ct2_bytes(
    variables: Mapping[str, np.ndarray], aliases: Mapping[str, str], spec: str = "WhisperSpec", version: int = 6
) -> bytes:
    """A CTranslate2 file of these variables."""

    def text(value: str) -> bytes:
        raw = value.encode() + b"\0"
        return struct.pack("<H", len(raw)) + raw

    parts = [struct.pack("<I", version), text(spec), struct.pack("<II", 3, len(variables))]
    for name, array in variables.items():
        parts += [text(name), struct.pack("<B", array.ndim), struct.pack(f"<{array.ndim}I", *array.shape)]
        parts += [struct.pack("<BI", TYPES[array.dtype.name], array.nbytes), array.tobytes()]
    parts.append(struct.pack("<I", len(aliases)))
    parts += [text(alias) + text(target) for alias, target in aliases.items()]
    return b"".join(parts)


def whisper_variables(model: WhisperForConditionalGeneration, dtype: str = "float32") -> Variables:
    """The model under CTranslate2's names."""
    state = {name: tensor.numpy().astype(dtype) for name, tensor in model.state_dict().items()}
    out: Variables = {
        "decoder/activation": np.array(3, np.int8),
        "decoder/alibi": np.array(0, np.int8),
        "decoder/alignment_layer": np.array(-1, np.int16),
        "decoder/pre_norm": np.array(1, np.int8),
        "decoder/num_heads": np.array(HEADS, np.int16),
        "encoder/num_heads": np.array(HEADS, np.int16),
        "decoder/embeddings/weight": state["model.decoder.embed_tokens.weight"],
    }
    for conv in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            out[f"encoder/{conv}/{part}"] = state[f"model.encoder.{conv}.{part}"]

    def norm(theirs: str, ours: str) -> None:
        out[f"{theirs}/gamma"], out[f"{theirs}/beta"] = state[f"{ours}.weight"], state[f"{ours}.bias"]

    def linear(theirs: str, *ours: str) -> None:
        rows = len(state[f"{ours[0]}.weight"])
        biases = [state.get(f"{name}.bias", np.zeros(rows, dtype)) for name in ours]
        out[f"{theirs}/weight"] = np.concatenate([state[f"{name}.weight"] for name in ours])
        out[f"{theirs}/bias"] = np.concatenate(biases)

    for side in ("encoder", "decoder"):
        out[f"{side}/position_encodings/encodings"] = state[f"model.{side}.embed_positions.weight"]
        norm(f"{side}/layer_norm", f"model.{side}.layer_norm")
        for i in range(LAYERS):
            theirs, ours = f"{side}/layer_{i}", f"model.{side}.layers.{i}"
            norm(f"{theirs}/self_attention/layer_norm", f"{ours}.self_attn_layer_norm")
            own = [f"{ours}.self_attn.{part}_proj" for part in ("q", "k", "v")]
            linear(f"{theirs}/self_attention/linear_0", *own)
            linear(f"{theirs}/self_attention/linear_1", f"{ours}.self_attn.out_proj")
            norm(f"{theirs}/ffn/layer_norm", f"{ours}.final_layer_norm")
            linear(f"{theirs}/ffn/linear_0", f"{ours}.fc1")
            linear(f"{theirs}/ffn/linear_1", f"{ours}.fc2")
            if side == "decoder":
                norm(f"{theirs}/attention/layer_norm", f"{ours}.encoder_attn_layer_norm")
                linear(f"{theirs}/attention/linear_0", f"{ours}.encoder_attn.q_proj")
                linear(f"{theirs}/attention/linear_1", *[f"{ours}.encoder_attn.{part}_proj" for part in ("k", "v")])
                linear(f"{theirs}/attention/linear_2", f"{ours}.encoder_attn.out_proj")
    return out


@pytest.fixture(scope="session")
def tiny_config() -> WhisperConfig:
    return WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=MELS,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=FFN,
        decoder_ffn_dim=FFN,
        max_source_positions=POSITIONS,
        max_target_positions=TEXT_POSITIONS,
        pad_token_id=256,
        bos_token_id=256,
        eos_token_id=256,
        decoder_start_token_id=257,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


@pytest.fixture
def tiny_model(tiny_config: WhisperConfig) -> WhisperForConditionalGeneration:
    """Random weights, larger than usual so that what it writes depends on what it hears."""
    torch.manual_seed(7)
    model = WhisperForConditionalGeneration(tiny_config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "encoder.embed_positions" not in name:
                parameter.mul_(8.0)
    return model


@pytest.fixture
def variables(tiny_model: WhisperForConditionalGeneration) -> Variables:
    return whisper_variables(tiny_model)


@pytest.fixture
def write_ct2(tmp_path: Path) -> WriteCt2:
    """Write variables as `model.bin`; by default the output layer is the alias that Whisper has."""

    def write(variables: Mapping[str, np.ndarray], aliases: Mapping[str, str] | None = None, **options: object) -> Path:
        path = tmp_path / "model.bin"
        if aliases is None:
            aliases = {"decoder/projection/weight": "decoder/embeddings/weight"}
        path.write_bytes(ct2_bytes(variables, aliases, **options))  # type: ignore[arg-type]
        return path

    return write


@pytest.fixture(scope="session")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every byte is a token; the marks follow."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({character: i for i, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(f"<|{mark}|>", special=True) for mark in MARKS])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture
def tokens(tokenizer_json: Path) -> WhisperTokens:
    return WhisperTokens(tokenizer_json)


@pytest.fixture
def make_asr(variables: Variables, write_ct2: WriteCt2, tokens: WhisperTokens) -> Callable[..., WhisperAsr]:
    """A transcriber of the tiny model, by way of its file."""

    def make(**settings: object) -> WhisperAsr:
        model = load_whisper(write_ct2(variables))
        steering = Steering(suppress=(0,), suppress_first=(1, 256), alignment_heads=((0, 1), (1, 0)))
        return WhisperAsr(model, tokens, steering, AsrSettings(**settings))  # type: ignore[arg-type]

    return make
