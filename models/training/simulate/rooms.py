"""Rooms: a random generator in, the impulse responses of a room with one microphone and a place for every speaker out.

Image-source method of pyroomacoustics (Scheibler et al., ICASSP 2018) in a shoebox. One response per speaker per
meeting, as in SASC. Geometry is kept plausible: a table with the microphone on it near the middle of the room, speakers
around it, seated or standing, apart from one another and from the walls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyroomacoustics as pra

from models.training.simulate.clips import SAMPLE_RATE, FloatArray

_WALL_M = 0.5
_MIC_DISTANCE_M = (0.6, 2.5)
_APART_M = 0.6
_TRIES = 200
_SABINE_ABSORPTION = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Room:
    """A room with its responses.

    size_m: (x, y, z); rt60_s: asked reverberation time; distances_m: speaker to microphone
    responses: per speaker (taps,) float32 of unit energy; tap `lead` is the arrival of the direct sound
    """

    size_m: tuple[float, float, float]
    rt60_s: float
    distances_m: tuple[float, ...]
    responses: tuple[FloatArray, ...]
    lead: int


def draw_room(num_speakers: int, rt60_s: tuple[float, float], rng: np.random.Generator) -> Room:
    """Draw a room for `num_speakers` with a reverberation time from the range in seconds."""
    size, absorption, order, rt60 = _draw_walls(rt60_s, rng)
    microphone = np.array([size[0] * rng.uniform(0.4, 0.6), size[1] * rng.uniform(0.4, 0.6), rng.uniform(0.7, 0.9)])
    places = _draw_places(num_speakers, size, microphone, rng)
    pra.constants.set("num_threads", 1)
    room = pra.ShoeBox(list(size), fs=SAMPLE_RATE, materials=pra.Material(absorption), max_order=order)
    for place in places:
        room.add_source(place.tolist())
    room.add_microphone(microphone.tolist())
    room.compute_rir()
    lead = pra.constants.get("frac_delay_length") // 2
    distances = [float(np.linalg.norm(place - microphone)) for place in places]
    responses = [
        _aligned(np.asarray(room.rir[0][index]), round(distance / pra.constants.get("c") * SAMPLE_RATE))
        for index, distance in enumerate(distances)
    ]
    return Room(size, rt60, tuple(round(distance, 3) for distance in distances), tuple(responses), lead)


def _draw_walls(
    rt60_s: tuple[float, float], rng: np.random.Generator
) -> tuple[tuple[float, float, float], float, int, float]:
    """Size, absorption, image order and RT60; a room too large to be that dry is drawn again, smaller."""
    rt60 = round(float(rng.uniform(*rt60_s)), 3)
    largest = 9.0
    while True:
        drawn = (rng.uniform(3.0, largest), rng.uniform(3.0, max(3.5, 0.8 * largest)), rng.uniform(2.4, 3.5))
        size = (round(float(drawn[0]), 2), round(float(drawn[1]), 2), round(float(drawn[2]), 2))
        volume = size[0] * size[1] * size[2]
        surface = 2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
        absorption = 24 * math.log(10) / pra.constants.get("c") * volume / (surface * rt60)
        if absorption <= _SABINE_ABSORPTION[1]:
            break
        largest = max(3.1, largest * 0.9)
    order = math.ceil(pra.constants.get("c") * rt60 / min(size))
    return size, max(absorption, _SABINE_ABSORPTION[0]), order, rt60


def _draw_places(
    count: int, size: tuple[float, float, float], microphone: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """Mouths around the microphone; distances between speakers shrink where the room is too small for all."""
    places: list[np.ndarray] = []
    apart = _APART_M
    while len(places) < count:
        for _ in range(_TRIES):
            angle, distance = rng.uniform(0, 2 * math.pi), rng.uniform(*_MIC_DISTANCE_M)
            height = rng.uniform(1.5, 1.8) if rng.random() < 0.15 else rng.uniform(1.0, 1.35)
            x, y = microphone[0] + distance * math.cos(angle), microphone[1] + distance * math.sin(angle)
            place = np.array([x, y, height])
            inside = _WALL_M <= x <= size[0] - _WALL_M and _WALL_M <= y <= size[1] - _WALL_M
            if inside and all(np.linalg.norm(place - other) >= apart for other in places):
                places.append(place)
                break
        else:
            apart *= 0.8
    return places


def _aligned(response: np.ndarray, delay: int) -> FloatArray:
    """Cut off the travel time, so that speech is where the reference says, and scale to unit energy."""
    kept = response[max(0, delay) :]
    return np.asarray(kept / math.sqrt(float(np.sum(kept**2))), dtype=np.float32)
