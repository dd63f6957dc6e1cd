"""One window of soft noise through an engine, to prove that its models work."""

from __future__ import annotations

import numpy as np

from app.core.times import SAMPLE_RATE
from app.core.types import DecodeRequest, DecodeTurn, Urgency, Window
from app.engine.base import Engine
from app.engine.replay import ReplayEngine
from app.errors import EngineFailed

PROBE_LOUDNESS = 0.05


async def probe(engine: Engine) -> None:
    """Send one window of soft noise through the models, diarized and decoded, to prove that they work.

    An engine that only replays has nothing to prove; nothing of a probe is recorded.

    Raises:
        EngineError: the models failed, or their answers do not have the promised shape.
    """
    target = engine.inner if isinstance(engine, ReplayEngine) else engine
    if target is None:
        return
    spec = target.spec
    # Noise, as silence may be answered without asking the models.
    noise = np.random.default_rng(0).uniform(-PROBE_LOUDNESS, PROBE_LOUDNESS, spec.window_samples).astype(np.float32)
    # It asks whether the models work, not whether they are busy: so it waits behind nobody.
    local = await target.diarize(Window(0, 0, noise, len(noise), 0, len(noise), Urgency.LIVE))
    if local.activity.shape[1] != spec.max_local_speakers or not np.isfinite(local.activity).all():
        raise EngineFailed(f"the probe's diarization is unusable: activity of shape {local.activity.shape}")
    second = noise[: min(SAMPLE_RATE, spec.max_decode_samples)]
    request = DecodeRequest(0, 0, second, (DecodeTurn(0, len(second), 0),), urgency=Urgency.LIVE)
    decoded = await target.decode(request)
    if len(decoded.turns) != 1:
        raise EngineFailed(f"the probe's decoding is unusable: {len(decoded.turns)} answers to one turn")
