"""`crosstalk submit`, `status` and `fetch` against a real server with the fake engine."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from docx import Document

from app.cli import progress
from app.client.recordings import RecordingsClient
from tests.engine.fake_worker import FakeWorker, Line, fake_engine, meeting
from tests.transport.server import SCRIPT, serving, settings, wait_until, wav

ROOT = Path(__file__).parents[2]
UNKNOWN = "rec_" + "0" * 32


class GatedWorker(FakeWorker):
    """A fake worker whose words wait until the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def decode_batch(self, requests):
        assert self.gate.wait(60)
        return super().decode_batch(requests)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    worker = GatedWorker()
    engine = fake_engine(worker)
    with serving(engine, settings(tmp_path_factory.mktemp("server"), {"heartbeat_s": 0.2})) as url:
        yield url, worker
    asyncio.run(engine.aclose())


@pytest.fixture
def url(server):
    return server[0]


@pytest.fixture
def gate(server):
    """Closed: what is submitted does not get done until it is set."""
    server[1].gate.clear()
    yield server[1].gate
    server[1].gate.set()


def submitted(crosstalk, url, *arguments):
    result = crosstalk("submit", *arguments, "--url", url)
    assert result.status == 0, result.err
    (recording_id,) = result.out.splitlines()
    return recording_id


def done(crosstalk, url, file):
    recording_id = submitted(crosstalk, url, file)
    assert crosstalk("fetch", recording_id, "--wait", "--url", url).status == 0
    return recording_id


def lines(text):
    return [line.split("] ", 1)[1].split(": ", 1)[1] for line in text.splitlines()]


def test_as_a_shell_calls_it(url, meeting_wav, tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTALK_")}

    def run(*arguments):
        command = [sys.executable, "-m", "app.cli", *map(str, arguments), "--url", url]
        return subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, check=False, timeout=120)

    made = run("submit", meeting_wav)
    assert made.returncode == 0, made.stderr
    assert b"meeting.wav: uploaded, " in made.stderr
    recording_id = made.stdout.decode().strip()
    fetched = run("fetch", recording_id, "--wait", "--format", "txt")
    assert (fetched.returncode, fetched.stderr) == (0, b"")
    assert lines(fetched.stdout.decode()) == [it.text for it in SCRIPT]


def test_several_files_give_an_id_a_line_and_one_that_fails_is_told(crosstalk, url, meeting_wav, tmp_path):
    noise, other = tmp_path / "noise.wav", tmp_path / "other.wav"
    noise.write_bytes(b"no sound")
    other.write_bytes(wav())
    result = crosstalk("submit", meeting_wav, noise, other, "--url", url)
    assert result.status == 1
    ids = result.out.splitlines()
    assert len(set(ids)) == 2
    assert f"error: {noise}: " in result.err
    assert "[audio_unreadable]" in result.err
    assert crosstalk("status", ids[1], "--url", url).out.splitlines()[1].split() == ["file", "other.wav"]


def test_the_same_file_twice_makes_two_recordings(crosstalk, url, meeting_wav):
    assert submitted(crosstalk, url, meeting_wav) != submitted(crosstalk, url, meeting_wav)


def test_options_reach_the_server(crosstalk, url, meeting_wav):
    options = ("--priority", 8, "--language", "en", "--hotword", "alpha", "--max-speakers", 3, "--known-speaker", "all")
    recording_id = submitted(crosstalk, url, meeting_wav, *options)
    assert json.loads(crosstalk("status", recording_id, "--json", "--url", url).out)["priority"] == 8
    assert crosstalk("submit", meeting_wav, "--language", "zz", "--url", url).status == 3
    refused = crosstalk("submit", meeting_wav, "--min-speakers", 3, "--max-speakers", 2, "--url", url)
    assert (refused.status, refused.out) == (3, "")
    assert refused.err.endswith("[option_invalid]\n")


def test_a_webhook_and_its_events_reach_the_server(crosstalk, url, meeting_wav):
    hook = ("--webhook", "https://1.1.1.1/", "--url", url)
    assert crosstalk("submit", meeting_wav, *hook).err.endswith("[webhook_refused]\n")  # this server has no secret
    wrong = crosstalk("submit", meeting_wav, "--event", "started", *hook)
    assert (wrong.status, wrong.out) == (3, "")
    assert "unknown event 'started'" in wrong.err


