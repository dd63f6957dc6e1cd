"""models/asr/whisper.py on a tiny random model; and, with the real weights, on a real telephone call."""

from __future__ import annotations

import math
import wave
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest

from models.asr.tokens import Steering
from models.asr.whisper import AsrSettings, WhisperAsr, compression_ratio
from models.compat import prepare
from models.errors import BadCheckpoint, UnsupportedLanguage
from models.registry import DEFAULT_WEIGHTS_DIR, load_registry
from models.store import require


def noise(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [(rng.normal(0, 0.1, length) * np.sin(np.arange(length) / 900)).astype(np.float32) for length in lengths]


def same(one, other) -> None:
    assert (one.text, one.tokens, one.language, one.truncated) == (
        other.text,
        other.tokens,
        other.language,
        other.truncated,
    )
    assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)
    assert [word.text for word in one.words] == [word.text for word in other.words]


@pytest.mark.parametrize("margin_s", [None, 2.0])
def test_a_batch_is_what_each_clip_is_alone(make_asr, margin_s):
    asr = make_asr(margin_s=margin_s, max_batch=3)
    clips = noise(40_000, 8_000, 16_000, 90_000, 12_345, 15_900)
    together = asr.transcribe(clips, language="en")
    assert len(together) == len(clips)
    for clip, result in zip(clips, together, strict=True):
        if margin_s is None:
            (alone,) = asr.transcribe([clip], language="en")
            same(alone, result)
        assert result.tokens
        assert len(result.logprobs) == len(result.tokens)
        assert result.text == asr.tokens.decode(result.tokens).strip()
        assert all(logprob <= 0 for logprob in result.logprobs)
        assert 0 <= result.no_speech_prob <= 1


