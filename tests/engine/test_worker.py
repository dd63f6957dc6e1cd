"""ModelWorker: between core's messages and the models. Stand-ins for the models, and once the real ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from app.core.types import DecodeRequest, DecodeTurn, Flag, LocalDiarization, Window
from app.engine.settings import WorkerSettings
from app.engine.worker import Models, ModelWorker, _dtype
from app.errors import EngineClosed, EngineFailed, ModelUnavailable, OptionInvalid
from models.decoders.base import DecoderInput, DecoderOutput, DecoderTurnOutput, DecoderWord
from models.diarization.geometry import FrameGeometry
from models.diarization.runs import RunRules
from models.errors import UnsupportedLanguage

GEOMETRY = FrameGeometry(start_samples=0, duration_samples=100, step_samples=100, frames=10, window_samples=1000)


RUNS = RunRules(max_gap_samples=0, min_samples=200, max_samples=400)


class Segmentation:
    """Speaker 0 is active where the sound is positive, speaker 1 where it is negative."""

    geometry = GEOMETRY
    local_speakers = 3

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, waveforms):
        self.batches.append(len(waveforms))
        frames = waveforms.reshape(len(waveforms), 10, 100).mean(axis=2)
        return np.stack([frames > 0, frames < 0, frames > 9], axis=2).astype(np.float32)


class VoiceEncoder:
    """A voice is (the clip's first sample, its length)."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, clips):
        self.batches.append(len(clips))
        return np.array([(clip[0], len(clip)) for clip in clips], np.float32).reshape(-1, 2)


@dataclass
class Decoder:
    """Writes the input's turns down, as one word each."""

    name: str = "echoing"
    max_samples: int = 2000
    seen: tuple[DecoderInput, ...] = ()
    drop: int = 0

    def decode_batch(self, inputs):
        self.seen = tuple(inputs)
        if any(item.language == "tlh" for item in inputs):
            raise UnsupportedLanguage("tlh", ("de", "en"))
        return [self._write(item) for item in inputs]

    def _write(self, item: DecoderInput) -> DecoderOutput:
        asked = [turn for turn in item.turns if turn.ask]
        words = [DecoderWord(f"speaker{turn.speaker}", turn.start, turn.end, 0.5) for turn in asked]
        turns = tuple(DecoderTurnOutput((word,), frozenset({"repetition"})) for word in words)
        return DecoderOutput(turns[self.drop :], item.language or "en")


@pytest.fixture
def worker() -> ModelWorker:
    return ModelWorker(Models(Segmentation(), VoiceEncoder(), Decoder(), "cpu"), RUNS)


def window(*levels: float, valid: int = 1000, index: int = 0) -> Window:
    """Ten stretches of 100 samples of these levels."""
    samples = np.repeat(np.array(levels, np.float32), 100)
    return Window(index, 5000, np.pad(samples, (0, 1000 - len(samples))), valid, 5000, 5000 + valid)


def good(answer: object) -> LocalDiarization:
    assert isinstance(answer, LocalDiarization)
    return answer


def test_the_spec_says_what_the_models_say(worker: ModelWorker) -> None:
    spec = worker.spec
    assert (spec.window_samples, spec.grid.step, spec.grid.offset) == (1000, 100, 49)
    assert (spec.max_local_speakers, spec.decoder, spec.max_decode_samples) == (3, "echoing", 2000)


def spoken(local: LocalDiarization) -> list[tuple[int, int, int, list[float]]]:
    return [(run.local_speaker, run.start, run.end, run.voice.tolist()) for run in local.runs]


def test_runs_are_at_meeting_times_each_with_its_own_voice() -> None:
    voices = VoiceEncoder()
    worker = ModelWorker(Models(Segmentation(), voices, Decoder(), "cpu"), RUNS)
    first, second = worker.diarize_batch([window(1, 1, 1, 0, -2, -2, 0, 0, 3, 0), window(0, 4, 4, 4, 4, 4, 4)])
    assert (good(first).start, good(first).end) == (5000, 6000)
    assert good(first).activity[:, 0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 1, 0]
    assert good(first).activity[:, 1].sum() == 2
    # The last word is too short for a voice; the long run of the second window comes in two parts.
    assert spoken(good(first)) == [(0, 5000, 5300, [1, 300]), (1, 5400, 5600, [-2, 200])]
    assert spoken(good(second)) == [(0, 5100, 5400, [4, 300]), (0, 5400, 5700, [4, 300])]
    assert voices.batches == [4]


def test_a_window_gives_the_runs_whose_middle_it_owns(worker: ModelWorker) -> None:
    sound = window(1, 1, 1, 0, -2, -2)
    early, late = worker.diarize_batch([replace(sound, own_end=5300), replace(sound, own_start=5300)])
    assert [run.local_speaker for run in good(early).runs] == [0]
    assert [run.local_speaker for run in good(late).runs] == [1]


def test_nobody_speaks_behind_the_end_of_the_sound(worker: ModelWorker) -> None:
    local = good(worker.diarize_batch([window(*[1] * 10, valid=450)])[0])
    assert local.end == 5450
    assert local.activity[:, 0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert [(run.start, run.end) for run in local.runs] == [(5000, 5250), (5250, 5500)]


def test_silence_is_answered_without_the_models() -> None:
    segmentation = Segmentation()
    worker = ModelWorker(Models(segmentation, VoiceEncoder(), Decoder(), "cpu"), RUNS)
    silent, loud = worker.diarize_batch([window(0), window(1, 1, 1)])
    assert segmentation.batches == [1]
    assert good(loud).activity.any()
    assert not good(silent).activity.any()
    assert good(silent).activity.shape == good(loud).activity.shape
    assert good(silent).runs == ()
    worker.diarize_batch([window(0), window(0)])
    assert segmentation.batches == [1]


def test_a_bad_window_fails_alone(worker: ModelWorker) -> None:
    short = replace(window(1), samples=np.ones(999, np.float32))
    bad = [short, window(np.nan), window(np.inf), window(1, valid=1001)]
    answers = worker.diarize_batch([*bad, window(1, 1, 1)])
    assert [type(answer) for answer in answers[:-1]] == [ValueError] * len(bad)
    assert good(answers[-1]).activity.any()


TURNS = (DecodeTurn(5100, 5200, 4, ask=False), DecodeTurn(5150, 5400, 2, open=True, hypothesis="hm"))
REQUEST = DecodeRequest(3, 5000, np.ones(900, np.float32), TURNS, "de", ("Crosstalk",), "before")


def test_times_are_the_windows_for_the_decoder_and_the_meetings_for_the_session() -> None:
    decoder = Decoder()
    worker = ModelWorker(Models(Segmentation(), VoiceEncoder(), decoder, "cpu"), RUNS)
    (decoded,) = worker.decode_batch([REQUEST])
    (seen,) = decoder.seen
    assert [(turn.start, turn.end, turn.speaker, turn.ask) for turn in seen.turns] == [
        (100, 200, 4, False),
        (150, 400, 2, True),
    ]
    assert (seen.turns[1].open, seen.turns[1].hypothesis) == (True, "hm")
    assert (seen.language, seen.hotwords, seen.context) == ("de", ("Crosstalk",), "before")
    assert not isinstance(decoded, Exception)
    (answer,) = decoded.turns
    assert answer.turn == TURNS[1]
    assert [(word.text, word.start, word.end, word.confidence) for word in answer.words] == [
        ("speaker2", 5150, 5400, 0.5)
    ]
    assert answer.flags == {Flag.REPETITION}
    assert decoded.language == "de"


def test_bad_and_silent_requests_never_reach_the_decoder() -> None:
    decoder = Decoder()
    worker = ModelWorker(Models(Segmentation(), VoiceEncoder(), decoder, "cpu"), RUNS)
    long, nan = np.ones(2001, np.float32), np.full(900, np.nan, np.float32)
    silent = replace(REQUEST, samples=np.zeros(900, np.float32))
    answers = worker.decode_batch([replace(REQUEST, samples=long), REQUEST, replace(REQUEST, samples=nan), silent])
    assert [isinstance(answer, ValueError) for answer in answers] == [True, False, True, False]
    assert len(decoder.seen) == 1
    assert not isinstance(answers[3], Exception)
    assert [turn.turn for turn in answers[3].turns] == [TURNS[1]]
    assert answers[3].turns[0].flags == {Flag.NO_SPEECH}


def test_an_unknown_language_is_the_users_to_change(worker: ModelWorker) -> None:
    with pytest.raises(OptionInvalid, match="tlh") as caught:
        worker.decode_batch([replace(REQUEST, language="tlh")])
    assert caught.value.param == "language"


def test_a_decoder_that_leaves_out_a_turn_fails_its_request() -> None:
    worker = ModelWorker(Models(Segmentation(), VoiceEncoder(), Decoder(drop=1), "cpu"), RUNS)
    (answer,) = worker.decode_batch([REQUEST])
    assert isinstance(answer, EngineFailed)


def test_after_close_nothing_is_answered(worker: ModelWorker) -> None:
    worker.close()
    worker.close()
    with pytest.raises(EngineClosed):
        worker.diarize_batch([window(1)])
    with pytest.raises(EngineClosed):
        worker.decode_batch([REQUEST])


def test_damaged_weights_are_named(tmp_path) -> None:
    folder = tmp_path / "pyannote-segmentation-3.0"
    folder.mkdir()
    (folder / "pytorch_model.bin").write_bytes(b"not a model")
    with pytest.raises(ModelUnavailable, match="segmentation"):
        ModelWorker.load(WorkerSettings(weights_dir=tmp_path, device="cpu"))


@pytest.mark.parametrize(
    ("dtype", "decoder", "device", "expected"),
    [
        ("auto", "moss", "cuda", "bfloat16"),
        ("auto", "moss", "cpu", "auto"),
        ("auto", "cascade", "cuda", "auto"),
        ("float16", "moss", "cuda", "float16"),
    ],
)
def test_public_models_keep_their_number_format_on_a_gpu(dtype, decoder, device, expected):
    assert _dtype(WorkerSettings(dtype=dtype, decoder=decoder), device, {"moss"}) == expected
