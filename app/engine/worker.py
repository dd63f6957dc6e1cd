"""The models, answering batches of the engine's messages. The only file of `app/` that imports `models/`, and so torch.

In: windows, decode requests. Out: one answer per request, an Exception where a request itself is at fault. Here the
models' arrays and window-relative times become core's, and their errors the app's. Blocking; each step for one thread
at a time, the two steps side by side if need be.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from app.core.types import (
    Decoded,
    DecodedTurn,
    DecodeRequest,
    EngineSpec,
    Flag,
    FrameGrid,
    LocalDiarization,
    VoiceRun,
    Window,
    Word,
)
from app.engine.settings import WorkerSettings
from app.errors import EngineClosed, EngineFailed, ModelUnavailable, OptionInvalid
from models.decoders.base import Decoder, DecoderInput, DecoderOutput, DecoderTurn
from models.decoders.build import (
    EIGHT_BIT,
    OWN_CHECKPOINT,
    DecoderSettings,
    UnknownDecoder,
    checkpoint_files,
    load_decoder,
)
from models.device import choose_device, choose_dtype, free_memory, memory_of, usable_cores, use_threads
from models.diarization.embedding import VoiceEncoder, load_voice_encoder
from models.diarization.runs import Run, RunRules, clean_runs
from models.diarization.segmentation import Segmentation, load_segmentation
from models.errors import ModelError, UnsupportedLanguage
from models.identity import WatchedRegistry, described, identity_of_weights
from models.pause import pause, pausing
from models.registry import DEFAULT_WEIGHTS_DIR, load_registry
from models.store import require

Req = TypeVar("Req")
Res = TypeVar("Res")


@dataclass(frozen=True, slots=True)
class Models:
    """What a worker runs. identity: see `about.HasIdentity`"""

    segmentation: Segmentation
    voices: VoiceEncoder
    decoder: Decoder
    device: str
    num_threads: int = 0
    identity: str = ""


class ModelWorker:
    """Diarizes and decodes with real models. Answers do not depend on the rest of the batch.

    Sound that is digital silence is answered without asking the models.
    """

    def __init__(self, models: Models, runs: RunRules | None = None) -> None:
        """runs: what counts as a stretch of one speaker alone."""
        self._models: Models | None = models
        self._runs = runs or RunRules()
        self._on_pause: Callable[[], None] | None = None
        self._spec = _spec(models)
        self._identity = models.identity

    @classmethod
    def load(cls, settings: WorkerSettings) -> ModelWorker:
        """Load the models; takes seconds.

        Raises:
            ModelUnavailable: weights are missing, damaged or of another model, or the device is not there.
            OptionInvalid: no such decoder, or 8-bit layers on a GPU.
        """
        try:
            return cls(_load(settings))
        except UnknownDecoder as error:
            raise OptionInvalid(str(error), param="decoder") from error
        except (ModelError, OSError, RuntimeError) as error:
            # RuntimeError is torch's, e.g. when the device's memory is full.
            raise ModelUnavailable(f"the models cannot be loaded: {error}") from error

    @property
    def spec(self) -> EngineSpec:
        """What the models dictate."""
        return self._spec

    @property
    def device(self) -> str:
        """Where the models run. Raises EngineClosed."""
        return self._open().device

    def on_pause(self, call: Callable[[], None]) -> None:
        """See `local.Pausing`."""
        self._on_pause = call

    @property
    def identity(self) -> str:
        """Hash over the weights and the settings that change answers."""
        return self._identity

    def diarize_batch(self, windows: Sequence[Window]) -> list[LocalDiarization | Exception]:
        """Who speaks when in each window; activity behind the end of the real sound is zero.

        A window of another length than `spec.window_samples`, or with NaN or infinite samples, is a ValueError.
        """
        models = self._open()
        with pausing(self._on_pause):
            return _answers(windows, self._without_models, lambda asked: self._diarize(models, asked))

    def decode_batch(self, requests: Sequence[DecodeRequest]) -> list[Decoded | Exception]:
        """The words of each request's asked turns, at meeting times.

        A request longer than `spec.max_decode_samples`, or with NaN or infinite samples, is a ValueError.

        Raises:
            OptionInvalid: the decoder does not know a request's language.
        """
        models = self._open()
        with pausing(self._on_pause):
            return _answers(requests, self._without_decoder, lambda asked: _decode(models.decoder, asked))

    def memory(self) -> tuple[int, int] | None:
        """(bytes used, bytes in all) of the GPU, by anybody; None on a CPU and once freed."""
        models = self._models
        return None if models is None else memory_of(models.device)

    def close(self) -> None:
        """Free the models. May be called again."""
        if self._models is not None:
            device, self._models = self._models.device, None
            free_memory(device)

    def _open(self) -> Models:
        if self._models is None:
            raise EngineClosed("the models were freed")
        use_threads(self._models.num_threads)  # it is a matter of the calling thread
        return self._models

    def _without_models(self, window: Window) -> LocalDiarization | Exception | None:
        """The answer to a window that no model needs to see; None where one does."""
        size = self._spec.window_samples
        if window.samples.shape != (size,) or not 0 <= window.valid <= size:
            shape = window.samples.shape
            return ValueError(f"a window has {size} samples, got shape {shape} with {window.valid} valid")
        if not np.isfinite(window.samples).all():
            return ValueError("the window's sound holds NaN or infinite samples")
        return None if window.samples[: window.valid].any() else self._nobody(window)

    def _without_decoder(self, request: DecodeRequest) -> Decoded | Exception | None:
        """The answer to a request that no model needs to see; None where one does."""
        shape = request.samples.shape
        if len(shape) != 1 or len(request.samples) > self._spec.max_decode_samples:
            return ValueError(f"a request has at most {self._spec.max_decode_samples} samples, got shape {shape}")
        if not np.isfinite(request.samples).all():
            return ValueError("the request's sound holds NaN or infinite samples")
        return None if request.samples.any() else _no_words(request)

    def _nobody(self, window: Window) -> LocalDiarization:
        frames = self._open().segmentation.geometry.frames
        activity = np.zeros((frames, self._spec.max_local_speakers), dtype=np.float32)
        return LocalDiarization(window.start, window.end, activity, ())

    def _diarize(self, models: Models, windows: list[Window]) -> list[LocalDiarization | Exception]:
        activity = models.segmentation(np.stack([window.samples for window in windows])).copy()
        centres = self._spec.grid.offset + np.arange(activity.shape[1]) * self._spec.grid.step
        runs: list[list[Run]] = []
        for row, window in enumerate(windows):
            activity[row, centres >= window.valid] = 0.0
            own = (window.own_start - window.start, window.own_end - window.start)
            runs.append(clean_runs(activity[row], models.segmentation.geometry, own, self._runs))
        pause()
        # The clips of all windows at once, since the voice model packs them.
        voices = iter(
            models.voices(
                [window.samples[run.start : run.end] for window, own in zip(windows, runs, strict=True) for run in own]
            )
        )
        return [
            LocalDiarization(
                window.start,
                window.end,
                activity[row],
                tuple(
                    VoiceRun(run.local_speaker, window.start + run.start, window.start + run.end, next(voices))
                    for run in runs[row]
                ),
            )
            for row, window in enumerate(windows)
        ]


def _load(settings: WorkerSettings) -> Models:
    device = choose_device(settings.device)
    if settings.quantize and device != "cpu":
        raise OptionInvalid(f"8-bit layers run on a CPU only, and the device is {device}", param="quantize")
    # Diarization and decoding run side by side on a CPU: together they have as many threads as there are cores.
    num_threads = settings.num_threads or (max(1, int(usable_cores() // 2)) if device == "cpu" else 0)
    use_threads(num_threads)
    quantize = settings.quantize
    if quantize is None:
        quantize = device == "cpu" and settings.decoder in EIGHT_BIT
    registry = WatchedRegistry.of(load_registry())
    folder = settings.weights_dir or DEFAULT_WEIGHTS_DIR
    dtype = choose_dtype(_dtype(settings, device, registry.public), device)
    own = settings.decoder in OWN_CHECKPOINT and settings.decoder_model
    checkpoint = Path(settings.decoder_model) if own else None
    decoder = DecoderSettings(
        registry,
        folder,
        device,
        dtype,
        quantize,
        candidates=settings.candidates,
        checkpoint=checkpoint,
        public_source=settings.decoder_model,
        public_window_s=settings.decoder_window_s,
    )
    models = Models(
        load_segmentation(require(registry, "segmentation", folder), device),
        load_voice_encoder(require(registry, "voice", folder), device),
        load_decoder(settings.decoder, decoder),
        device,
        num_threads,
    )
    how: tuple[str, ...] = (settings.decoder, str(dtype), "8-bit" if quantize else "whole", str(settings.candidates))
    if settings.decoder in registry.public:
        how = (*how, *described(settings.decoder_model), str(settings.decoder_window_s))
    files = checkpoint_files(settings.decoder, decoder)
    return replace(models, identity=identity_of_weights(registry.used, files, how))


def _dtype(settings: WorkerSettings, device: str, public: Container[str]) -> str:
    """The public models were trained in bfloat16, whose range float16 does not have; so `auto` is that on a GPU."""
    wide = settings.dtype == "auto" and device != "cpu" and settings.decoder in public
    return "bfloat16" if wide else settings.dtype


def _spec(models: Models) -> EngineSpec:
    geometry = models.segmentation.geometry
    return EngineSpec(
        window_samples=geometry.window_samples,
        grid=FrameGrid(geometry.step_samples, geometry.start_samples + (geometry.duration_samples - 1) // 2),
        max_local_speakers=models.segmentation.local_speakers,
        decoder=models.decoder.name,
        max_decode_samples=models.decoder.max_samples,
    )


def _answers(
    items: Sequence[Req],
    without: Callable[[Req], Res | Exception | None],
    ask: Callable[[list[Req]], list[Res | Exception]],
) -> list[Res | Exception]:
    """One answer per item: what `without` the models says, else what they say, asked once for all that need it."""
    answers = [without(item) for item in items]
    asked = [item for item, answer in zip(items, answers, strict=True) if answer is None]
    asked_answers = iter(ask(asked) if asked else [])
    return [next(asked_answers) if answer is None else answer for answer in answers]


def _no_words(request: DecodeRequest) -> Decoded:
    silent = frozenset({Flag.NO_SPEECH})
    return Decoded(tuple(DecodedTurn(turn, (), silent) for turn in request.turns if turn.ask), request.language)


def _decode(decoder: Decoder, requests: list[DecodeRequest]) -> list[Decoded | Exception]:
    try:
        outputs = decoder.decode_batch([_decoder_input(request) for request in requests])
    except UnsupportedLanguage as error:
        raise OptionInvalid(str(error), param="language") from error
    if len(outputs) != len(requests):
        raise EngineFailed(f"decoder {decoder.name!r} gave {len(outputs)} answers to {len(requests)} requests")
    return [_decoded(request, output) for request, output in zip(requests, outputs, strict=True)]


def _decoder_input(request: DecodeRequest) -> DecoderInput:
    turns = tuple(
        DecoderTurn(
            turn.start - request.start, turn.end - request.start, turn.speaker, turn.ask, turn.open, turn.hypothesis
        )
        for turn in request.turns
    )
    return DecoderInput(request.samples, turns, request.language, request.hotwords, request.context, request.brief)


def _decoded(request: DecodeRequest, output: DecoderOutput) -> Decoded | Exception:
    asked = [turn for turn in request.turns if turn.ask]
    if len(output.turns) != len(asked):
        return EngineFailed(f"the decoder wrote {len(output.turns)} turns where {len(asked)} were asked")
    turns = tuple(
        DecodedTurn(
            turn,
            tuple(
                Word(word.text, request.start + word.start, request.start + word.end, word.confidence)
                for word in written.words
            ),
            frozenset(Flag(flag) for flag in written.flags),
        )
        for turn, written in zip(asked, output.turns, strict=True)
    )
    return Decoded(turns, output.language)
