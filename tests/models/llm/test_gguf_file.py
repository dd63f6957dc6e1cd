"""models/llm/gguf_file.py against the files that the format's own library writes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import BadCheckpoint
from models.llm.gguf_file import read_gguf


def test_metadata_and_tensors_come_back(tensors, write_gguf):
    file = read_gguf(write_gguf(tensors))
    assert file.metadata["general.architecture"] == "llama"
    assert file.metadata["llama.rope.freq_base"] == 50_000.0
    assert file.metadata["tokenizer.ggml.add_bos_token"] is False
    assert file.metadata["tokenizer.ggml.merges"] == ["Ġ t", "h e", "Ġt he"]
    assert file.metadata["tokenizer.ggml.token_type"][:4] == [3, 3, 3, 1]
    assert file.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        assert file.tensors[name].shape == array.shape
        assert (file.tensors[name].floats() == array).all()


def test_quantized_tensors_are_unpacked(tensors, write_gguf):
    file = read_gguf(write_gguf(tensors, quantize=True))
    tensor = file.tensors["blk.0.ffn_up.weight"]
    assert tensor.kind.name == "Q8_0"
    np.testing.assert_allclose(tensor.floats(), tensors[tensor.name], atol=1e-3)
    assert tensor.floats().dtype == np.float32


@given(share=st.floats(0, 0.999))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_file_cut_anywhere_is_refused(tensors, write_gguf, share):
    path = write_gguf({"token_embd.weight": tensors["token_embd.weight"]})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BadCheckpoint, match="is not a GGUF file that can be read"):
        read_gguf(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: b"GGML" + raw[4:], "does not begin with the letters GGUF"),
        (lambda raw: raw[:4] + b"\x01" + raw[5:], "of version 1"),
        (lambda raw: raw.replace(b"general.architecture\x08", b"general.architecture\x63"), "unknown type 99"),
        (
            lambda raw: raw.replace(
                b"output_norm.weight\x01\0\0\0" + b"\x40" + bytes(7) + b"\0",
                b"output_norm.weight\x01\0\0\0" + b"\x40" + bytes(7) + b"\x63",
            ),
            "tensor output_norm.weight is of the unknown type 99",
        ),
    ],
)
def test_refuses(tensors, write_gguf, change, said):
    path = write_gguf(tensors)
    raw = path.read_bytes()
    assert change(raw) != raw
    path.write_bytes(change(raw))
    with pytest.raises(BadCheckpoint) as caught:
        read_gguf(path)
    assert said in str(caught.value)
