"""app/transport/openai_schemas.py: form fields as different clients send them."""

from __future__ import annotations

import pytest

from app.errors import OptionInvalid
from app.transport.openai_schemas import LIST_FIELDS, ServerVad, TranscriptionForm, read_form


def test_nothing_given_is_openais_default():
    form, ignored = read_form([])
    assert (form.response_format, form.stream, form.temperature, ignored) == ("json", False, 0.0, ())


@pytest.mark.parametrize("name", ["hotwords", "hotwords[]"])
def test_lists_with_and_without_brackets(name):
    form, _ = read_form([(name, "Ada"), (name, "Babbage")])
    assert form.hotwords == ["Ada", "Babbage"]


def test_every_list_of_the_form_is_known_as_one():
    lists = {name for name, field in TranscriptionForm.model_fields.items() if str(field.annotation).startswith("list")}
    assert lists == LIST_FIELDS


@pytest.mark.parametrize(
    "fields",
    [
        [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "0.3")],
        [("chunking_strategy", '{"type": "server_vad", "threshold": 0.3}')],
    ],
)
def test_nested_values_in_both_forms(fields):
    assert read_form(fields)[0].chunking_strategy == ServerVad(type="server_vad", threshold=0.3)


def test_unknown_fields_are_named_once():
    assert read_form([("a", "1"), ("a", "2"), ("language[x]", "en"), ("model", "m")])[1] == ("a", "language[x]")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ([("stream", "maybe")], "stream"),
        ([("temperature", "hot")], "temperature"),
        ([("chunking_strategy", "never")], "chunking_strategy"),
        ([("chunking_strategy", '{"a":' * 100_000)], "chunking_strategy"),
        ([("chunking_strategy[type]", "server_vad"), ("chunking_strategy[x]", "1")], "chunking_strategy"),
        ([("include[]", "everything")], "include"),
        ([("response_format", "pdf")], "response_format"),
        ([("model", "a"), ("model", "b")], "model"),
        ([("prompt", "x" * 4001)], "prompt"),
    ],
)
def test_wrong_values_name_their_field(fields, param):
    with pytest.raises(OptionInvalid) as caught:
        read_form(fields)
    assert caught.value.param == param


def test_long_values_are_not_repeated_whole_in_messages():
    with pytest.raises(OptionInvalid) as caught:
        read_form([("temperature", "x" * 10_000)])
    assert len(caught.value.message) < 400
