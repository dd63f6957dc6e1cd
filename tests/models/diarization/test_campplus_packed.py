from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.diarization.campplus import CamPlusPlus, CamPlusPlusConfig
from models.diarization.campplus_packed import PackedCamPlusPlus
from tests.models.diarization.conftest import randomise


def clips_of(lengths: list[int], seed: int = 0, mel_bins: int = 16) -> list[torch.Tensor]:
    """Random features (T, mel_bins) of each length."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, mel_bins, generator=generator) for length in lengths]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(3, 450), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_pack_of_any_clips_equals_the_reference_clip_by_clip(tiny_network: CamPlusPlus, lengths: list[int], seed: int):
    clips = clips_of(lengths, seed)

    vectors = PackedCamPlusPlus(tiny_network)(clips)

    expected = torch.cat([tiny_network(clip[None]) for clip in clips])
    torch.testing.assert_close(vectors, expected, rtol=1e-3, atol=1e-4)


def test_full_size_network_equals_the_reference():
    torch.manual_seed(0)
    network = CamPlusPlus(CamPlusPlusConfig(layers=(2, 2, 2)))
    randomise(network, seed=1)
    network.eval().requires_grad_(False)
    clips = clips_of([60, 230], mel_bins=80)

    vectors = PackedCamPlusPlus(network)(clips)

    expected = torch.cat([network(clip[None]) for clip in clips])
    assert torch.nn.functional.cosine_similarity(vectors, expected).min() > 0.99999
    torch.testing.assert_close(vectors, expected, rtol=1e-3, atol=1e-3)


def test_neighbours_in_a_pack_do_not_matter(tiny_network: CamPlusPlus):
    packed = PackedCamPlusPlus(tiny_network)
    clip, quiet, loud = clips_of([50, 40, 40])

    beside_quiet = packed([quiet, clip, quiet])[1]
    beside_loud = packed([loud * 100.0, clip, loud * 100.0])[1]

    torch.testing.assert_close(beside_quiet, beside_loud, rtol=1e-4, atol=1e-5)


def test_network_is_left_as_it_was(tiny_network: CamPlusPlus):
    before = {name: tensor.clone() for name, tensor in tiny_network.state_dict().items()}

    PackedCamPlusPlus(tiny_network)(clips_of([50]))

    for name, tensor in tiny_network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_network_of_other_parts_is_refused(tiny_network: CamPlusPlus):
    tiny_network.head.layer1[0] = torch.nn.Identity()

    with pytest.raises(TypeError, match="ResidualBlock"):
        PackedCamPlusPlus(tiny_network)
