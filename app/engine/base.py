"""The boundary between the session and the models, and its contract.

An engine answers requests that need nothing but themselves, so any replica may answer and windows of many sessions
share one batch. Contract (tests/engine/test_contract.py runs it over every kind):

- the answer to a request does not depend on what else is in flight;
- one failing request fails alone, with an `EngineError`;
- after `aclose` every call raises `EngineClosed`; work in flight is finished or fails, never hangs.
"""

from __future__ import annotations

from typing import Protocol

from app.core.types import Decoded, DecodeRequest, EngineSpec, LocalDiarization, Window


class Engine(Protocol):
    """Kinds: `local` (in this process), `http` (inference workers), `replay` (answers from a log)."""

    @property
    def spec(self) -> EngineSpec:
        """What the models dictate: window length, frame grid, decoder."""

    async def diarize(self, window: Window) -> LocalDiarization:
        """Who speaks when within one window, with a voice vector for each run of clean speech. Raises EngineError."""

    async def decode(self, request: DecodeRequest) -> Decoded:
        """The words of every asked turn. Raises EngineError, and OptionInvalid for a language the decoder does not
        know."""

    async def aclose(self) -> None:
        """Finish or fail what is in flight and free the models."""
