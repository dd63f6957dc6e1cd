"""The colours of the page: text contrast of WCAG AA in light and dark, speakers that differ for colour-blind eyes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

CSS = (Path(__file__).parents[2] / "app/web/css/base.css").read_text()
BLOCKS = re.findall(r'(:root(?:\[data-theme="\w+"\])?) \{(.*?)\}', CSS, re.S)
TEXTS = ("text", "muted", "accent", "good", "warn", "bad", *(f"speaker-{i}" for i in range(8)))

# Linear RGB as a dichromat sees it: Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of
# Color Vision Deficiency", IEEE TVCG 15(6), 2009, severity 1.
DICHROMATS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def palette(theme: str) -> dict[str, np.ndarray]:
    """Name -> linear RGB."""
    wanted = ":root" if theme == "light" else f':root[data-theme="{theme}"]'
    body = next(body for name, body in BLOCKS if name == wanted)
    found = dict(re.findall(r"--([\w-]+): #([0-9a-f]{6})", body))
    return {name: linear(value) for name, value in found.items()}


def linear(value: str) -> np.ndarray:
    srgb = np.array([int(value[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def luminance(colour: np.ndarray) -> float:
    return float(colour @ [0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def lab(colour: np.ndarray) -> np.ndarray:
    """CIELAB under D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(colour, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", TEXTS)
def test_text_can_be_read(theme, name):
    colours = palette(theme)
    for ground in ("page", "card", "lane"):
        assert contrast(colours[name], colours[ground]) >= 4.5, ground


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_main_button_can_be_read(theme):
    colours = palette(theme)
    assert contrast(colours["accent"], colours["accent-text"]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("eyes", DICHROMATS)
def test_the_first_four_speakers_differ_for_colour_blind_readers(theme, eyes):
    colours = [lab(np.array(DICHROMATS[eyes]) @ palette(theme)[f"speaker-{i}"]) for i in range(4)]
    for one, other in itertools.combinations(range(4), 2):
        assert np.linalg.norm(colours[one] - colours[other]) > 12, (one, other)


def test_the_system_and_the_button_give_the_same_dark():
    dark, auto = palette("dark"), palette("auto")
    assert dark.keys() == auto.keys()
    assert all((dark[name] == auto[name]).all() for name in dark)
