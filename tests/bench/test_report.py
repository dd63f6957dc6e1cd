from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from app.bench.machine import Machine
from app.bench.report import ItemResult, Report, render_json, render_markdown
from app.bench.values import (
    DiarizationErrors,
    DiarizationScores,
    HallucinatedWords,
    JaccardErrors,
    RegionErrors,
    Scores,
    SpeakerCounts,
    Speed,
    WordErrors,
    WordScores,
)

GOLDEN = Path(__file__).parent / "golden"


def item(session: str, group: str, wrong: int, *, words: bool = True) -> ItemResult:
    """A meeting of 40 words and 100 speaker seconds, of which `wrong` words and seconds are wrong."""
    errors = WordErrors(40, substitutions=wrong)
    word_scores = WordScores(
        cp=errors,
        tcp=errors + WordErrors(insertions=1, deletions=1),
        orc=WordErrors(40),
        regions=RegionErrors(WordErrors(10, substitutions=wrong), WordErrors(30)),
        hallucinated=HallucinatedWords(wrong, 90.0),
    )
    diarization = DiarizationScores(
        strict=DiarizationErrors(100.0, missed_s=wrong, false_alarm_s=0.1 + 0.2),
        collar=DiarizationErrors(80.0, confusion_s=wrong / 2),
        jaccard=JaccardErrors(3, wrong / 10),
        counts=SpeakerCounts(1, int(wrong < 3), too_many=wrong),
    )
    scores = Scores(1, word_scores if words else None, diarization)
    return ItemResult(session, group, Speed(90.0, 30.0, 10.0, 20.0) if words else Speed(90.0, 30.0), scores)


def report(*items: ItemResult) -> Report:
    return Report(
        title="Accuracy",
        date=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
        commit="0123456789abcdef-dirty",
        machine=Machine("A processor", 2, 8 * 2**30, ("A GPU, 16 GiB",), "Linux x86_64"),
        versions={"torch": "2", "python": "3.11"},
        settings={"decoder": "cascade", "collar": "5 s"},
        peak_rss_bytes=3 * 2**29,
        items=items,
    )


TWO_GROUPS = report(item("m2", "ov30", 4), item("m1", "ov30", 2), item("m1", "ov|00", 0))


def test_markdown_is_golden():
    assert render_markdown(TWO_GROUPS) == (GOLDEN / "report.md").read_text(encoding="utf-8")


def test_json_is_golden():
    assert render_json(TWO_GROUPS) == (GOLDEN / "report.json").read_text(encoding="utf-8")


def test_groups_and_all_are_pooled():
    first, second = TWO_GROUPS.groups
    assert (first.name, second.name) == ("ov30", "ov|00")
    assert first.scores.words is not None
    assert first.scores.words.cp == WordErrors(80, substitutions=6)
    assert first.speed == Speed(180.0, 60.0, 20.0, 40.0)
    assert TWO_GROUPS.overall.scores.meetings == 3


def test_the_order_of_items_does_not_change_the_text():
    turned = report(*reversed(TWO_GROUPS.items))
    assert render_markdown(turned) == render_markdown(TWO_GROUPS)
    assert json.loads(render_json(turned)) == json.loads(render_json(TWO_GROUPS))


def test_diarization_alone_has_no_table_of_words():
    text = render_markdown(report(item("m1", "ov00", 1, words=False)))
    assert "## Word errors" not in text
    assert "| ov00 | 1 | - | - | - | - | - | - | 1.30 | 0.62 | 3.33 | 1/1 (+1 -0) | 3.0 |" in text
    assert "| all |" not in text


def test_an_empty_report_says_so():
    assert "| all | 0 | - |" in render_markdown(report())
    assert json.loads(render_json(report()))["groups"] == []
