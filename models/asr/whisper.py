"""Transcription of clips by Whisper: up to 30 s of sound in, text with word times out; and its encoder alone.

First-pass text of the SOT decoder, all of the cascade decoder, and the encoder that the SOT decoder listens through.
Method: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (arXiv 2212.04356), greedy.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as nnf
from transformers import WhisperForConditionalGeneration

from models.asr.alignment import clip_frames, token_starts_s
from models.asr.convert import load_whisper, load_whisper_dir
from models.asr.decoding import DecoderState, Heads, Row, Rules, Sound, hear, write
from models.asr.draw import Dice, Drawing, choose
from models.asr.features import CHUNK_SAMPLES, SAMPLE_RATE_HZ, LogMel
from models.asr.quantize import quantize_linears
from models.asr.tokens import Steering, WhisperTokens, load_steering
from models.asr.words import AsrWord, make_words
from models.errors import UnsupportedLanguage
from models.pause import pause

Clip: TypeAlias = NDArray[np.float32]
# (places of clips, padded_samples) -> states as `encode` gives them.
Encode: TypeAlias = Callable[[Sequence[int], int], torch.Tensor]
# Start, language, task and "no timestamps" stand before the text.
_MARKS = 4
# Of openai/whisper: a text that compresses better than this repeats itself.
REPEATS_ITSELF = 2.4
# Rows that are drawn in one pass: what they keep of their attention is bounded so.
_DRAWN_ROWS = 32
# Clips share a pass up to this ratio of lengths: a longer one would make the encoder's cost of all its own.
_SPREAD = 1.5


@dataclass(frozen=True, slots=True)
class AsrSettings:
    """How Whisper runs.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1` ...
        dtype: of weights and activations; float32 on a CPU, bfloat16 or float16 on a GPU.
        int8: 8-bit linear layers (CPU only).
        max_batch: most clips in one pass.
        margin_s: silence after the longest clip of a batch, in seconds. The encoder's cost falls with the length of
            what it is given; below about 4 s of silence Whisper starts to repeat itself. A clip that does, or that does
            not end, is heard again padded to 30 s, as Whisper was trained. None pads every clip to 30 s at once.
        tokens_per_s, spare_tokens: a clip may have `spare_tokens + tokens_per_s * its seconds` tokens.
        drawing: second opinions on clips whose text is doubtful.
    """

    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    int8: bool = False
    max_batch: int = 16
    margin_s: float | None = 4.0
    tokens_per_s: float = 10.0
    spare_tokens: int = 16
    drawing: Drawing = field(default_factory=Drawing)


@dataclass(frozen=True, slots=True)
class AsrResult:
    """What was heard in one clip.

    Attributes:
        text: without space at its ends.
        language: code, given or detected.
        tokens: ids of the text.
        logprobs: natural logarithm of each token's probability.
        avg_logprob: mean over the tokens and the end mark.
        no_speech_prob: probability of the mark of silence before any text.
        compression_ratio: UTF-8 bytes of the text over their zlib-compressed size; above 2.4 it repeats itself.
        truncated: whether the limit of tokens was reached before the end mark.
        words: with times, in order, within the clip.
    """

    text: str
    language: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    truncated: bool
    words: tuple[AsrWord, ...]


class WhisperAsr:
    """A Whisper model ready to transcribe. Holds no state of any clip; use it from one thread at a time."""

    def __init__(
        self,
        model: WhisperForConditionalGeneration,
        tokens: WhisperTokens,
        steering: Steering,
        settings: AsrSettings | None = None,
    ) -> None:
        settings = settings or AsrSettings()
        self.settings = settings
        self.tokens = tokens
        self.d_model: int = model.config.d_model
        self.model = quantize_linears(model) if settings.int8 else model
        self.mel = LogMel(model.config.num_mel_bins, settings.device)
        self._heads = self._alignment_heads(steering)
        self._rules = self._make_rules(steering)

    @classmethod
    def load(cls, model_bin: Path, config_json: Path, tokenizer_json: Path, settings: AsrSettings) -> WhisperAsr:
        """From the files of a CTranslate2 model. Raises BadCheckpoint."""
        model = load_whisper(model_bin, device=settings.device, dtype=settings.dtype)
        return cls(model, WhisperTokens(tokenizer_json), load_steering(config_json), settings)

    @classmethod
    def load_dir(cls, directory: Path, settings: AsrSettings) -> WhisperAsr:
        """From a directory in transformers' format with `tokenizer.json` and `generation_config.json`."""
        model = load_whisper_dir(directory, device=settings.device, dtype=settings.dtype)
        steering = load_steering(directory / "generation_config.json")
        return cls(model, WhisperTokens(directory / "tokenizer.json"), steering, settings)

    @torch.inference_mode()
    def encode(self, clips: Sequence[Clip], padded_samples: int = CHUNK_SAMPLES) -> torch.Tensor:
        """The encoder's states of clips padded with silence.

        Args:
            clips: each (samples,) float32 at 16 kHz, at most `padded_samples` long.
            padded_samples: a multiple of 320, at most 30 s.

        Returns:
            (batch, padded_samples / 320, d_model) in the settings' dtype: 1500 frames for 30 s.
        """
        encoder = self.model.model.encoder
        mel = self.mel(clips, padded_samples).to(self.settings.dtype)
        hidden = nnf.gelu(encoder.conv1(mel))
        hidden = nnf.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        for layer in encoder.layers:
            pause()
            hidden = layer(hidden, None)
        out: torch.Tensor = encoder.layer_norm(hidden)
        return out

    def encode_window(self, samples: Clip) -> torch.Tensor:
        """(frames, d_model) states of a window of at most 30 s, padded to whole seconds only: 50 frames a second."""
        padded = max(1, -(-len(samples) // SAMPLE_RATE_HZ)) * SAMPLE_RATE_HZ
        return self.encode([samples], padded)[0]

    def transcribe(
        self,
        clips: Sequence[Clip],
        *,
        language: str | None,
        prompt: str | None = None,
        brief: bool = False,
        encode: Encode | None = None,
    ) -> list[AsrResult]:
        """Transcribe clips of at most 30 s, each on its own; clips of like length share a pass.

        Args:
            clips: each (samples,) float32 at 16 kHz.
            language: code of the language spoken, None to detect it in each clip.
            prompt: text that is taken to have come before (names, spellings).
            brief: the likeliest text will do, without second opinions.
            encode: what hears the clips at these places, padded to so many samples; None = `encode`.

        Returns:
            One result per clip, in the order of the clips.

        Raises:
            UnsupportedLanguage: the model does not know the language.
            ValueError: a clip is not (samples,) of finite numbers, or is longer than 30 s.
        """
        for i, clip in enumerate(clips):
            _check_clip(i, clip)
        if language is not None:
            self._check_language(language)
        lengths = [self._padded_samples(len(clip)) for clip in clips]
        results: dict[int, AsrResult] = {}

        def hear(places: Sequence[int], padded_samples: int) -> None:
            states = (
                encode(places, padded_samples) if encode else self.encode([clips[i] for i in places], padded_samples)
            )
            samples = [len(clips[i]) for i in places]
            heard = self.decode(states, samples, language=language, prompt=prompt, brief=brief)
            results.update(zip(places, heard, strict=True))

        for places in self._batches(lengths):
            hear(places, max(lengths[i] for i in places))
        again = [i for i in range(len(clips)) if lengths[i] < CHUNK_SAMPLES and _is_doubtful(results[i])]
        for begin in range(0, len(again), self.settings.max_batch):
            hear(again[begin : begin + self.settings.max_batch], CHUNK_SAMPLES)
        return [results[i] for i in range(len(clips))]

    def _batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Places of clips that share a pass, shortest first: so many at most, and none much longer than the first."""
        batches: list[list[int]] = []
        for i in sorted(range(len(lengths)), key=lengths.__getitem__):
            current = batches[-1] if batches else []
            if not current or len(current) == self.settings.max_batch or lengths[i] > _SPREAD * lengths[current[0]]:
                batches.append([i])
            else:
                current.append(i)
        return batches

    @torch.inference_mode()
    def decode(
        self,
        states: torch.Tensor,
        samples: Sequence[int],
        *,
        language: str | None,
        prompt: str | None = None,
        brief: bool = False,
    ) -> list[AsrResult]:
        """Text of clips that are encoded already.

        Args:
            states: (batch, frames, d_model) from `encode`.
            samples: length of each clip.
            language, prompt, brief: as in `transcribe`.
        """
        before = self._prompt_ids(prompt)
        limits = [self._limit(count, len(before)) for count in samples]
        capacity = len(before) + _MARKS + max(limits)
        sound = hear(self.model, states)
        state = DecoderState(self.model, sound, capacity, self._heads)
        opening = torch.tensor([[*before, self.tokens.start]] * len(samples), device=states.device)
        hidden, _ = state.feed(opening)
        logits = self.model.proj_out(hidden[:, -1]).float()
        languages = [language] * len(samples) if language is not None else self._detect(logits)
        silence = self.tokens.no_speech
        no_speech = [0.0] * len(samples) if silence is None else logits.softmax(dim=-1)[:, silence].tolist()
        marks = self._marks(languages).to(states.device)
        rows = write(self.model, state, marks, limits, self._rules)
        if not brief and self.settings.drawing.count:
            rows = self._reconsidered(rows, sound, (opening, marks), limits)
        return [
            self._result(row, code or "en", count, silent)
            for row, code, count, silent in zip(rows, languages, samples, no_speech, strict=True)
        ]

    def _reconsidered(
        self, rows: list[Row], sound: Sound, prompt: tuple[torch.Tensor, torch.Tensor], limits: Sequence[int]
    ) -> list[Row]:
        """The rows, the doubtful ones each beside others that are drawn, of which one is chosen.

        Args:
            sound: of all clips.
            prompt: what was fed before the text, (clips, n) each.
            limits: most tokens per clip.
        """
        drawing, chosen = self.settings.drawing, list(rows)
        doubtful = [place for place, row in enumerate(rows) if drawing.doubts(row)]
        each = max(1, _DRAWN_ROWS // drawing.count)
        for begin in range(0, len(doubtful), each):
            part = doubtful[begin : begin + each]
            places = torch.tensor(part, device=prompt[0].device)
            opening, marks = (ids[places].repeat_interleave(drawing.count, dim=0) for ids in prompt)
            own = [limits[place] for place in part]
            capacity = opening.shape[1] + marks.shape[1] + max(own)
            heard = [(keys[places], values[places]) for keys, values in sound]
            state = DecoderState(self.model, heard, capacity, self._heads, drawing.count)
            state.feed(opening)
            drawn = write(self.model, state, marks, own, self._rules, Dice(drawing.count, drawing.temperature))
            for number, place in enumerate(part):
                first = number * drawing.count
                chosen[place] = self._agreed([rows[place], *drawn[first : first + drawing.count]])
        return chosen

    def _agreed(self, rows: Sequence[Row]) -> Row:
        """The one of a clip's rows that agrees best with the others; one that came to no end only where all did."""
        whole = [row for row in rows if row.ended] or list(rows)
        texts = [self.tokens.decode(row.tokens) for row in whole]
        return whole[choose(texts, [math.fsum(row.logprobs) for row in whole], self.settings.drawing.sharpness)]

    def _result(self, row: Row, language: str, samples: int, no_speech_prob: float) -> AsrResult:
        pause()
        text = self.tokens.decode(row.tokens).strip()
        logprobs = tuple(row.logprobs[: len(row.tokens)])
        return AsrResult(
            text=text,
            language=language,
            tokens=tuple(row.tokens),
            logprobs=logprobs,
            avg_logprob=math.fsum(row.logprobs) / len(row.logprobs),
            no_speech_prob=no_speech_prob,
            compression_ratio=compression_ratio(text),
            truncated=not row.ended,
            words=self._words(row, language, samples) if row.tokens and row.attention else (),
        )

    def _words(self, row: Row, language: str, samples: int) -> tuple[AsrWord, ...]:
        duration_s = samples / SAMPLE_RATE_HZ
        attention = torch.stack(row.attention)[..., : clip_frames(samples)]
        starts = np.minimum(token_starts_s(attention), duration_s).tolist()
        if not row.ended:
            starts.append(duration_s)
        probabilities = [math.exp(logprob) for logprob in row.logprobs]
        return make_words(row.tokens, starts, probabilities, self.tokens.decode, language)

    def _padded_samples(self, samples: int) -> int:
        """Sound that the encoder is given for a clip: whole seconds, so that few lengths occur."""
        if self.settings.margin_s is None:
            return CHUNK_SAMPLES
        seconds = math.ceil(samples / SAMPLE_RATE_HZ + self.settings.margin_s)
        return min(seconds * SAMPLE_RATE_HZ, CHUNK_SAMPLES)

    def _prompt_ids(self, prompt: str | None) -> list[int]:
        if not prompt or not prompt.strip():
            return []
        most = self.model.config.max_target_positions // 2 - 1
        return [self.tokens.previous, *self.tokens.encode(" " + prompt.strip())[-most:]]

    def _limit(self, samples: int, before: int) -> int:
        wanted = self.settings.spare_tokens + int(self.settings.tokens_per_s * samples / SAMPLE_RATE_HZ)
        positions: int = self.model.config.max_target_positions
        return min(wanted, positions // 2, positions - before - _MARKS)

    def _check_language(self, code: str) -> None:
        known = list(self.tokens.languages) or ["en"]
        if code not in known:
            raise UnsupportedLanguage(code, known)

    def _detect(self, logits: torch.Tensor) -> list[str | None]:
        """Likeliest language of each clip; None in English-only models."""
        if not self.tokens.languages:
            return [None] * len(logits)
        codes = list(self.tokens.languages)
        picked = logits[:, list(self.tokens.languages.values())].argmax(dim=-1)
        return [codes[i] for i in picked.tolist()]

    def _marks(self, languages: Sequence[str | None]) -> torch.Tensor:
        """(batch, marks) what stands between the start mark and the text."""
        known = self.tokens.languages
        if not known:
            return torch.tensor([[self.tokens.no_timestamps]] * len(languages))
        steering = (self.tokens.transcribe, self.tokens.no_timestamps)
        return torch.tensor([[known[code or "en"], *steering] for code in languages])

    def _alignment_heads(self, steering: Steering) -> Heads:
        """Those named with the checkpoint; else, as openai/whisper does, all heads of the upper half of the layers."""
        layers, every = self.model.config.decoder_layers, range(self.model.config.decoder_attention_heads)
        named = steering.alignment_heads or [(layer, head) for layer in range(layers // 2, layers) for head in every]
        heads: Heads = {}
        for layer, head in named:
            heads.setdefault(layer, []).append(head)
        return heads

    def _make_rules(self, steering: Steering) -> Rules:
        banned = torch.zeros(self.model.config.vocab_size, dtype=torch.bool)
        banned[[i for i in steering.suppress if i < len(banned)]] = True
        banned[self.tokens.end + 1 :] = True  # marks and timestamps
        banned[self.tokens.end] = False
        first = torch.zeros_like(banned)
        first[list(steering.suppress_first)] = True
        device = self.settings.device
        return Rules(banned.to(device), first.to(device), self.tokens.end)


def _is_doubtful(result: AsrResult) -> bool:
    return result.truncated or result.compression_ratio > REPEATS_ITSELF


def compression_ratio(text: str) -> float:
    """UTF-8 bytes of a text over their zlib-compressed size; 0 for no text."""
    raw = text.encode("utf-8")
    return len(raw) / len(zlib.compress(raw))


def _check_clip(number: int, clip: Clip) -> None:
    if clip.ndim != 1 or clip.dtype != np.float32:
        raise ValueError(f"clip {number} must be (samples,) float32, is {clip.shape} {clip.dtype}")
    if len(clip) > CHUNK_SAMPLES:
        raise ValueError(f"clip {number} is {len(clip) / SAMPLE_RATE_HZ:.1f} s long, Whisper hears at most 30 s")
    if not np.isfinite(clip).all():
        raise ValueError(f"clip {number} holds numbers that are not finite")
