"""A LLaMA-family GGUF as a transformers model and tokenizer: the same weights and tokens as transformers reads.

transformers' own reader takes a minute for what takes seconds here; `models.llm.load` falls back on it for every other
family. GGUF keeps the rows of the query and key matrices in the order of rotary pairs; they are put back in
transformers' order, halves of a head one after the other. Loading is strict: every tensor is used once and every
parameter filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from models.errors import BadCheckpoint
from models.llm.gguf_file import GgufFile

_LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_CONTROL_TOKEN = 3
# What the split of a text into words before byte-pair encoding is called, and whether digits stand alone in it.
_SPLITS: Mapping[str, bool] = {"smollm": True, "gpt-2": False}


def is_readable(file: GgufFile) -> bool:
    """Whether this module knows all that the file asks for: plain LLaMA, byte-pair vocabulary, no scaled positions."""
    meta = file.metadata
    return (
        meta.get("general.architecture") == "llama"
        and meta.get("tokenizer.ggml.model") == "gpt2"
        and meta.get("tokenizer.ggml.pre") in _SPLITS
        and not meta.get("tokenizer.ggml.add_bos_token", False)
        and not any(key.startswith("llama.rope.scaling") or key.startswith("llama.expert") for key in meta)
        and not any(name.endswith(".bias") or name == "rope_freqs.weight" for name in file.tensors)
    )


def build_model(file: GgufFile, *, device: torch.device | str, dtype: torch.dtype) -> LlamaForCausalLM:
    """The model, in eval mode. Raises BadCheckpoint naming the key or tensor at fault."""
    config = _config(file)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    state = {name: torch.from_numpy(array).to(device=device, dtype=dtype) for name, array in _tensors(file, config)}
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise BadCheckpoint(f"the tensors do not fit the model: {error}") from error
    model.tie_weights()
    # Made on "meta" with the rest, but computed from the config rather than loaded.
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config).to(device)
    model.requires_grad_(False).train(False)
    return model


def build_tokenizer(file: GgufFile) -> PreTrainedTokenizerFast:
    """The tokenizer, with its special tokens and chat template. Raises BadCheckpoint."""
    meta = file.metadata
    tokens: list[str] = _need(meta, "tokenizer.ggml.tokens")
    merges = [tuple(pair.split(" ")) for pair in _need(meta, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(tokens)}, merges))
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if _SPLITS[meta["tokenizer.ggml.pre"]]:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    else:
        tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.ByteLevel()
    kinds = _need(meta, "tokenizer.ggml.token_type")
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    named = {
        f"{ours}_token": tokens[meta[f"tokenizer.ggml.{theirs}_token_id"]]
        for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
        if f"tokenizer.ggml.{theirs}_token_id" in meta
    }
    made = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **named
    )
    made.chat_template = meta.get("tokenizer.chat_template")
    return made


def _config(file: GgufFile) -> LlamaConfig:
    meta = file.metadata
    heads = _need(meta, "llama.attention.head_count")
    width = _need(meta, "llama.embedding_length")
    return LlamaConfig(
        vocab_size=len(_need(meta, "tokenizer.ggml.tokens")),
        hidden_size=width,
        intermediate_size=_need(meta, "llama.feed_forward_length"),
        num_hidden_layers=_need(meta, "llama.block_count"),
        num_attention_heads=heads,
        num_key_value_heads=meta.get("llama.attention.head_count_kv", heads),
        head_dim=meta.get("llama.rope.dimension_count", width // heads),
        max_position_embeddings=_need(meta, "llama.context_length"),
        rms_norm_eps=_need(meta, "llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": meta.get("llama.rope.freq_base", 10000.0)},
        bos_token_id=meta.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=meta.get("tokenizer.ggml.eos_token_id"),
        pad_token_id=meta.get("tokenizer.ggml.padding_token_id"),
        tie_word_embeddings="output.weight" not in file.tensors,
    )


def _tensors(file: GgufFile, config: LlamaConfig) -> Iterator[tuple[str, NDArray[np.float32]]]:
    queries = config.num_attention_heads
    heads = {"attn_q.weight": queries, "attn_k.weight": config.num_key_value_heads or queries}
    for name, tensor in file.tensors.items():
        if name in _TOP:
            yield _TOP[name], tensor.floats()
            continue
        kind, _, rest = name.partition(".")
        number, _, part = rest.partition(".")
        if kind != "blk" or part not in _LAYER:
            raise BadCheckpoint(f"tensor {name} is not part of a LLaMA model")
        array = tensor.floats()
        yield f"model.layers.{number}.{_LAYER[part]}", _halves(array, heads[part]) if part in heads else array


def _halves(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of each head from pairs (0, 1), (2, 3) ... to all firsts followed by all seconds."""
    paired = rows.reshape(heads, rows.shape[0] // heads // 2, 2, rows.shape[1])
    return np.ascontiguousarray(paired.swapaxes(1, 2)).reshape(rows.shape)


def _need(meta: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401  metadata is of any type
    if key not in meta:
        raise BadCheckpoint(f"the file lacks {key}")
    return meta[key]
