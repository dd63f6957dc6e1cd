"""The query of `/v1/listen` -> what a session needs. Every parameter that Deepgram knows is known here.

What would change the words and cannot be done (redaction, a second language, separate channels, ...) is refused; what
only formats numbers and the like is accepted and named in the closing Metadata's `warnings`. Other names are errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.audio.pcm import RawEncoding
from app.errors import OptionInvalid
from app.options import hotwords, language_code

Encoding = RawEncoding | Literal["container"]

ENCODINGS: Mapping[str, Encoding] = {
    "linear16": "pcm_s16le",
    "linear32": "pcm_f32le",
    "mulaw": "mulaw",
    "alaw": "alaw",
    "opus": "container",
    "ogg-opus": "container",
}
_OTHER_ENCODINGS = ("flac", "amr-nb", "amr-wb", "speex", "g729")

_FREE = frozenset({"model", "version", "tier", "tag", "extra", "mip_opt_out", "no_delay", "token", "access_token"})
"""Say nothing about the transcript."""
_FORMATTING = frozenset({"numerals", "dictation", "filler_words", "measurements"})
_REFUSED = frozenset(
    {
        "redact",
        "profanity_filter",
        "replace",
        "search",
        "detect_entities",
        "callback",
        "callback_method",
        "multichannel",
        "alternatives",
    }
)
_SWITCHES = frozenset({"interim_results", "vad_events", "diarize", "punctuate", "smart_format"})
_USED = frozenset(
    {
        *_SWITCHES,
        "encoding",
        "sample_rate",
        "channels",
        "endpointing",
        "utterance_end_ms",
        "diarize_model",
        "diarize_version",
        "language",
        "language_hint",
        "detect_language",
        "keyterm",
        "keywords",
    }
)
KNOWN = _FREE | _FORMATTING | _REFUSED | _USED

_DEFAULT_ENDPOINTING_MS = 10
_LEAST_UTTERANCE_END_MS = 1000
_MOST_MS = 60_000
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """What was asked for.

    encoding, sample_rate (Hz), channels: of the sound; rate and channels count for raw encodings alone
    endpointing_ms: a pause of this length makes `speech_final`; None = never
    utterance_end_ms: a pause of this length makes an UtteranceEnd; None = never
    formatted: words with their punctuation and capitals
    warnings: parameters without effect
    """

    encoding: Encoding = "container"
    sample_rate: int = 16_000
    channels: int = 1
    language: str | None = None
    hotwords: tuple[str, ...] = ()
    interim_results: bool = False
    vad_events: bool = False
    diarize: bool = False
    formatted: bool = False
    endpointing_ms: int | None = _DEFAULT_ENDPOINTING_MS
    utterance_end_ms: int | None = None
    tags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def parse_query(pairs: Iterable[tuple[str, str]]) -> ListenOptions:
    """The query's (name, value) pairs in their order. Raises OptionInvalid naming the parameter."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        _check(name, values)
    encoding, rate = _encoding(given)
    switches = {name: _switch(given, name) for name in _SWITCHES}
    return ListenOptions(
        encoding=encoding,
        sample_rate=rate,
        channels=_number(given, "channels", 1, low=1, high=16),
        language=_language(given),
        hotwords=_hotwords(given),
        interim_results=switches["interim_results"],
        vad_events=switches["vad_events"],
        diarize=switches["diarize"] or "diarize_model" in given,
        formatted=switches["punctuate"] or switches["smart_format"],
        endpointing_ms=_endpointing(given),
        utterance_end_ms=_utterance_end(given, interim=switches["interim_results"]),
        tags=tuple(given.get("tag", ())),
        warnings=tuple(
            f"{name} has no effect here" for name in sorted(_FORMATTING & given.keys()) if _wanted(given[name])
        ),
    )


def _check(name: str, values: Sequence[str]) -> None:
    if name not in KNOWN:
        raise OptionInvalid(f"{name} is no parameter of this endpoint", param=name)
    if name in _REFUSED and _wanted(values):
        raise OptionInvalid(f"{name} is not supported by this server", param=name)
    if name == "diarize_model" and values[-1] not in {"latest", "v1"}:
        raise OptionInvalid(f"diarize_model must be latest or v1, not {values[-1]!r}", param=name)


def _wanted(values: Sequence[str]) -> bool:
    return any(value.strip().lower() not in _FALSE | {""} for value in values)


def _last(given: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = given.get(name)
    return values[-1].strip() if values else None


def _switch(given: Mapping[str, Sequence[str]], name: str) -> bool:
    value = (_last(given, name) or "false").lower()
    if value not in _TRUE | _FALSE:
        raise OptionInvalid(f"{name} must be true or false, not {value!r}", param=name)
    return value in _TRUE


def _number(given: Mapping[str, Sequence[str]], name: str, default: int, *, low: int, high: int) -> int:
    value = _last(given, name)
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal()) or len(value) > 9 or not low <= int(value) <= high:
        raise OptionInvalid(f"{name} must be a number from {low} to {high}, not {value!r}", param=name)
    return int(value)


def _encoding(given: Mapping[str, Sequence[str]]) -> tuple[Encoding, int]:
    """The encoding and the rate in Hz. Without an encoding the sound is a container."""
    name = _last(given, "encoding")
    if name is None:
        return "container", _number(given, "sample_rate", 16_000, low=1, high=1_000_000)
    if name in _OTHER_ENCODINGS:
        raise OptionInvalid(f"encoding {name} is not supported by this server", param="encoding")
    encoding = ENCODINGS.get(name)
    if encoding is None:
        raise OptionInvalid(f"unknown encoding {name!r}; known are {', '.join(ENCODINGS)}", param="encoding")
    if encoding != "container" and "sample_rate" not in given:
        raise OptionInvalid(f"encoding {name} needs sample_rate", param="sample_rate")
    return encoding, _number(given, "sample_rate", 16_000, low=1, high=1_000_000)


def _language(given: Mapping[str, Sequence[str]]) -> str | None:
    """The language's code; None = detected. Deepgram's default is English, `multi` its way to ask for detection."""
    value = _last(given, "language")
    if value == "multi" or (value is None and _wanted(given.get("detect_language", ()))):
        return None
    return language_code(value or "en")


def _hotwords(given: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """keyterm as it is; keywords without their weight (`Ada:2`)."""
    plain = [word.rpartition(":")[0] if _weighted(word) else word for word in given.get("keywords", ())]
    return hotwords([*given.get("keyterm", ()), *plain])


def _weighted(word: str) -> bool:
    head, _, weight = word.rpartition(":")
    return bool(head) and weight.lstrip("-").replace(".", "", 1).isdecimal()


def _endpointing(given: Mapping[str, Sequence[str]]) -> int | None:
    value = (_last(given, "endpointing") or str(_DEFAULT_ENDPOINTING_MS)).lower()
    if value in {"false", "no"}:
        return None
    if value == "true":
        return _DEFAULT_ENDPOINTING_MS
    return _number({"endpointing": [value]}, "endpointing", 0, low=0, high=_MOST_MS)


def _utterance_end(given: Mapping[str, Sequence[str]], *, interim: bool) -> int | None:
    value = (_last(given, "utterance_end_ms") or "false").lower()
    if value == "false":
        return None
    if not interim:
        raise OptionInvalid("utterance_end_ms needs interim_results=true", param="utterance_end_ms")
    return _number(given, "utterance_end_ms", 0, low=_LEAST_UTTERANCE_END_MS, high=_MOST_MS)
