"""The sound of a probe: always the same, loud enough to be no silence, of whole length."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from app.core.types import Urgency
from app.engine.load import EngineCost
from app.engine.probe import PROBE_LOUDNESS, hummed, probe
from tests.engine.fake_worker import FakeWorker, fake_engine


@pytest.mark.parametrize("samples", [1, 16_000, 160_000, 200_001])
def test_it_is_of_the_asked_length_and_finite(samples: int) -> None:
    sound = hummed(samples)
    assert (sound.shape, sound.dtype) == ((samples,), np.float32)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= PROBE_LOUDNESS + 1e-6


def test_it_hums_and_rests_and_is_the_same_every_time() -> None:
    sound = hummed(160_000)
    hummed.cache_clear()
    assert np.array_equal(sound, hummed(160_000))
    loud = np.sqrt(np.mean(sound.reshape(-1, 8_000) ** 2, axis=1))
    assert (loud[[0, 3, 10]] > 0.01).all()
    assert not sound[4 * 16_000 : 4 * 16_000 + 8_000].any()


def test_a_probe_asks_as_a_live_stream_does_and_so_tells_what_one_costs() -> None:
    asked: list[tuple[str, Urgency, int]] = []

    class Noted(FakeWorker):
        def diarize_batch(self, windows):
            asked.extend(("diarize", it.urgency, it.valid) for it in windows)
            return super().diarize_batch(windows)

        def decode_batch(self, requests):
            asked.extend(("decode", it.urgency, len(it.samples)) for it in requests)
            return super().decode_batch(requests)

    async def main() -> EngineCost:
        engine = fake_engine(Noted())
        await probe(engine)
        cost = engine.cost()
        await engine.aclose()
        return cost

    cost = asyncio.run(main())
    assert asked == [("diarize", Urgency.LIVE, 80_000), ("decode", Urgency.LIVE, 128_000)]
    assert min(cost.diarize, cost.decode) > 0
