from __future__ import annotations

import json

import pytest

from app.bench.corpora import find_items
from app.bench.references import CorpusInvalid
from app.bench.speech import SpokenTurn

RTTM = "SPEAKER {0} 1 0.5 1.0 <NA> <NA> A <NA> <NA>\n"
STM = "{0} 1 B 2.0 4.0 Hello there\n"


def seglst(session: str) -> str:
    return json.dumps([{"session_id": session, "speaker": "A", "start_time": 1, "end_time": 2, "words": "hi"}])


def make(folder, **files: str | None):
    """Files by name, '_' standing for the dot; None = empty."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text or "", encoding="utf-8")
    return folder


def test_sub_folders_are_groups_as_the_simulator_writes_them(tmp_path):
    for group in ("ov30", "ov00"):
        make(
            tmp_path / group,
            m2_flac=None, m2_rttm=RTTM.format("m2"), m2_seglst_json=seglst("m2"),
            m1_flac=None, m1_rttm=RTTM.format("m1"), m1_seglst_json=seglst("m1"),
            set_json='{"not": "a reference"}',
        )  # fmt: skip
    items = find_items(tmp_path)
    assert [(item.group, item.session) for item in items] == [
        ("ov00", "m1"), ("ov00", "m2"), ("ov30", "m1"), ("ov30", "m2"),
    ]  # fmt: skip
    assert items[0].audio == tmp_path / "ov00" / "m1.flac"
    assert items[0].reference.turns == (SpokenTurn(0.5, 1.5, "A"),)
    assert [utterance.words for utterance in items[0].reference.utterances or ()] == ["hi"]


@pytest.mark.parametrize("ending", ["json", "seglst_json"])
def test_one_folder_is_a_group_of_its_own_name(tmp_path, ending):
    folder = make(tmp_path / "plain", a_WAV=None, **{f"a_{ending}": seglst("any")})
    (item,) = find_items(folder)
    assert (item.group, item.session) == ("plain", "a")
    assert item.reference.turns == (SpokenTurn(1.0, 2.0, "A"),)


def test_a_reference_may_be_rttm_alone_or_stm(tmp_path):
    make(tmp_path / "x", a_mp3=None, a_rttm=RTTM.format("a"), b_mp3=None, b_stm=STM.format("b"))
    a, b = find_items(tmp_path)
    assert a.reference.utterances is None
    assert b.reference.turns == (SpokenTurn(2.0, 4.0, "B"),)


def test_hidden_files_and_folders_are_left_alone(tmp_path):
    make(tmp_path, a_wav=None, a_rttm=RTTM.format("a"), notes_txt="x")
    make(tmp_path / ".cache", b_wav=None)
    (tmp_path / "._a.wav").write_bytes(b"")
    assert [item.session for item in find_items(tmp_path)] == ["a"]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "holds no audio"),
        (
            {"a_wav": None},
            r"a\.wav has no reference beside it: expected one of a\.rttm, a\.seglst\.json, a\.json, a\.stm",
        ),
        ({"b_rttm": RTTM}, r"b\.rttm has no audio"),
        ({"b_seglst_json": "[]"}, r"b\.seglst\.json has no audio"),
        ({"a_wav": None, "a_flac": None, "a_rttm": RTTM}, r"a\.flac and .*a\.wav are two recordings of one name"),
        ({"a_wav": None, "a_json": "[]", "a_stm": STM}, r"two references with words, a\.json and a\.stm"),
        ({"a_wav": None, "a_json": "{}"}, r"a\.json is no SegLST"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(tmp_path, files, problem):
    with pytest.raises(CorpusInvalid, match=problem):
        find_items(make(tmp_path / "set", **files))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(CorpusInvalid, match="gone is no folder") as caught:
        find_items(tmp_path / "gone")
    assert caught.value.param == "data"
