"""A LLaMA of a few thousand parameters, saved as GGUF by the format's own library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from models.llm.llama import LlamaConfig, LlamaForCausalLM

WIDTH, HEADS, KV_HEADS, LAYERS, FFN = 64, 4, 2, 2, 96
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("Ġ t", "h e", "Ġt he")

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def vocabulary() -> list[str]:
    """Special tokens, every byte as byte-level vocabularies write it, and what the merges make."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    return [*SPECIALS, *letters, *(merge.replace(" ", "") for merge in MERGES)]


@pytest.fixture
def tiny_llama() -> LlamaForCausalLM:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(vocabulary()),
        hidden_size=WIDTH,
        intermediate_size=FFN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        rms_norm_eps=2.0**-17,
        rope_parameters={"rope_type": "default", "rope_theta": 50_000.0},
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


def interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head from halves to rotary pairs, as GGUF keeps them."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def gguf_tensors(model: LlamaForCausalLM) -> dict[str, np.ndarray]:
    """The model under GGUF's names."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    out = {"token_embd.weight": state["model.embed_tokens.weight"], "output_norm.weight": state["model.norm.weight"]}
    for i in range(LAYERS):
        for ours, theirs in NAMES.items():
            array = state[f"model.layers.{i}.{ours}.weight"]
            if theirs in ("attn_q", "attn_k"):
                array = interleaved(array, HEADS if theirs == "attn_q" else KV_HEADS)
            out[f"blk.{i}.{theirs}.weight"] = array
    return out


@pytest.fixture
def tensors(tiny_llama: LlamaForCausalLM) -> dict[str, np.ndarray]:
    return gguf_tensors(tiny_llama)


@pytest.fixture
def write_gguf(tmp_path: Path) -> Callable[..., Path]:
    """Write tensors with the tiny model's metadata."""

    def write(tensors: dict[str, np.ndarray], arch: str = "llama", pre: str = "smollm", quantize: bool = False) -> Path:
        path = tmp_path / "tiny.gguf"
        writer = gguf.GGUFWriter(path, arch)
        writer.add_block_count(LAYERS)
        writer.add_context_length(128)
        writer.add_embedding_length(WIDTH)
        writer.add_feed_forward_length(FFN)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KV_HEADS)
        writer.add_rope_freq_base(50_000.0)
        writer.add_rope_dimension_count(WIDTH // HEADS)
        writer.add_layer_norm_rms_eps(2.0**-17)
        writer.add_vocab_size(len(vocabulary()))
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(vocabulary())
        writer.add_token_types([3] * len(SPECIALS) + [1] * (len(vocabulary()) - len(SPECIALS)))
        writer.add_token_merges(list(MERGES))
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_pad_token_id(2)
        writer.add_add_bos_token(False)
        writer.add_chat_template("{{ messages[0]['content'] }}")
        kind = gguf.GGMLQuantizationType.Q8_0
        for name, array in tensors.items():
            if quantize and array.ndim > 1:
                writer.add_tensor(name, gguf.quantize(array, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write
