from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from models.diarization.campplus import CamPlusPlus, load_campplus, load_strictly
from models.errors import BadCheckpoint
from models.registry import DEFAULT_WEIGHTS_DIR, load_registry
from models.store import require


class Evil:
    """Runs code when an unguarded unpickler reads it."""

    def __reduce__(self):
        return (pytest.fail, ("code of a checkpoint was run",))


@pytest.mark.parametrize("frames", [3, 4, 37, 199, 200, 201, 450])
def test_vector_per_clip_for_any_length(tiny_network: CamPlusPlus, frames: int):
    vectors = tiny_network(torch.randn(2, frames, 16))

    assert vectors.shape == (2, 12)
    assert torch.isfinite(vectors).all()


def test_rows_of_a_batch_are_independent(tiny_network: CamPlusPlus):
    clips = torch.randn(3, 120, 16)

    together = tiny_network(clips)

    for row in range(3):
        torch.testing.assert_close(together[row], tiny_network(clips[row : row + 1])[0], rtol=1e-4, atol=1e-5)


def test_context_mask_weighs_by_clip_and_segment_means(tiny_network: CamPlusPlus):
    mask = tiny_network.xvector.block2.tdnnd1.cam_layer
    x = torch.randn(1, 8, 130)

    out = mask(x)

    local = mask.linear_local(x)
    for start, end in ((0, 100), (100, 130)):
        context = x.mean(dim=2) + x[..., start:end].mean(dim=2)
        hidden = torch.relu(mask.linear1.weight[..., 0] @ context[0] + mask.linear1.bias)
        weight = torch.sigmoid(mask.linear2.weight[..., 0] @ hidden + mask.linear2.bias)
        torch.testing.assert_close(out[0, :, start:end], local[0, :, start:end] * weight[:, None])


def test_dense_block_keeps_what_it_was_given(tiny_network: CamPlusPlus):
    x = torch.randn(1, 10, 50)

    out = tiny_network.xvector.block1(x)

    assert out.shape == (1, 10 + 2 * 6, 50)
    torch.testing.assert_close(out[:, :10], x)


def test_missing_and_unexpected_names_and_wrong_shapes_are_named(tiny_network: CamPlusPlus):
    state = tiny_network.state_dict()
    state["xvector.extra"] = state.pop("head.conv1.weight")
    state["head.bn1.weight"] = torch.zeros(99)

    with pytest.raises(BadCheckpoint) as caught:
        load_strictly(tiny_network, state, "some file")

    message = str(caught.value)
    assert "some file" in message
    assert "missing head.conv1.weight" in message
    assert "unexpected xvector.extra" in message
    assert "head.bn1.weight has shape (99,) instead of (4,)" in message


def test_a_long_list_of_faults_is_cut(tiny_network: CamPlusPlus):
    with pytest.raises(BadCheckpoint, match=r"and \d+ more"):
        load_strictly(tiny_network, {}, "some file")


@pytest.mark.parametrize("state", [[1, 2], {"head.conv1.weight": "text"}])
def test_what_is_no_mapping_to_tensors_is_refused(tiny_network: CamPlusPlus, state: object):
    with pytest.raises(BadCheckpoint):
        load_strictly(tiny_network, state, "some file")


def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"no checkpoint")

    with pytest.raises(BadCheckpoint, match="no readable"):
        load_campplus(path)
    with pytest.raises(BadCheckpoint, match="no readable"):
        load_campplus(tmp_path / "absent.pt")


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path):
    path = tmp_path / "weights.pt"
    torch.save({"head.conv1.weight": Evil()}, path)

    with pytest.raises(BadCheckpoint, match="no readable"):
        load_campplus(path)
    with pytest.raises(pytest.fail.Exception):
        pickle.loads(pickle.dumps(Evil()))


@pytest.mark.weights
def test_real_weights_load_strictly():
    network = load_campplus(require(load_registry(), "voice", DEFAULT_WEIGHTS_DIR))

    assert network.config.vector_size == 192
    assert not network.training
    assert all(not parameter.requires_grad for parameter in network.parameters())
    assert torch.isfinite(network(torch.randn(1, 100, 80))).all()
