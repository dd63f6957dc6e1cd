"""Engine messages <-> bytes: for the log of answers, and for any engine that is not in this process.

A message is one line of ASCII JSON, `{"kind": ..., "version": 1, ...}`. Arrays are `{"shape": [...], "f32": ...}` with
the little-endian float32 values in base64, so every message reads back bit for bit (NaN included). Reading is strict:
another version, a key too many or too few, a wrong type or number of values is a `WireInvalid` naming the place.

How urgent a request is (`Urgency`) is no part of it: it changes no answer, and calls carry it in a header. Version 1,
by kind:

    spec         window_samples, grid [step, offset], max_local_speakers, decoder, max_decode_samples
    window       index, start, valid, own_start, own_end, samples
    diarization  start, end, activity, runs [[local_speaker, start, end]], voices (one row per run)
    request      index, start, samples, turns [turn], language, hotwords [str], context, brief
    decoded      turns [{turn, words [[text, start, end, confidence]], flags [str]}], language
    turn         {start, end, speaker, ask, open, hypothesis}
"""

from __future__ import annotations

import json

import numpy as np

from app.core.types import (
    Decoded,
    DecodedTurn,
    DecodeRequest,
    DecodeTurn,
    EngineSpec,
    Flag,
    FrameGrid,
    LocalDiarization,
    VoiceRun,
    Window,
    Word,
)
from app.engine.strict_json import Fields, WireInvalid, array_fields, integer, number, parse, shown, text

VERSION = 1


def dump_spec(spec: EngineSpec) -> bytes:
    """What the models dictate, as bytes."""
    return _dump(
        "spec",
        window_samples=spec.window_samples,
        grid=[spec.grid.step, spec.grid.offset],
        max_local_speakers=spec.max_local_speakers,
        decoder=spec.decoder,
        max_decode_samples=spec.max_decode_samples,
    )


def load_spec(data: bytes) -> EngineSpec:
    """Inverse of `dump_spec`. Raises WireInvalid."""
    fields = _load("spec", data)
    grid = fields.entries("grid", integer)
    if len(grid) != 2:
        raise WireInvalid(f"spec: 'grid' has {len(grid)} values, not 2")
    spec = EngineSpec(
        fields.integer("window_samples"),
        FrameGrid(grid[0], grid[1]),
        fields.integer("max_local_speakers"),
        fields.text("decoder"),
        fields.integer("max_decode_samples"),
    )
    fields.done()
    return spec


def dump_window(window: Window) -> bytes:
    """A window as bytes. Raises WireInvalid when its samples are not 1-D float32."""
    return _dump(
        "window",
        index=window.index,
        start=window.start,
        valid=window.valid,
        own_start=window.own_start,
        own_end=window.own_end,
        samples=array_fields(window.samples, 1),
    )


def load_window(data: bytes) -> Window:
    """Inverse of `dump_window`. Raises WireInvalid."""
    fields = _load("window", data)
    window = Window(
        fields.integer("index"),
        fields.integer("start"),
        fields.array("samples", 1),
        fields.integer("valid"),
        fields.integer("own_start"),
        fields.integer("own_end"),
    )
    fields.done()
    return window


def dump_diarization(local: LocalDiarization) -> bytes:
    """A window's diarization as bytes.

    Raises WireInvalid when the activity is not 2-D float32, or the voices are not 1-D float32 of one length.
    """
    if len({run.voice.shape for run in local.runs}) > 1:
        raise WireInvalid("diarization: the voices of the runs differ in length")
    voices = np.stack([run.voice for run in local.runs]) if local.runs else np.zeros((0, 0), dtype=np.float32)
    return _dump(
        "diarization",
        start=local.start,
        end=local.end,
        activity=array_fields(local.activity, 2),
        runs=[[run.local_speaker, run.start, run.end] for run in local.runs],
        voices=array_fields(voices, 2),
    )


def load_diarization(data: bytes) -> LocalDiarization:
    """Inverse of `dump_diarization`. Raises WireInvalid, also for a run of nobody or without its voice."""
    fields = _load("diarization", data)
    start, end = fields.integer("start"), fields.integer("end")
    activity = fields.array("activity", 2)
    spans = fields.entries("runs", _load_span)
    voices = fields.array("voices", 2)
    fields.done()
    if len(spans) != len(voices):
        raise WireInvalid(f"diarization: {len(spans)} runs and {len(voices)} voices are not one voice per run")
    for local_speaker, *_ in spans:
        if not 0 <= local_speaker < activity.shape[1]:
            raise WireInvalid(f"diarization: a run of local speaker {local_speaker} of {activity.shape[1]}")
    runs = tuple(VoiceRun(*span, voice) for span, voice in zip(spans, voices, strict=True))
    return LocalDiarization(start, end, activity, runs)


