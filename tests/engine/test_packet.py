"""Bodies of calls to inference workers: what is packed comes back to the bit, what is damaged is refused."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.packet import max_body_bytes, pack_request, pack_window, unpack_request, unpack_window
from app.engine.strict_json import WireInvalid
from app.engine.wire import dump_request, dump_window
from tests.engine.engine_cases import POISON_WINDOW, REQUESTS, WINDOWS

INT16 = (np.arange(-32768, 32768, 7) / 32768).astype(np.float32)


@pytest.mark.parametrize("window", [*WINDOWS, POISON_WINDOW])
def test_a_window_comes_back_to_the_bit(window) -> None:
    assert dump_window(unpack_window(pack_window(window))) == dump_window(window)


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_comes_back_to_the_bit(request_) -> None:
    assert dump_request(unpack_request(pack_request(request_))) == dump_request(request_)


@given(st.lists(st.floats(width=32), max_size=50))
def test_any_sound_comes_back_to_the_bit(values: list[float]) -> None:
    window = replace(WINDOWS[0], samples=np.array(values, dtype=np.float32))
    found = unpack_window(pack_window(window)).samples
    assert np.array_equal(found.view(np.uint32), window.samples.view(np.uint32))


def test_sound_of_16_bits_goes_as_16_bits() -> None:
    window = replace(WINDOWS[0], samples=INT16)
    packed = pack_window(window)
    assert len(packed) < 2 * len(INT16) + 300
    assert np.array_equal(unpack_window(packed).samples, INT16)
    # A minus zero has no 16 bits of its own.
    signed = replace(window, samples=np.array([-0.0, 0.5], dtype=np.float32))
    assert np.signbit(unpack_window(pack_window(signed)).samples[0])


def test_a_body_is_never_larger_than_its_bound() -> None:
    assert max(len(pack_window(window)) for window in WINDOWS) <= max_body_bytes(len(WINDOWS[0].samples))


@given(st.binary(max_size=64), st.integers(0, 40), st.integers(0, 255))
def test_damage_is_refused_and_nothing_else_is_raised(tail: bytes, place: int, value: int) -> None:
    body = bytearray(pack_window(replace(WINDOWS[0], samples=INT16[:4])) + tail)
    body[place] = value
    for data in (bytes(body), bytes(body[:place])):
        with suppress(WireInvalid):
            unpack_window(data)


def test_a_request_is_no_window() -> None:
    with pytest.raises(WireInvalid, match="kind"):
        unpack_window(pack_request(REQUESTS[0]))
    with pytest.raises(WireInvalid, match="1-D float32"):
        pack_window(replace(WINDOWS[0], samples=np.zeros(4)))
