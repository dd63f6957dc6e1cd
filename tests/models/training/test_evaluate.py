"""Scores and the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.sot.modeling import SotModel
from models.sot.text import plain_decode
from models.training.evaluate import FIRST_PASS, NO_SOUND, NO_TEXT, WHOLE, Evaluator, kind_of, render
from models.training.setup import load_examples, make_model
from models.training.shards import PreparedTurn
from tests.models.sot.tiny import ENCODER_WIDTH, tiny_llm, tiny_recipe, write_set


@pytest.mark.parametrize(
    ("text", "overlap", "kind"),
    [
        ("", 0.0, "nobody speaks"),
        ("a", 0.0, "no overlap"),
        ("a", 0.2, "overlap below half"),
        ("a", 0.5, "overlap of half or more"),
    ],
)
def test_kinds_of_turns(text: str, overlap: float, kind: str) -> None:
    assert kind_of(PreparedTurn(0, 1, 0, text, "", overlap)) == kind


def test_the_table_counts_all_turns(tmp_path: Path) -> None:
    llm = tiny_llm()
    model: SotModel = make_model(llm, tiny_recipe(), ENCODER_WIDTH).eval()
    examples = load_examples(write_set(tmp_path / "set"), model, llm, 0)
    evaluator = Evaluator(model, examples, plain_decode(llm.tokenizer), batch=3)
    lines: list[str] = []
    table = evaluator.run([FIRST_PASS, WHOLE, NO_TEXT, NO_SOUND], lines.append)
    cascade = table[FIRST_PASS]["all"]
    assert (cascade.turns, cascade.words, cascade.errors) == (8, 12, 4)
    assert all(scores["all"].turns == 8 for scores in table.values())
    assert len(lines) == 4
    text = render(table)
    assert "| first pass | 33.3 |" in text
    assert len(text.splitlines()) == 6
