"""`crosstalk bench engine` over the fake models: every site is asked, and the transcripts are compared."""

from __future__ import annotations

import pytest

from tests.engine.inference import Workers


def test_workers_are_measured_against_the_models_in_this_process(crosstalk, meeting_wav, tmp_path):
    workers = Workers(tmp_path)
    try:
        url = workers.start()
        pid = workers.processes[0].pid
        told = crosstalk(
            *("bench", "engine", "--calls", 10, "--in-flight", 2, "--recording", meeting_wav),
            *("--remote", f"one={url}", "--pid", f"one={pid}"),
        )
    finally:
        workers.close()
    assert told.status == 0, told.err
    rows = [line.split("|")[1:4] for line in told.out.splitlines() if line.startswith(("| in process", "| one"))]
    calls = [[cell.strip() for cell in row] for row in rows[:4]]
    assert calls == [[site, step, "2"] for site in ("in process", "one") for step in ("diarize", "decode")]
    assert told.out.count("| the same |") == 2


@pytest.mark.parametrize(
    "options", [["--pid", "one=1"], ["--remote", "one"], ["--remote", "one=http://127.0.0.1:9", "--pid", "one=x"]]
)
def test_what_is_no_worker_or_process_is_told_at_once(crosstalk, built, options):
    assert crosstalk("bench", "engine", *options).status == 3
    assert built == []
