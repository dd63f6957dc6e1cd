"""Whisper's vocabulary: the marks that steer it, its languages, and text to and from token ids.

Read from a `tokenizer.json` and, for what may not be written and which heads follow the sound, from the `config.json`
of a CTranslate2 model or the `generation_config.json` of a transformers one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from models.errors import BadCheckpoint

_MARKS = ("<|startoftranscript|>", "<|transcribe|>", "<|startofprev|>", "<|notimestamps|>", "<|endoftext|>")
_END_OF_ENGLISH_ONLY = 50256
# The mark of silence was renamed between releases of Whisper.
_NO_SPEECH = ("<|nospeech|>", "<|nocaptions|>")


@dataclass(frozen=True, slots=True)
class Steering:
    """What goes with a checkpoint beside its weights.

    Attributes:
        suppress: token ids never written (symbols that mark non-speech, ...).
        suppress_first: token ids not written as the first one (a blank, the end).
        alignment_heads: (layer, head) of the decoder's cross-attention that follow the sound in time.
    """

    suppress: tuple[int, ...]
    suppress_first: tuple[int, ...]
    alignment_heads: tuple[tuple[int, int], ...]


def load_steering(path: Path) -> Steering:
    """Read a CTranslate2 `config.json` or a transformers `generation_config.json`. Raises BadCheckpoint."""
    raw = _json(path)
    try:
        return Steering(
            suppress=_ids(raw, "suppress_ids", "suppress_tokens"),
            suppress_first=_ids(raw, "suppress_ids_begin", "begin_suppress_tokens"),
            alignment_heads=tuple((int(layer), int(head)) for layer, head in raw.get("alignment_heads") or ()),
        )
    except (TypeError, ValueError) as error:
        raise BadCheckpoint(f"{path}: {error}") from error


class WhisperTokens:
    """The tokenizer of a Whisper model.

    Attributes:
        start, transcribe, previous, no_timestamps, end: ids of the marks.
        no_speech: id of the mark of silence, None in models without it.
        languages: language code -> id of its mark; empty in English-only models.

    Raises BadCheckpoint when the file is no Whisper tokenizer.
    """

    def __init__(self, tokenizer_json: Path) -> None:
        if "model" not in _json(tokenizer_json):
            raise BadCheckpoint(f"{tokenizer_json} is not a tokenizer")
        self._tokenizer = Tokenizer.from_file(str(tokenizer_json))
        found = {name: self._tokenizer.token_to_id(name) for name in _MARKS}
        marks = {name: number for name, number in found.items() if number is not None}
        if len(marks) < len(_MARKS):
            missing = ", ".join(name for name in _MARKS if name not in marks)
            raise BadCheckpoint(f"{tokenizer_json} is not a Whisper tokenizer: it lacks {missing}")
        self.start, self.transcribe, self.previous, self.no_timestamps, self.end = (marks[name] for name in _MARKS)
        self.no_speech = next((i for name in _NO_SPEECH if (i := self._tokenizer.token_to_id(name)) is not None), None)
        self.languages: Mapping[str, int] = self._languages()

    def _languages(self) -> dict[str, int]:
        """The marks between start-of-transcript and `translate`. English-only models have them unused."""
        if self.end == _END_OF_ENGLISH_ONLY:
            return {}
        ids = range(self.start + 1, self._tokenizer.token_to_id("<|translate|>") or self.transcribe)
        return {str(self._tokenizer.id_to_token(i)).strip("<|>"): i for i in ids}

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text, without marks."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids; marks are left out."""
        return str(self._tokenizer.decode([i for i in ids if i < self.end], skip_special_tokens=True))


def _ids(raw: Mapping[str, Any], *keys: str) -> tuple[int, ...]:
    for key in keys:
        if raw.get(key) is not None:
            return tuple(int(i) for i in raw[key] if int(i) >= 0)
    return ()


def _json(path: Path) -> Mapping[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{path} cannot be read: {error}") from error
    if not isinstance(raw, dict):
        raise BadCheckpoint(f"{path} holds no object")
    return raw
