"""app/audio/packets.py: what PyAV does at the end of a file whose streams come up while it is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from app.audio import AudioLimits
from app.audio.container import open_container
from app.audio.media import Warnings
from app.audio.packets import Decoder
from app.audio.source import SourceFile


class Stumbling:
    """A container that says at its end, once, what PyAV says where it looks for streams that it does not know."""

    def __init__(self, container) -> None:
        self._container = container
        self._stumbles = 1

    def __getattr__(self, name):
        return getattr(self._container, name)

    def demux(self, stream):
        yield from self._container.demux(stream)
        if self._stumbles:
            self._stumbles -= 1
            raise IndexError("list index out of range")


def test_streams_that_nobody_knows_cost_no_sound(media, pulses):
    path = media.encode("a.ts", "mp2", pulses([0.5, 1.5], 2.5))
    heard = []
    for wrap in (lambda it: it, Stumbling):
        with SourceFile(path) as source:
            audio = open_container(source)
            warnings = Warnings()
            decoder = Decoder(source, replace(audio, container=wrap(audio.container)), AudioLimits(), warnings)
            heard.append(np.concatenate([sound.samples for sound in decoder.sounds()]))
            audio.container.close()
            assert warnings.all() == ()
    np.testing.assert_array_equal(heard[1], heard[0])
    assert len(heard[0]) > 2 * 48_000
