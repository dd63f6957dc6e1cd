"""A language model, a Whisper and prepared windows of a few thousand numbers, all random, for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from models.asr.tokens import Steering, WhisperTokens
from models.asr.whisper import AsrSettings, WhisperAsr
from models.sot.config import LoraSettings, ProjectorSettings, SotConfig
from models.sot.llm import Llm
from models.training.recipe import ModelNames, PerturbSettings, Recipe, TrainSettings
from models.training.shards import PreparedTurn, PreparedWindow, write_description, write_shard

MODELS = ModelNames()
LLM_WIDTH, ENCODER_WIDTH = 32, 16
PROJECTOR = ProjectorSettings(hidden=24, scale=0.5)
LORA = LoraSettings(rank=4, alpha=8.0)
MARKS = (
    *("endoftext", "startoftranscript", "en", "de", "translate", "transcribe"),
    *("startoflm", "startofprev", "nospeech", "notimestamps"),
)


def byte_tokenizer(specials: tuple[str, ...]) -> Tokenizer:
    """Every byte is a token; the special ones follow."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({character: i for i, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in specials])
    return tokenizer


def tiny_llm(seed: int = 3, width: int = LLM_WIDTH) -> Llm:
    """A random LLaMA with 258 tokens, frozen."""
    specials = ("<|im_start|>", "<|im_end|>")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(specials), eos_token=specials[1], clean_up_tokenization_spaces=False
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=258,
        hidden_size=width,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=256,
        eos_token_id=257,
    )
    return Llm(LlamaForCausalLM(config).requires_grad_(False).eval(), tokenizer)


def tiny_config(**changes: object) -> SotConfig:
    """Sizes that fit `tiny_llm` and the prepared windows."""
    values: dict[str, object] = {
        "encoder": MODELS.encoder,
        "encoder_width": ENCODER_WIDTH,
        "llm": MODELS.llm,
        "llm_width": LLM_WIDTH,
        "vocab_size": 258,
        "end_token": 257,
        "projector": PROJECTOR,
        "lora": LORA,
    }
    return SotConfig(**(values | changes))  # type: ignore[arg-type]


def tiny_asr(folder: Path) -> WhisperAsr:
    """A random Whisper with a vocabulary of bytes."""
    path = folder / "tokenizer.json"
    byte_tokenizer(tuple(f"<|{mark}|>" for mark in MARKS)).save(str(path))
    torch.manual_seed(7)
    config = WhisperConfig(
        vocab_size=256 + len(MARKS),
        num_mel_bins=80,
        d_model=ENCODER_WIDTH,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=1500,
        max_target_positions=64,
        pad_token_id=256,
        bos_token_id=256,
        eos_token_id=256,
        decoder_start_token_id=257,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "encoder.embed_positions" not in name:
                parameter.mul_(8.0)
    steering = Steering(suppress=(0,), suppress_first=(1, 256), alignment_heads=((0, 1),))
    return WhisperAsr(model, WhisperTokens(path), steering, AsrSettings())


def tiny_recipe(**train: object) -> Recipe:
    """A run of a dozen steps."""
    values: dict[str, object] = {
        "steps": 12,
        "batch": 2,
        "lr": 3e-3,
        "lora_lr": 3e-3,
        "warmup": 2,
        "save_every": 4,
        "validate_every": 6,
    }
    settings = TrainSettings(**(values | train))  # type: ignore[arg-type]
    return Recipe("tiny", projector=PROJECTOR, lora=LORA, perturb=PerturbSettings(), train=settings)


def write_set(folder: Path, speakers: tuple[str, str] = ("ann", "bob"), count: int = 4) -> Path:
    """A prepared set of short windows with two turns each, of which the first pass has one wrong."""
    write_description(folder, {"encoder": MODELS.encoder})
    rng = np.random.default_rng(5)
    windows, states, sounds = [], [], []
    for number in range(count):
        turns = (
            PreparedTurn(0, 16_000, 0, f"yes {number}", f"Yes {number}.", 0.2),
            PreparedTurn(12_800, 32_000, 1, "no", "", 0.17),
        )
        name = f"{speakers[0]}-{number}"
        windows.append(PreparedWindow(name, "tiny", 32_000, speakers, turns, folder / "00000.safetensors"))
        states.append(torch.from_numpy(rng.standard_normal((100, ENCODER_WIDTH)).astype(np.float32)))
        sounds.append((0.1 * rng.standard_normal(32_000)).astype(np.float32))
    write_shard(folder, 0, windows, states, sounds)
    return folder
