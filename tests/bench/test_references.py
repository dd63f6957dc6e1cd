from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bench.references import CorpusInvalid, read_rttm, read_seglst, read_stm
from app.bench.speech import SpokenTurn, Utterance

ROW = {"session_id": "m1", "speaker": "A", "start_time": 0.5, "end_time": 1.5, "words": "Hello there"}


def written(tmp_path, name: str, text: str):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_rttm(tmp_path):
    path = written(
        tmp_path,
        "m1.rttm",
        "SPKR-INFO m1 1 <NA> <NA> <NA> unknown B <NA> <NA>\n"
        "SPEAKER m1 1 2.0 1.5 <NA> <NA> B <NA> <NA>\n\n"
        "SPEAKER m1 1 0.5 1.0 <NA> <NA> A <NA>\n"
        "SPEAKER m1 1 9.0 0.0 <NA> <NA> A <NA>\n",
    )
    assert read_rttm(path, "other") == (SpokenTurn(0.5, 1.5, "A"), SpokenTurn(2.0, 3.5, "B"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("SPEAKER m1 1 2.0 1.5 <NA> <NA>", "at least 8 fields, not 7"),
        ("SPEAKER m1 1 two 1.5 <NA> <NA> A <NA> <NA>", "'two' is no time"),
        ("SPEAKER m1 1 2.0 -1 <NA> <NA> A <NA> <NA>", "'-1' is no time"),
        ("SPEAKER m1 1 nan 1.0 <NA> <NA> A <NA> <NA>", "'nan' is no time"),
    ],
)
def test_a_broken_rttm_line_is_named(tmp_path, line, problem):
    path = written(tmp_path, "m1.rttm", f"SPEAKER m1 1 0.5 1.0 <NA> <NA> A <NA> <NA>\n{line}\n")
    with pytest.raises(CorpusInvalid, match=rf"m1\.rttm line 2: .*{problem}"):
        read_rttm(path, "m1")


def test_stm(tmp_path):
    path = written(
        tmp_path,
        "m1.stm",
        ";; a comment\nm1 1 A 0.5 1.5 Hello there\nm1 1 B 2 3 <o,f0,male> Yes\nm1 1 B 4 5\n",
    )
    assert read_stm(path, "m1") == (
        Utterance("A", 0.5, 1.5, "Hello there"),
        Utterance("B", 2.0, 3.0, "Yes"),
        Utterance("B", 4.0, 5.0, ""),
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("m1 1 A 0.5", "an STM line has"),
        ("m1 1 A 3 2 Hello", "before its start"),
        ("m1 1 A 0 9 ignore_time_segment_in_scoring", "not supported"),
    ],
)
def test_a_broken_stm_line_is_named(tmp_path, line, problem):
    with pytest.raises(CorpusInvalid, match=rf"m1\.stm line 1: .*{problem}"):
        read_stm(written(tmp_path, "m1.stm", line), "m1")


def test_seglst(tmp_path):
    path = written(tmp_path, "m1.json", json.dumps([ROW, {**ROW, "start_time": "2", "end_time": "3", "more": 1}]))
    assert read_seglst(path, "m1") == (Utterance("A", 0.5, 1.5, "Hello there"), Utterance("A", 2.0, 3.0, "Hello there"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is not JSON"),
        ("{}", "is no SegLST"),
        ("[3]", "segment 0: a segment is an object"),
        ('[{"speaker": "A"}]', "segment 0: session_id, start_time, end_time, words missing"),
        (json.dumps([{**ROW, "words": ["a"]}]), "words must be text"),
        (json.dumps([{**ROW, "start_time": None}]), "None is no time"),
        (json.dumps([{**ROW, "end_time": 0}]), "before its start"),
    ],
)
def test_a_broken_seglst_is_named(tmp_path, content, problem):
    with pytest.raises(CorpusInvalid, match=rf"m1\.json.*{problem}") as caught:
        read_seglst(written(tmp_path, "m1.json", content), "m1")
    assert caught.value.code == "corpus_invalid"


def test_one_session_of_many_is_found_by_name(tmp_path):
    rows = [{**ROW, "session_id": name, "words": name} for name in ("m1", "m2")]
    path = written(tmp_path, "all.json", json.dumps(rows))
    assert [item.words for item in read_seglst(path, "m2")] == ["m2"]
    with pytest.raises(CorpusInvalid, match="2 sessions, but none is called 'm3'"):
        read_seglst(path, "m3")


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(CorpusInvalid, match=r"gone\.rttm is missing"):
        read_rttm(tmp_path / "gone.rttm", "m1")
    (tmp_path / "bytes.rttm").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(CorpusInvalid, match=r"bytes\.rttm cannot be read"):
        read_rttm(tmp_path / "bytes.rttm", "m1")


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(1, 9999), st.sampled_from("ABC"))))
def test_rttm_round_trip(tmp_path_factory, rows):
    turns = sorted(SpokenTurn(start / 1000, start / 1000 + length / 1000, name) for start, length, name in rows)
    lines = [
        f"SPEAKER m 1 {turn.start_s!r} {turn.end_s - turn.start_s!r} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in turns
    ]
    found = read_rttm(written(tmp_path_factory.mktemp("rttm"), "m.rttm", "".join(lines)), "m")
    assert [turn.speaker for turn in found] == [turn.speaker for turn in turns]
    assert [turn.end_s for turn in found] == [pytest.approx(turn.end_s) for turn in turns]
