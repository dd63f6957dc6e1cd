"""First-pass text: what the decoder's first pass writes for the turns of windows, for the LLM to learn from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.decoders.base import Decoder, DecoderInput, DecoderTurn
from models.training.shards import (
    PreparedTurn,
    PreparedWindow,
    link_shard,
    read_description,
    read_sound,
    read_windows,
    write_description,
    write_rows,
)
from models.training.windows import WindowTurn


def first_pass(
    decoder: Decoder,
    sounds: Sequence[NDArray[np.float32]],
    turns: Sequence[Sequence[WindowTurn] | Sequence[PreparedTurn]],
) -> list[list[str]]:
    """Text of every turn of every window; windows of one length share the decoder's batches."""
    texts: list[list[str]] = [[] for _ in sounds]
    for length in sorted({len(sound) for sound in sounds}):
        places = [i for i, sound in enumerate(sounds) if len(sound) == length]
        inputs = [
            DecoderInput(sounds[i], tuple(DecoderTurn(turn.start, turn.end, turn.speaker) for turn in turns[i]), "en")
            for i in places
        ]
        for i, output in zip(places, decoder.decode_batch(inputs), strict=True):
            texts[i] = [" ".join(word.text for word in written.words) for written in output.turns]
    return texts


def rewrite(source: Path, target: Path, name: str, decoder: Decoder, progress: Callable[[int, int], None]) -> None:
    """A second set of the same windows, with another first pass's text. Shards that exist are left alone.

    Args:
        source: a complete set; its states and sound are linked, not copied, where the file system can.
        target: folder of the new set.
        name: what the first pass is called.
        decoder: what writes.
        progress: called with (shards done, shards in all).

    Raises:
        DataInvalid: no set, one without sound, or `target` holds another set.
    """
    write_description(target, {**read_description(source), "first_pass": name})
    shards: dict[Path, list[PreparedWindow]] = {}
    for window in read_windows(source):
        shards.setdefault(window.shard, []).append(window)
    for done, (shard, windows) in enumerate(shards.items(), 1):
        place = target / shard.name
        if not place.with_suffix(".jsonl").exists():
            texts = first_pass(decoder, [read_sound(item) for item in windows], [item.turns for item in windows])
            link_shard(shard, place)
            write_rows(place, [_with(window, own) for window, own in zip(windows, texts, strict=True)])
        progress(done, len(shards))


def _with(window: PreparedWindow, texts: Sequence[str]) -> PreparedWindow:
    turns = tuple(dataclasses.replace(turn, first_pass=text) for turn, text in zip(window.turns, texts, strict=True))
    return dataclasses.replace(window, turns=turns)
