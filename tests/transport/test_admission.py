"""app/transport/admission.py: how much is let in."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import Overloaded
from app.transport.admission import Admission


def test_beyond_running_and_waiting_is_refused():
    admission = Admission(running=1, waiting=1)
    with admission.admit(), admission.admit():
        assert admission.full
        with pytest.raises(Overloaded, match="2 transcriptions"), admission.admit():
            pass
    assert not admission.full
    assert admission.inside == 0


def test_a_place_is_given_back_after_an_error():
    admission = Admission(running=1, waiting=0)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), admission.admit():
            raise ValueError("x")
    assert admission.inside == 0


def test_never_more_run_than_may():
    async def run():
        admission = Admission(running=2, waiting=10)
        running, most = 0, 0

        async def work():
            nonlocal running, most
            async with admission.slot():
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.01)
                running -= 1

        await asyncio.gather(*(work() for _ in range(6)))
        return most

    assert asyncio.run(run()) == 2
