"""app/cli/output.py: files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from app.cli import output
from app.errors import OutputError


def test_an_existing_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    output.write_file(path, "new é")
    assert path.read_text(encoding="utf-8") == "new é"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        output.write_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(OutputError, match=r"a\.txt: No such file"):
        output.write_file(tmp_path / "gone" / "a.txt", "x")


def test_clashes_are_by_stem():
    a, b, c = Path("x/a.wav"), Path("y/a.mp3"), Path("b.wav")
    assert output.clashes([a, c]) is None
    assert output.clashes([a, c, b]) == (a, b)