def dump_request(request: DecodeRequest) -> bytes:
    """A decode request as bytes. Raises WireInvalid when its samples are not 1-D float32."""
    return _dump(
        "request",
        index=request.index,
        start=request.start,
        samples=array_fields(request.samples, 1),
        turns=[_dump_turn(turn) for turn in request.turns],
        language=request.language,
        hotwords=list(request.hotwords),
        context=request.context,
        brief=request.brief,
    )


def load_request(data: bytes) -> DecodeRequest:
    """Inverse of `dump_request`. Raises WireInvalid."""
    fields = _load("request", data)
    request = DecodeRequest(
        fields.integer("index"),
        fields.integer("start"),
        fields.array("samples", 1),
        tuple(fields.entries("turns", _load_turn)),
        fields.text_or_none("language"),
        tuple(fields.entries("hotwords", text)),
        fields.text("context"),
        fields.boolean("brief"),
    )
    fields.done()
    return request


def dump_decoded(decoded: Decoded) -> bytes:
    """The answer to a decode request as bytes. Raises WireInvalid when a confidence is NaN or infinite."""
    turns = [
        {
            "turn": _dump_turn(item.turn),
            "words": [[word.text, word.start, word.end, float(word.confidence)] for word in item.words],
            "flags": sorted(item.flags),
        }
        for item in decoded.turns
    ]
    return _dump("decoded", turns=turns, language=decoded.language)


def load_decoded(data: bytes) -> Decoded:
    """Inverse of `dump_decoded`. Raises WireInvalid."""
    fields = _load("decoded", data)
    decoded = Decoded(tuple(fields.entries("turns", _load_decoded_turn)), fields.text_or_none("language"))
    fields.done()
    return decoded


def _dump(kind: str, **values: object) -> bytes:
    try:
        return json.dumps({"kind": kind, "version": VERSION, **values}, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError) as error:
        raise WireInvalid(f"{kind}: {error}") from error


def _dump_turn(turn: DecodeTurn) -> dict[str, object]:
    return {
        "start": turn.start,
        "end": turn.end,
        "speaker": turn.speaker,
        "ask": turn.ask,
        "open": turn.open,
        "hypothesis": turn.hypothesis,
    }


def _load(kind: str, data: bytes) -> Fields:
    fields = parse(kind, data)
    found = fields.text("kind")
    if found != kind:
        raise WireInvalid(f"a message of kind {found!r}, not {kind!r}")
    version = fields.integer("version")
    if version != VERSION:
        raise WireInvalid(f"{kind}: version {version}; this program reads version {VERSION}")
    return fields


def _load_turn(where: str, raw: object) -> DecodeTurn:
    fields = Fields(where, raw)
    turn = DecodeTurn(
        fields.integer("start"),
        fields.integer("end"),
        fields.integer("speaker"),
        fields.boolean("ask"),
        fields.boolean("open"),
        fields.text_or_none("hypothesis"),
    )
    fields.done()
    return turn


def _load_decoded_turn(where: str, raw: object) -> DecodedTurn:
    fields = Fields(where, raw)
    turn = fields.one("turn", _load_turn)
    words = tuple(fields.entries("words", _load_word))
    flags = fields.entries("flags", _load_flag)
    fields.done()
    return DecodedTurn(turn, words, frozenset(flags))


def _load_word(where: str, raw: object) -> Word:
    if not isinstance(raw, list) or len(raw) != 4:
        raise WireInvalid(f"{where} must be [text, start, end, confidence], is {shown(raw)}")
    word, start, end, confidence = raw
    return Word(text(where, word), integer(where, start), integer(where, end), number(where, confidence))


def _load_span(where: str, raw: object) -> tuple[int, int, int]:
    if not isinstance(raw, list) or len(raw) != 3:
        raise WireInvalid(f"{where} must be [local_speaker, start, end], is {shown(raw)}")
    local_speaker, start, end = raw
    return integer(where, local_speaker), integer(where, start), integer(where, end)


def _load_flag(where: str, raw: object) -> Flag:
    try:
        return Flag(text(where, raw))
    except ValueError as error:
        raise WireInvalid(f"{where} is no flag: {error}") from error
