"""Public models in miniature: random weights, a byte-level tokenizer and a short chat template, saved as a folder.

The chat templates have the parts that the real ones have: where the sound, the keywords and further text go.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    MossTranscribeDiarizeAudioConfig,
    MossTranscribeDiarizeConfig,
    MossTranscribeDiarizeFeatureExtractor,
    MossTranscribeDiarizeForConditionalGeneration,
    MossTranscribeDiarizeProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    VibeVoiceAcousticTokenizerEncoderConfig,
    VibeVoiceAcousticTokenizerFeatureExtractor,
    VibeVoiceAsrConfig,
    VibeVoiceAsrForConditionalGeneration,
    VibeVoiceAsrProcessor,
)

MOSS_AUDIO = ("<|audio_pad|>", "<|audio_start|>", "<|audio_end|>")
VIBEVOICE_AUDIO = ("<|box_start|>", "<|object_ref_start|>", "<|object_ref_end|>")

MOSS_CHUNK_S = 2
"""The real one hears 30 s at once, and longer windows as several chunks."""

MOSS_TEMPLATE = """{% for message in messages %}<|im_start|>{{ message.role }}
{% for item in message.content %}{% if item.type == 'audio' %}<|audio_start|><|audio_pad|><|audio_end|>
{% endif %}{% endfor %}{% for item in message.content %}{% if item.type == 'text' %}INFO {{ item.text }}
{% elif item.type == 'keywords' %}WORDS {{ item.keywords | join(', ') }}
{% endif %}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
VIBEVOICE_TEMPLATE = """{% for message in messages %}<|im_start|>{{ message.role }}
{% for item in message.content %}{% if item.type == 'audio' %}<|object_ref_start|><|box_start|><|object_ref_end|>
{% endif %}{% endfor %}A <|AUDIO_DURATION|> seconds audio{% for item in message.content %}{% if item.type == 'text' %}
with extra info: {{ item.text }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}"""


def make_tokenizer(audio: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """Every byte is a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|image_pad|>")
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>", *audio]})
    return fast


def _text(kind: type, vocabulary: int) -> dict[str, object]:
    return kind(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    ).to_dict()


def _finish(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast) -> torch.nn.Module:
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.train(False)


def tiny_moss() -> tuple[MossTranscribeDiarizeForConditionalGeneration, MossTranscribeDiarizeProcessor]:
    """A model with random weights, always the same ones, and its processor."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(MOSS_AUDIO)
    config = MossTranscribeDiarizeConfig(
        audio_config=MossTranscribeDiarizeAudioConfig(
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            hidden_size=16,
            max_source_positions=50 * MOSS_CHUNK_S,
        ).to_dict(),
        audio_chunk_size=16_000 * MOSS_CHUNK_S,
        text_config=_text(Qwen3Config, len(tokenizer)),
        audio_token_id=tokenizer.convert_tokens_to_ids("<|audio_pad|>"),
    )
    processor = MossTranscribeDiarizeProcessor(
        MossTranscribeDiarizeFeatureExtractor(chunk_length=MOSS_CHUNK_S), tokenizer, chat_template=MOSS_TEMPLATE
    )
    return _finish(MossTranscribeDiarizeForConditionalGeneration(config), tokenizer), processor


def tiny_vibevoice() -> tuple[VibeVoiceAsrForConditionalGeneration, VibeVoiceAsrProcessor]:
    """A model with random weights, always the same ones, and its processor."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(VIBEVOICE_AUDIO)
    sound = {"num_filters": 4, "depths": [1, 1, 1, 1, 1, 1, 1], "initializer_range": 0.4, "ffn_expansion": 1}
    config = VibeVoiceAsrConfig(
        acoustic_tokenizer_encoder_config=VibeVoiceAcousticTokenizerEncoderConfig(hidden_size=8, **sound).to_dict(),
        semantic_tokenizer_encoder_config=VibeVoiceAcousticTokenizerEncoderConfig(hidden_size=12, **sound).to_dict(),
        text_config=_text(Qwen2Config, len(tokenizer)),
        audio_token_id=tokenizer.convert_tokens_to_ids("<|box_start|>"),
        audio_bos_token_id=tokenizer.convert_tokens_to_ids("<|object_ref_start|>"),
        audio_eos_token_id=tokenizer.convert_tokens_to_ids("<|object_ref_end|>"),
    )
    processor = VibeVoiceAsrProcessor(
        VibeVoiceAcousticTokenizerFeatureExtractor(), tokenizer, chat_template=VIBEVOICE_TEMPLATE
    )
    return _finish(VibeVoiceAsrForConditionalGeneration(config), tokenizer), processor


TINY = {"moss": tiny_moss, "vibevoice": tiny_vibevoice}


def save_tiny(name: str, folder: Path) -> Path:
    """A tiny model as a folder that a user would name."""
    model, processor = TINY[name]()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
