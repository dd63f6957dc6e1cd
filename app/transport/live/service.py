"""Engine, data folder and limits -> the live service: store, hub and routes' state, for as long as the server runs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from app.audio.limits import AudioLimits
from app.core.times import to_samples
from app.engine.base import Engine
from app.engine.load import Demand
from app.jobs.speakers import KnownSpeakers
from app.live.rules import LiveRules
from app.live.session import LiveSession
from app.live.snapshot import Snapshot
from app.live.updates import KnownVoice, LiveOptions
from app.store import Database
from app.transport.live.endpoint import LiveService
from app.transport.live.gate import GateRules, StreamGate
from app.transport.live.hub import LiveHub, Voices
from app.transport.live.limits import LiveLimits
from app.transport.live.sql_store import SqlLiveStore


def live_rules(limits: LiveLimits, likeness: float) -> LiveRules:
    """How the driver is set under these limits. likeness: cosine from which a voice is that of somebody enrolled."""
    return LiveRules(max_ahead_samples=to_samples(limits.max_ahead_s), known_threshold=likeness)


def enrolled(database: Database) -> Voices:
    """How sessions get to know the enrolled people whom they ask for."""
    speakers = KnownSpeakers(database)

    def voices(tenant: str, ids: Sequence[str] | None) -> tuple[KnownVoice, ...]:
        return tuple(KnownVoice(known.id, known.name, voice) for known, voice in speakers.voices(tenant, ids))

    return voices


@asynccontextmanager
async def running(
    engine: Engine,
    database: Database,
    limits: LiveLimits,
    audio: AudioLimits,
    likeness: float = 0.5,
    recheck_s: float = 30.0,
) -> AsyncIterator[LiveService]:
    """The service; sessions that are open at the end stay in the store. The database stays the caller's."""
    rules = live_rules(limits, likeness)
    demand = Demand(engine)
    gate = StreamGate(demand, GateRules(max_load=limits.max_load), time.monotonic)

    def open_session(options: LiveOptions, snapshot: Snapshot | None) -> LiveSession:
        return LiveSession(demand, options, rules, snapshot)

    store = SqlLiveStore(database)
    hub = LiveHub(open_session, store, limits, enrolled(database))
    hub.gate = gate
    hub.start()
    gate.start(lambda: hub.sessions)
    try:
        yield LiveService(hub, demand, audio, recheck_s)
    finally:
        await gate.aclose()
        await hub.aclose()
