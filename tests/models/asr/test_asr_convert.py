"""models/asr/convert.py: a Whisper comes back from a CTranslate2 file number for number, and only if it is whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.asr.convert import load_whisper, load_whisper_dir
from models.errors import BadCheckpoint


def test_every_tensor_comes_back(tiny_model, variables, write_ct2):
    loaded = load_whisper(write_ct2(variables))
    expected = tiny_model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert loaded.proj_out.weight is loaded.model.decoder.embed_tokens.weight
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_dimensions_follow_from_the_tensors(tiny_model, variables, write_ct2):
    loaded, expected = load_whisper(write_ct2(variables)).config, tiny_model.config
    sizes = ["vocab_size", "num_mel_bins", "d_model", "max_source_positions", "max_target_positions"]
    for side in ("encoder", "decoder"):
        sizes += [f"{side}_layers", f"{side}_attention_heads", f"{side}_ffn_dim"]
    for key in sizes:
        assert getattr(loaded, key) == getattr(expected, key), key


def test_half_precision_file_and_model(tiny_model, variables, write_ct2):
    halves = {name: array.astype(np.float16) if array.dtype.kind == "f" else array for name, array in variables.items()}
    loaded = load_whisper(write_ct2(halves), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    weight = loaded.model.encoder.conv1.weight
    assert torch.equal(weight, tiny_model.model.encoder.conv1.weight.half().bfloat16())


def without(name):
    return lambda variables: variables.pop(name)


def setting(name, value):
    return lambda variables: variables.update({name: value})


def key_bias(variables):
    variables["decoder/layer_1/self_attention/linear_0/bias"][16] = 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("decoder/layer_1/ffn/linear_1/bias"), "tensor decoder/layer_1/ffn/linear_1/bias is missing"),
        (without("encoder/num_heads"), "tensor encoder/num_heads is missing"),
        (without("decoder/embeddings/weight"), "alias"),
        (setting("decoder/rotary", np.array(1, np.int8)), "Whisper does not have: ['decoder/rotary']"),
        (setting("decoder/activation", np.array(0, np.int8)), "decoder/activation is 0, Whisper has 3"),
        (setting("decoder/pre_norm", np.array(0, np.int8)), "decoder/pre_norm is 0, Whisper has 1"),
        (setting("encoder/num_heads", np.array([2], np.int16)), "must be a number"),
        (setting("encoder/conv1/bias", np.zeros(3, np.float32)), "do not fit the model"),
        (setting("encoder/conv1/bias", np.zeros(16, np.int8)), "is quantized"),
        (setting("encoder/layer_0/ffn/linear_0/weight", np.zeros((3, 16), np.float32)), "is not 1 layers"),
        (key_bias, "is not 0 for the keys"),
    ],
)
def test_refuses_what_is_not_whole(variables, write_ct2, change, said):
    change(variables)
    path = write_ct2(variables)
    with pytest.raises(BadCheckpoint) as caught:
        load_whisper(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_refuses_another_model(variables, write_ct2):
    with pytest.raises(BadCheckpoint, match="holds a TransformerSpec, not a WhisperSpec"):
        load_whisper(write_ct2(variables, spec="TransformerSpec"))


def test_refuses_an_output_layer_of_its_own(variables, write_ct2):
    with pytest.raises(BadCheckpoint, match="must share the embeddings"):
        load_whisper(write_ct2(variables, {}))


def test_directory_of_transformers(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    loaded = load_whisper_dir(tmp_path)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, tiny_model.state_dict()[name]), name
    assert not loaded.training


def test_refuses_a_directory_without_a_model(tmp_path):
    with pytest.raises(BadCheckpoint, match="is not a Whisper model"):
        load_whisper_dir(tmp_path)


def test_refuses_a_directory_with_a_tensor_missing(tiny_model, tmp_path):
    state = {name: tensor for name, tensor in tiny_model.state_dict().items() if "layers.1.fc2.bias" not in name}
    tiny_model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(BadCheckpoint, match=r"missing keys: \['model\.(en|de)coder\.layers\.1\.fc2\.bias'"):
        load_whisper_dir(tmp_path)
