"""Free mode: the format's round trip, its grammar, and writing with a random model."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.sot.free import FreeTurn, Grammar, Place, write_free
from models.sot.generate_free import generate_free
from models.sot.modeling import SotModel
from models.sot.tokens import Layout
from tests.models.sot.tiny import ENCODER_WIDTH, tiny_config, tiny_llm

LAYOUT = Layout(vocab_size=50, end_token=7, slots=3, times=20)

words = st.lists(st.integers(0, 49).filter(lambda token: token != 7), max_size=4).map(tuple)


@st.composite
def streams(draw: st.DrawFn) -> list[FreeTurn]:
    """Turns as the grammar has them: sorted by start, slots by first appearance."""
    starts = sorted(draw(st.lists(st.integers(0, 20), max_size=6)))
    turns: list[FreeTurn] = []
    for start in starts:
        known = len({turn.slot for turn in turns})
        slot = draw(st.integers(0, min(known, LAYOUT.slots - 1)))
        turns.append(FreeTurn(slot, start, draw(st.integers(start, 20)), draw(words)))
    return turns


@given(streams())
def test_what_is_written_is_read_back(turns: list[FreeTurn]) -> None:
    grammar = Grammar(LAYOUT, LAYOUT.times)
    for item in write_free(turns, LAYOUT):
        assert grammar.allows(item)
        grammar.take(item)
    assert grammar.place is Place.DONE
    assert list(grammar.finish()) == turns


@given(st.lists(st.integers(0, 10**6), max_size=60))
def test_whatever_is_chosen_under_the_grammar_is_a_list_of_turns(choices: list[int]) -> None:
    grammar = Grammar(LAYOUT, 12)
    for choice in choices:
        allowed = grammar.mask().nonzero().squeeze(1).tolist()
        if grammar.place is Place.DONE:
            assert allowed == []
            break
        grammar.take(allowed[choice % len(allowed)])
    turns = grammar.finish()
    assert [turn.start for turn in turns] == sorted(turn.start for turn in turns)
    assert all(0 <= turn.start <= turn.end <= 12 for turn in turns)
    first = list(dict.fromkeys(turn.slot for turn in turns))
    assert first == list(range(len(first)))


@pytest.mark.parametrize(
    "turns",
    [
        [FreeTurn(1, 0, 3, (1,))],
        [FreeTurn(0, 5, 3, (1,))],
        [FreeTurn(0, 5, 6, ()), FreeTurn(0, 4, 6, ())],
        [FreeTurn(0, 0, 21, ())],
        [FreeTurn(0, 0, 3, (7,))],
    ],
)
def test_turns_that_break_the_grammar_are_refused(turns: list[FreeTurn]) -> None:
    with pytest.raises(ValueError, match="may not stand here"):
        write_free(turns, LAYOUT)


def test_a_window_is_written_the_same_alone_and_among_others() -> None:
    torch.manual_seed(1)
    model = SotModel(tiny_config(), tiny_llm().model).requires_grad_(False).double().eval()
    generator = torch.Generator().manual_seed(5)
    windows = [torch.randn((frames, ENCODER_WIDTH), generator=generator).double() for frames in (24, 61, 40)]
    together = generate_free(model, windows, limit=40)
    alone = [generate_free(model, [window], limit=40)[0] for window in windows]
    assert together == alone
    assert all(
        turn.end <= -(-len(w) // 4) for w, answer in zip(windows, together, strict=True) for turn in answer.turns
    )


def test_no_windows_are_no_answers() -> None:
    model = SotModel(tiny_config(), tiny_llm().model).requires_grad_(False).eval()
    assert generate_free(model, [], limit=5) == []
