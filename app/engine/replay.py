"""An engine that answers from a log, and asks another engine at a gap. The session does not know the difference.

In: the requests of one recording. Out: recorded answers, bit for bit. With an inner engine this makes a run durable
(start it again over the same log and it goes on at the first gap); without one it is a test fixture and a way to debug
a meeting without its models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.core.types import Decoded, DecodeRequest, EngineSpec, LocalDiarization, Window
from app.engine.about import DEFAULT_CAPACITY, capacity_of
from app.engine.base import Engine
from app.engine.log import Key, Record, ResultLog
from app.engine.strict_json import WireInvalid
from app.engine.wire import (
    dump_decoded,
    dump_diarization,
    dump_request,
    dump_spec,
    dump_window,
    load_decoded,
    load_diarization,
    load_spec,
)
from app.errors import EngineClosed, EngineFailed

Req = TypeVar("Req")
Res = TypeVar("Res")


@dataclass(frozen=True, slots=True)
class _Codec(Generic[Req, Res]):
    """How the messages of one step are written and read."""

    dump_request: Callable[[Req], bytes]
    dump_answer: Callable[[Res], bytes]
    load_answer: Callable[[bytes], Res]


_SPEC = Key("spec", 0)
_DIARIZE = _Codec(dump_window, dump_diarization, load_diarization)
_DECODE = _Codec(dump_request, dump_decoded, load_decoded)


class ReplayEngine:
    """Engine over a log of one recording. Made by `open_replay`; owns the log and the inner engine."""

    def __init__(self, spec: EngineSpec, log: ResultLog, inner: Engine | None) -> None:
        self._spec = spec
        self._log = log
        self._inner = inner
        self._closed = False

    @property
    def spec(self) -> EngineSpec:
        """What the models dictated when the log was begun."""
        return self._spec

    @property
    def capacity(self) -> int:
        """The inner engine's; recorded answers cost nothing."""
        return DEFAULT_CAPACITY if self._inner is None else capacity_of(self._inner)

    @property
    def inner(self) -> Engine | None:
        """Who answers at a gap."""
        return self._inner

    async def diarize(self, window: Window) -> LocalDiarization:
        """The recorded answer of this window's index, or the inner engine's, recorded.

        Raises:
            EngineFailed: a gap and no inner engine; or what was recorded answers another window.
            EngineClosed: after `aclose`. Other EngineErrors come from the inner engine and are not recorded.
        """
        ask = None if self._inner is None else self._inner.diarize
        return await self._answer(Key("diarize", window.index), window, _DIARIZE, ask)

    async def decode(self, request: DecodeRequest) -> Decoded:
        """The recorded answer of this request's index, or the inner engine's, recorded. Raises as `diarize` does."""
        ask = None if self._inner is None else self._inner.decode
        return await self._answer(Key("decode", request.index), request, _DECODE, ask)

    async def aclose(self) -> None:
        """Close the inner engine and the log. May be called again."""
        self._closed = True
        if self._inner is not None:
            await self._inner.aclose()
        await self._log.aclose()

    async def _answer(
        self, key: Key, request: Req, codec: _Codec[Req, Res], ask: Callable[[Req], Awaitable[Res]] | None
    ) -> Res:
        if self._closed:
            raise EngineClosed("the engine is closed")
        try:
            fingerprint = hashlib.sha256(codec.dump_request(request)).hexdigest()
            record = await self._log.get(key)
            if record is None:
                if ask is None:
                    raise EngineFailed(f"the log holds no answer for {key}, and there is no engine to ask")
                record = await self._log.put(key, Record(fingerprint, codec.dump_answer(await ask(request))))
            if record.fingerprint != fingerprint:
                raise EngineFailed(f"the log's answer for {key} is to another request: the log is of another recording")
            return codec.load_answer(record.payload)
        except WireInvalid as error:
            raise EngineFailed(f"{key} cannot be written to the log or read from it: {error}") from error


async def open_replay(log: ResultLog, inner: Engine | None = None) -> ReplayEngine:
    """A ReplayEngine over a log; a new log gets the inner engine's spec.

    Raises:
        EngineFailed: the log is empty and there is no inner engine, or its spec is not the inner engine's (the log was
            begun with other models).
    """
    if inner is not None:
        record = await log.put(_SPEC, Record("", dump_spec(inner.spec)))
    else:
        found = await log.get(_SPEC)
        if found is None:
            raise EngineFailed("the log of answers is empty, and there is no engine to ask")
        record = found
    try:
        spec = load_spec(record.payload)
    except WireInvalid as error:
        raise EngineFailed(f"the log does not say which models it is of: {error}") from error
    if inner is not None and spec != inner.spec:
        raise EngineFailed(f"the log was begun with other models: {spec}, now {inner.spec}")
    return ReplayEngine(spec, log, inner)
