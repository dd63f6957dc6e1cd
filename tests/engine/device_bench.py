"""A device whose model doubles numbers, when the test lets it."""

from __future__ import annotations

import asyncio
import threading

from app.engine.batching import LaneRules, MicroBatcher
from app.engine.device import DeviceThread

SOON_S = 5.0


class Doubler:
    """A model call that doubles numbers, once `gate` is open. Negative numbers raise, for the whole batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.answers: list[object] | None = None

    def __call__(self, requests):
        self.batches.append(list(requests))
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        assert self.gate.wait(SOON_S)
        if self.answers is not None:
            return self.answers
        if any(request < 0 for request in requests):
            raise ValueError("a negative number")
        return [2 * request for request in requests]


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """A device with one lane over a Doubler, closed at the end."""

    def __init__(self, group=None, urgency=None, device=None, **rules) -> None:
        self.model = Doubler()
        self.device = device or DeviceThread("test-device")
        self.lane = MicroBatcher(self.device, self.model, LaneRules("double", **rules), group, urgency)

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.model.gate.set()
        await self.device.aclose()

    async def occupied(self, request: int = 0) -> asyncio.Task[int]:
        """Keep the thread busy with one request until the gate opens."""
        self.model.gate.clear()
        self.model.entered.clear()
        task = asyncio.create_task(self.lane.ask(request))
        await asyncio.to_thread(self.model.entered.wait, SOON_S)
        return task

    async def queued(self, *requests: int) -> list[asyncio.Task[int]]:
        """Ask for more, which has to wait."""
        tasks = [asyncio.create_task(self.lane.ask(request)) for request in requests]
        await asyncio.sleep(0)
        return tasks


def run(main) -> None:
    asyncio.run(asyncio.wait_for(main(), 2 * SOON_S))