def test_words_lie_within_the_clip_in_order(make_asr):
    asr = make_asr()
    for clip, result in zip(noise(8_000, 30_000), asr.transcribe(noise(8_000, 30_000), language="en"), strict=True):
        times = [time for word in result.words for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= len(clip) / 16_000
        assert "".join(word.text for word in result.words).strip() == result.text.replace("\ufffd", "")


def test_length_is_bounded_by_the_sound(make_asr):
    (result,) = make_asr(spare_tokens=2, tokens_per_s=4.0).transcribe(noise(16_000), language="en")
    assert len(result.tokens) <= 6
    (result,) = make_asr(spare_tokens=400).transcribe(noise(16_000), language="en")
    assert len(result.tokens) <= 32


def test_what_does_not_end_is_heard_again_with_full_padding(make_asr, monkeypatch):
    asr = make_asr(margin_s=1.0, spare_tokens=1, tokens_per_s=0.0)
    padded: list[int] = []
    encode = WhisperAsr.encode
    monkeypatch.setattr(
        WhisperAsr, "encode", lambda self, clips, samples: padded.append(samples) or encode(self, clips, samples)
    )
    (result,) = asr.transcribe(noise(16_000), language="en")
    assert result.truncated
    assert padded == [32_000, 480_000]


def test_clips_of_like_length_share_a_pass(make_asr, monkeypatch):
    asr = make_asr(margin_s=1.0, max_batch=2)
    passes: list[list[int]] = []
    encode = WhisperAsr.encode
    monkeypatch.setattr(
        WhisperAsr,
        "encode",
        lambda self, clips, samples: passes.append([len(clip) for clip in clips]) or encode(self, clips, samples),
    )
    asr.transcribe(noise(16_000, 200_000, 15_000, 14_000, 210_000), language="en")
    assert passes[:3] == [[16_000, 15_000], [14_000], [200_000, 210_000]]


def test_encoder_states_are_those_of_transformers(make_asr):
    asr, clips = make_asr(), noise(30_000, 480_000)
    states = asr.encode(clips)
    assert states.shape == (2, 1500, asr.d_model)
    mel = asr.mel(clips)
    expected = asr.model.model.encoder(mel).last_hidden_state
    np.testing.assert_allclose(states.numpy(), expected.numpy(), atol=1e-4)
    assert asr.encode(clips[:1], 64_000).shape == (1, 200, asr.d_model)


def test_a_prompt_changes_what_is_written_and_is_cut_to_fit(make_asr):
    asr, clips = make_asr(), noise(16_000)
    plain, prompted, long = (
        asr.transcribe(clips, language="en", prompt=prompt)[0] for prompt in (None, "Jane Doe", "name " * 200)
    )
    assert plain.logprobs != prompted.logprobs
    assert long.tokens
    same(plain, asr.transcribe(clips, language="en", prompt="  ")[0])


def test_language_is_detected_or_given(make_asr):
    asr, clips = make_asr(), noise(16_000, 20_000)
    detected = asr.transcribe(clips, language=None)
    for clip, result in zip(clips, detected, strict=True):
        assert result.language in {"en", "de", "zh"}
        same(asr.transcribe([clip], language=result.language)[0], result)
    with pytest.raises(UnsupportedLanguage, match="'xx' is not known to this model; it knows en, de, zh"):
        asr.transcribe(clips, language="xx")


def test_int8_runs(make_asr):
    (result,) = make_asr(int8=True).transcribe(noise(16_000), language="en")
    assert result.tokens


def test_directory_of_transformers(make_asr, tiny_model, tokenizer_json, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tokenizer_json.read_text())
    (tmp_path / "generation_config.json").write_text(
        '{"suppress_tokens": [0], "begin_suppress_tokens": [1, 256], "alignment_heads": [[0, 1], [1, 0]]}'
    )
    asr = WhisperAsr.load_dir(tmp_path, AsrSettings())
    same(asr.transcribe(noise(16_000), language="en")[0], make_asr().transcribe(noise(16_000), language="en")[0])
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(BadCheckpoint, match=r"tokenizer\.json cannot be read"):
        WhisperAsr.load_dir(tmp_path, AsrSettings())


def test_words_without_named_heads(tiny_model, tokens):
    asr = WhisperAsr(tiny_model, tokens, Steering((), (1, 256), ()))
    assert asr._heads == {1: [0, 1]}
    assert asr.transcribe(noise(16_000), language="en")[0].words


def test_nothing_to_do(make_asr):
    assert make_asr().transcribe([], language="en") == []


@pytest.mark.parametrize(
    ("clip", "said"),
    [
        (np.zeros((1, 16_000), np.float32), "must be"),
        (np.zeros(16_000), "must be"),
        (np.zeros(480_001, np.float32), "at most 30 s"),
        (np.full(16_000, np.nan, np.float32), "not finite"),
    ],
)
def test_refuses_what_is_no_clip(make_asr, clip, said):
    with pytest.raises(ValueError, match=f"clip 1 .*{said}"):
        make_asr().transcribe([np.zeros(16_000, np.float32), clip], language="en")


def test_compression_ratio():
    assert compression_ratio("") == 0.0
    assert compression_ratio("a plain sentence of some length, nothing more") < 1.2
    assert compression_ratio("the same again. " * 20) > 2.4


def sample() -> np.ndarray:
    """30 s of a telephone call that pyannote.audio ships; mono, 16 kHz, 16 bit."""
    prepare()
    with wave.open(str(files("pyannote.audio") / "sample" / "sample.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(480_000), np.int16).astype(np.float32) / 32768


def load_real(**settings: object) -> WhisperAsr:
    registry = load_registry()
    names = ("whisper-base-model", "whisper-base-config", "whisper-base-tokenizer")
    paths = [require(registry, name, DEFAULT_WEIGHTS_DIR) for name in names]
    return WhisperAsr.load(*paths, AsrSettings(**settings))  # type: ignore[arg-type]


@pytest.mark.weights
@pytest.mark.parametrize("int8", [False, True])
def test_real_speech(int8):
    asr, call = load_real(int8=int8), sample()
    whole, part = asr.transcribe([call, call[14 * 16_000 : 22 * 16_000]], language=None)
    for result in (whole, part):
        assert result.language == "en"
        assert not result.truncated
        assert all(before.end_s <= after.start_s for before, after in pairwise(result.words))
        assert math.isfinite(result.avg_logprob)
    for phrase in ("I didn't know you were there", "in New Jersey", "originally from Chicago", "Yankee down here"):
        assert phrase in whole.text
    assert "originally from Chicago" in part.text
    chicago = next(word for word in whole.words if "Chicago" in word.text)
    assert 16.9 < chicago.start_s < chicago.end_s < 17.9
    chicago = next(word for word in part.words if "Chicago" in word.text)
    assert 2.9 < chicago.start_s < chicago.end_s < 3.9
    assert 6.4 < whole.words[0].start_s < 7.2


@pytest.mark.weights
def test_real_silence_and_noise_are_told():
    silence, hiss = load_real().transcribe(
        [np.zeros(80_000, np.float32), np.random.default_rng(0).normal(0, 0.01, 80_000).astype(np.float32)],
        language="en",
    )
    for result in (silence, hiss):
        assert result.no_speech_prob > 0.5 or result.avg_logprob < -1.0