def test_voices_are_learnt_listed_and_forgotten(crosstalk, url, meeting_wav, tmp_path):
    sample = tmp_path / "maya.wav"
    sample.write_bytes(
        wav(meeting([Line(0.2, 5, "alpha bravo charlie delta echo foxtrot golf hotel alpha bravo")], 5.0))
    )
    added = crosstalk("speakers", "add", "Maya \x07", sample, "--url", url)
    assert added.status == 3
    assert added.err.endswith("[option_invalid]\n")
    added = crosstalk("speakers", "add", "Maya", sample, "--url", url)
    assert added.status == 0, added.err
    recording_id = done(crosstalk, url, meeting_wav)
    learnt = crosstalk("speakers", "add", "Bo", "--recording", recording_id, "--speaker", 0, "--url", url)
    rows = [line.split("\t") for line in crosstalk("speakers", "list", "--url", url).out.splitlines()]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        (learnt.out.strip(), recording_id, "Bo"),
        (added.out.strip(), "-", "Maya"),
    ]
    refused = crosstalk("speakers", "add", "Two", meeting_wav, "--url", url)
    assert (refused.status, refused.out) == (3, "")
    assert "[sample_several_voices]" in refused.err
    for row in rows:
        assert crosstalk("speakers", "remove", row[0], "--url", url).status == 0
    assert crosstalk("speakers", "list", "--url", url).out == ""
    assert crosstalk("speakers", "remove", rows[0][0], "--url", url).err.endswith("[speaker_not_found]\n")
    for wrong in (
        ("X",),
        ("X", sample, "--recording", recording_id),
        ("X", "--recording", recording_id),
        ("X", tmp_path),
    ):
        assert crosstalk("speakers", "add", *wrong, "--url", url).status == 3


def test_status_tells_what_a_person_asks(crosstalk, url, meeting_wav):
    recording_id = done(crosstalk, url, meeting_wav)
    result = crosstalk("status", recording_id, "--url", url)
    shown = dict(line.split(None, 1) for line in result.out.splitlines())
    assert (result.status, shown["id"], shown["file"], shown["state"]) == (0, recording_id, "meeting.wav", "succeeded")
    assert shown["progress"].startswith("0:10/0:10 written")


@pytest.mark.parametrize(
    "name", ["txt", "json", "srt", "vtt", "rttm", "ctm", "seglst", "verbose_json", "diarized_json"]
)
def test_every_format(crosstalk, url, meeting_wav, name, tmp_path):
    recording_id = done(crosstalk, url, meeting_wav)
    shown = crosstalk("fetch", recording_id, "-f", name, "--url", url)
    assert shown.status == 0
    path = tmp_path / "out"
    written = crosstalk("fetch", recording_id, "-f", name, "--url", url, "-o", path)
    assert (written.status, written.out) == (0, "")
    assert path.read_text(encoding="utf-8") == shown.out


def test_docx_goes_into_a_file(crosstalk, url, meeting_wav, tmp_path):
    recording_id, path = done(crosstalk, url, meeting_wav), tmp_path / "out.docx"
    assert crosstalk("fetch", recording_id, "-f", "docx", "--url", url, "-o", path).status == 0
    text = " ".join(it.text for it in Document(io.BytesIO(path.read_bytes())).paragraphs)
    assert SCRIPT[0].text.split()[0] in text


def test_what_cannot_be_fetched(crosstalk, url, gate, meeting_wav, tmp_path):
    recording_id = submitted(crosstalk, url, meeting_wav)
    early = crosstalk("fetch", recording_id, "-f", "srt", "--url", url)
    assert (early.status, early.out) == (1, "")
    assert early.err.endswith("[job_state_conflict]\n")
    gate.set()
    assert crosstalk("fetch", recording_id, "-f", "srt", "--wait", "--url", url).status == 0
    assert crosstalk("fetch", recording_id, "-f", "pdf", "--url", url).status == 2
    for command in ("status", "fetch"):
        missing = crosstalk(command, UNKNOWN, "--url", url)
        assert (missing.status, missing.out) == (1, "")
        assert missing.err.endswith("[job_not_found]\n")
    unwritable = crosstalk("fetch", recording_id, "--url", url, "-o", tmp_path / "no" / "out.txt")
    assert unwritable.status == 5


def test_waiting_for_a_cancelled_recording_ends(crosstalk, url, gate, meeting_wav):
    recording_id = submitted(crosstalk, url, meeting_wav)
    with RecordingsClient(url) as client:
        client.cancel(recording_id)
        wait_until(lambda: client.get(recording_id).over, 60)
    result = crosstalk("fetch", recording_id, "--wait", "--url", url)
    assert (result.status, result.out) == (1, "")
    assert "is cancelled [job_state_conflict]" in result.err


def test_quiet_says_nothing(crosstalk, url, meeting_wav):
    result = crosstalk("submit", "-q", meeting_wav, "--url", url)
    assert (result.status, result.err) == (0, "")


def test_files_and_urls_that_cannot_be_used(crosstalk, url, tmp_path):
    assert crosstalk("submit", tmp_path / "missing.wav", "--url", url).status == 3
    assert crosstalk("submit", tmp_path, "--url", url).status == 3
    assert crosstalk("status", UNKNOWN, "--url", "localhost").status == 3
    assert crosstalk("status").status == 2


def test_a_server_that_is_away_is_one_line(crosstalk):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = crosstalk("status", UNKNOWN, "--url", f"http://127.0.0.1:{port}")
    assert (result.status, result.out) == (1, "")
    assert result.err.count("\n") == 1
    assert result.err.endswith("[server_unreachable]\n")


def test_a_terminal_gets_bars(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.Display() as display:
        display.sending("a.wav", 500, 1_000)
        display.sending("a.wav", 1_000, 1_000)
        display.waiting("a.wav")
        display.clear()
    shown = capsys.readouterr().err
    assert "a.wav: waiting" in shown or "a.wav: uploading" in shown
