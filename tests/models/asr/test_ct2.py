"""models/asr/ct2.py: what is written comes back; what is not such a file is refused in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.asr.ct2 import read_ct2
from models.errors import BadCheckpoint

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float16).reshape(2, 3),
    "number": np.array(-1, np.int16),
    "bytes": np.array([-128, 127], np.int8),
    "floats": np.array([1.5], np.float32),
    "whole": np.array([[[7]]], np.int32),
}


def test_round_trip(write_ct2):
    model = read_ct2(write_ct2(ARRAYS, {"other": "matrix"}, spec="AnySpec"))
    assert (model.spec, model.revision, model.aliases) == ("AnySpec", 3, {"other": "matrix"})
    assert list(model.variables) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert model.variables[name].dtype == array.dtype
        assert model.variables[name].shape == array.shape
        assert (model.variables[name] == array).all()
    assert not model.variables["matrix"].flags.writeable


@given(size=st.integers(0, 154))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_file_cut_anywhere_is_refused(write_ct2, size):
    path = write_ct2(ARRAYS, {})
    whole = path.read_bytes()
    assert size < len(whole)
    path.write_bytes(whole[:size])
    with pytest.raises(BadCheckpoint, match="is not a CTranslate2 model"):
        read_ct2(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: b"\x07" + raw[1:], "format version 7, where 6 is read"),
        (lambda raw: raw + b"x", "bytes follow its end"),
        (lambda raw: raw.replace(b"WhisperSpec\0", b"WhisperSpecs"), "no closing zero byte"),
        (lambda raw: raw.replace(b"WhisperSpec\0", b"WhisperSp\xffc\0"), "a name is not text"),
        (lambda raw: raw.replace(b"matrix\0\x02", b"matrix\0\x09"), "variable matrix has 9 dimensions"),
        (lambda raw: raw.replace(b"matrix\0\x02\x02", b"matrix\0\x02\x03"), "of shape (3, 3) has 12 bytes"),
        (lambda raw: raw.replace(b"floats", b"matrix"), "variable matrix stands twice"),
        (lambda raw: raw.replace(b"\x01\0\0\0\x00\x04\0\0\0", b"\x01\0\0\0\x09\x04\0\0\0"), "the unknown type 9"),
        (lambda raw: raw.replace(b"bytes\0\x01", b"other\0\x01"), None),
    ],
)
def test_refuses(write_ct2, change, said):
    path = write_ct2(ARRAYS, {})
    raw = path.read_bytes()
    assert change(raw) != raw
    path.write_bytes(change(raw))
    if said is None:
        assert "other" in read_ct2(path).variables
        return
    with pytest.raises(BadCheckpoint) as caught:
        read_ct2(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_refuses_an_alias_of_nothing(write_ct2):
    with pytest.raises(BadCheckpoint, match="alias other of none"):
        read_ct2(write_ct2(ARRAYS, {"other": "none"}))
