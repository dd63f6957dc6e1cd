"""The microphone -> 16-bit PCM at 16 kHz, by PortAudio (the extra `mic`)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from app.errors import SetupError

RATE = 16_000
_BLOCK_SAMPLES = 1600
_MOST_BLOCKS = 600
"""A minute of sound that nobody has taken: the client's own buffer is full then, and no server is in sight."""


class MicrophoneUnavailable(SetupError):
    """No microphone can be opened here."""

    code = "microphone_unavailable"


class Microphone:
    """An open microphone. `lost_s`: seconds that had to be left out because nobody took what was there before."""

    def __init__(self) -> None:
        self._blocks: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._stopped = False
        self.lost_s = 0.0

    def put(self, block: bytes) -> None:
        """A block from the device (called in the event loop)."""
        if len(self._blocks) >= _MOST_BLOCKS:
            self.lost_s += len(block) / (2 * RATE)
            return
        self._blocks.append(block)
        self._arrived.set()

    def stop(self) -> None:
        """No more sound; `sound` ends after what is there."""
        self._stopped = True
        self._arrived.set()

    async def sound(self) -> AsyncIterator[bytes]:
        """Blocks as they come, until `stop`."""
        while True:
            while self._blocks:
                yield self._blocks.popleft()
            if self._stopped:
                return
            self._arrived.clear()
            await self._arrived.wait()


@contextmanager
def open_microphone() -> Iterator[Microphone]:
    """The default input device, recording until the context ends. Raises MicrophoneUnavailable."""
    device = _sounddevice()
    loop = asyncio.get_running_loop()
    microphone = Microphone()

    def heard(data: Any, _frames: int, _time: object, _status: object) -> None:  # noqa: ANN401 - a buffer of PortAudio's
        loop.call_soon_threadsafe(microphone.put, bytes(data))

    try:
        stream = device.RawInputStream(
            samplerate=RATE, channels=1, dtype="int16", blocksize=_BLOCK_SAMPLES, callback=heard
        )
        stream.start()
    except device.PortAudioError as error:
        raise MicrophoneUnavailable(f"no microphone can be opened: {error}") from error
    try:
        yield microphone
    finally:
        stream.close()


def _sounddevice() -> Any:  # noqa: ANN401 - it has no types
    try:
        import sounddevice
    except ImportError as error:
        raise MicrophoneUnavailable("the microphone needs sounddevice: pip install 'crosstalk[mic]'") from error
    except OSError as error:
        raise MicrophoneUnavailable(f"the microphone needs the PortAudio library (libportaudio2): {error}") from error
    return sounddevice
