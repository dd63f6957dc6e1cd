"""The page's modules that need no browser, tested by Node's own test runner; and what they share with the server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.formats import transcript_json
from app.formats.languages import LANGUAGE_NAMES

HERE = Path(__file__).parent
MODULES = sorted(HERE.glob("*.test.mjs"))
WEB = HERE.parents[1] / "app" / "web"


def node(*arguments: str) -> subprocess.CompletedProcess:
    found = shutil.which("node")
    assert found, "the page's tests need Node 20 or newer (Debian: apt-get install nodejs); it is not on PATH"
    return subprocess.run([found, *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_module(path):
    done = node("--test", "--test-reporter=tap", str(path))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(re.search(r"^# pass (\d+)$", done.stdout, re.M)[1]) > 3


def test_there_are_modules():
    assert len(MODULES) >= 3


def test_the_languages_are_those_of_the_server():
    listed = re.search(r"CODES = \[(.*?)\];", (WEB / "js/languages.js").read_text(), re.S)[1]
    assert re.findall(r'"(\w+)"', listed) == sorted(LANGUAGE_NAMES)


def test_the_json_of_the_page_is_read_by_the_server():
    script = f"""
    import {{ Transcript }} from "{WEB}/js/transcript.js"; import {{ toJson }} from "{WEB}/js/formats.js";
    const it = new Transcript();
    const said = (id, speaker, start, end, text) => it.take({{ type: "final", segment: {{ id, speaker, start, end, text,
      words: [{{ text, start, end, confidence: 0.87654 }}], flags: ["repetition"], overlaps: true }} }});
    said("b", 1, 0.9, 2.00061, "two"); said("a", 0, 0.1, 1.1, "one");
    it.take({{ type: "speakers", segments: {{}}, names: {{ 1: "Ana" }} }});
    console.log(toJson(it, {{ language: "en" }}));"""
    done = node("--input-type=module", "-e", script)
    assert done.returncode == 0, done.stderr
    view = transcript_json.parse(done.stdout)
    assert [(it.id, it.text, it.speaker) for it in view.segments] == [("a", "one", 0), ("b", "two", 1)]
    assert view.names == {1: "Ana"}
    assert transcript_json.parse(transcript_json.render(view)) == view
