"""Last step of the simulator: a finished meeting in, its files out: audio, RTTM, SegLST, and one record for the set."""

from __future__ import annotations

import hashlib
import json
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from models.training.simulate.clips import SAMPLE_RATE, FloatArray
from models.training.simulate.conversation import Placed
from models.training.simulate.errors import OutputFailed
from models.training.simulate.turns import SpokenTurn, render_rttm

SET_FILE = "set.json"
_BLOCK = 4096


def write_audio(path: Path, samples: FloatArray) -> str:
    """Write 16-bit 16 kHz mono audio, FLAC or WAV by the suffix. Returns the file's sha256.

    Raises:
        OutputFailed: the file cannot be written.
    """
    pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)
    try:
        if path.suffix == ".wav":
            with wave.open(str(path), "wb") as target:
                target.setnchannels(1)
                target.setsampwidth(2)
                target.setframerate(SAMPLE_RATE)
                target.writeframes(pcm.astype("<i2").tobytes())
        else:
            _write_flac(path, pcm)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, FFmpegError) as error:
        raise OutputFailed(f"audio {path} cannot be written: {error}") from error


def _write_flac(path: Path, pcm: np.ndarray) -> None:
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        for start in range(0, len(pcm), _BLOCK):
            block = np.ascontiguousarray(pcm[None, start : start + _BLOCK])
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_text(path: Path, text: str) -> str:
    """Write UTF-8 text. Returns its sha256.

    Raises:
        OutputFailed: the file cannot be written.
    """
    try:
        path.write_bytes(text.encode("utf-8"))
    except OSError as error:
        raise OutputFailed(f"file {path} cannot be written: {error.strerror}") from error
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def rttm_of(session: str, placed: Sequence[Placed], names: Sequence[str]) -> str:
    """RTTM text: every speech span of every utterance (a pause of half a second within a clip splits it)."""
    turns = [
        SpokenTurn(start / SAMPLE_RATE, end / SAMPLE_RATE, names[item.speaker])
        for item in placed
        for start, end in item.spans()
    ]
    return render_rttm(session, turns)


def seglst_of(session: str, placed: Sequence[Placed], names: Sequence[str]) -> str:
    """SegLST text: one segment per clip with its whole text; `clip` names the manifest's file."""
    rows = [
        {
            "session_id": session,
            "speaker": names[item.speaker],
            "start_time": round(item.start / SAMPLE_RATE, 3),
            "end_time": round(item.end / SAMPLE_RATE, 3),
            "words": item.utterance.clip.text,
            "clip": item.utterance.clip.file,
        }
        for item in sorted(placed, key=lambda item: (item.start, item.end, item.speaker))
    ]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def write_set(folder: Path, record: dict[str, Any]) -> None:
    """Write the set's manifest.

    Raises:
        OutputFailed: the file cannot be written.
    """
    write_text(folder / SET_FILE, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
