"""models/llm/load.py, llama.py: a GGUF gives the model that was saved and the tokens that transformers would read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.errors import BadCheckpoint
from models.llm import load
from models.llm.load import load_llm
from models.registry import DEFAULT_WEIGHTS_DIR, load_registry
from models.store import require

TEXTS = ["the other thing", " 42 the7", "<|im_start|>user\nnaïve 🎉<|im_end|>", ""]


@pytest.fixture
def no_fallback(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("transformers' own reader must not be needed")

    monkeypatch.setattr(load, "_from_transformers", refuse)


@pytest.mark.usefixtures("no_fallback")
def test_the_saved_model_comes_back(tiny_llama, tensors, write_gguf):
    model, _ = load_llm(write_gguf(tensors))
    expected = tiny_llama.state_dict()
    assert model.state_dict().keys() == expected.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    ids = torch.arange(3, 60)[None]
    with torch.inference_mode():
        torch.testing.assert_close(model(ids).logits, tiny_llama(ids).logits)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.usefixtures("no_fallback")
def test_an_output_layer_of_its_own(tensors, write_gguf):
    output = tensors["token_embd.weight"] * 2
    model, _ = load_llm(write_gguf({**tensors, "output.weight": output}), dtype=torch.bfloat16)
    assert torch.equal(model.lm_head.weight, torch.from_numpy(output).bfloat16())
    assert not torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)


def test_same_as_transformers_reads_it(tensors, write_gguf):
    path = write_gguf(tensors, quantize=True)
    model, tokenizer = load_llm(path)
    theirs, their_tokenizer = load._from_transformers(
        path.parent, {"gguf_file": path.name}, device="cpu", dtype=torch.float32
    )
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    for text in TEXTS:
        assert tokenizer(text).input_ids == their_tokenizer(text).input_ids
    for name in ("bos_token", "eos_token", "pad_token", "unk_token", "chat_template", "all_special_tokens"):
        assert getattr(tokenizer, name) == getattr(their_tokenizer, name)


def test_tokens(tensors, write_gguf):
    _, tokenizer = load_llm(write_gguf(tensors))
    assert tokenizer.convert_ids_to_tokens(tokenizer("a the 42").input_ids) == ["a", "Ġthe", "Ġ", "4", "2"]
    for text in TEXTS:
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer("<|im_end|>").input_ids == [2]
    assert tokenizer.decode([1, *tokenizer("the").input_ids, 2], skip_special_tokens=True) == "the"
    assert tokenizer.apply_chat_template([{"role": "user", "content": "the"}], tokenize=False) == "the"


def missing(tensors):
    del tensors["blk.1.attn_v.weight"]


def left_over(tensors):
    tensors["blk.0.attn_extra.weight"] = np.zeros(4, np.float32)


def wrong_shape(tensors):
    tensors["output_norm.weight"] = np.zeros(4, np.float32)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (missing, "model.layers.1.self_attn.v_proj.weight"),
        (left_over, "tensor blk.0.attn_extra.weight is not part"),
        (wrong_shape, "do not fit the model"),
    ],
)
def test_refuses_what_is_not_whole(tensors, write_gguf, change, said):
    change(tensors)
    path = write_gguf(tensors)
    with pytest.raises(BadCheckpoint) as caught:
        load_llm(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_not_plain_llama_goes_to_transformers(tensors, write_gguf, monkeypatch):
    asked = []
    monkeypatch.setattr(load, "_from_transformers", lambda *args, **options: asked.append(args))
    load_llm(write_gguf(tensors, pre="other"))
    load_llm(write_gguf({**tensors, "blk.0.attn_q.bias": np.zeros(64, np.float32)}))
    load_llm(write_gguf(tensors, arch="gemma"))
    assert [options for _, options in asked] == [{"gguf_file": "tiny.gguf"}] * 3


def test_directory_of_transformers(tiny_llama, tensors, write_gguf, tmp_path):
    _, tokenizer = load_llm(write_gguf(tensors))
    folder = tmp_path / "saved"
    tiny_llama.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model, again = load_llm(folder)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, tiny_llama.state_dict()[name]), name
    for text in TEXTS:
        assert again(text).input_ids == tokenizer(text).input_ids


def test_refuses_a_directory_without_a_model(tmp_path):
    with pytest.raises(BadCheckpoint, match="holds no language model"):
        load_llm(tmp_path)


@pytest.mark.weights
def test_the_shipped_model_answers():
    path = require(load_registry(), "smollm2-135m-instruct", DEFAULT_WEIGHTS_DIR)
    model, tokenizer = load_llm(path)
    assert tokenizer("Hello, the capital of France is").input_ids == [19556, 28, 260, 3575, 282, 4649, 314]
    ids = tokenizer("Hello, the capital of France is", return_tensors="pt")
    with torch.inference_mode():
        token = model(**ids).logits[0, -1].argmax().item()
    assert tokenizer.decode([token]) == " Paris"
