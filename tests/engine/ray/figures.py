"""`python -m tests.engine.ray.figures [--real | --spread]`: the figures of docs/deploy.md. Workers, and two nodes of
Ray, on this machine, are measured against the models in the process by `crosstalk bench engine`; the table goes to
stdout.

Without --real the fake models answer, so that what is left is the price of the way. --spread: how far one recording of
twelve minutes is spread over one, two and four workers whose batches take a second each, without Ray. Further options
go to the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.engine.inference import Workers
from tests.engine.ray.cluster import ROOT, TOKEN, Cluster
from tests.engine.test_inference_faults import SOUND


def main(options: list[str]) -> int:
    """Exit status of the command."""
    kinds = [kind for kind in ("--real", "--spread") if kind in options]
    options = [option for option in options if option not in kinds]
    with tempfile.TemporaryDirectory(prefix="xr", dir="/tmp", ignore_cleanup_errors=True) as name:
        if "--spread" in kinds:
            return _spread(Path(name), options)
        return _way(Path(name), options, real="--real" in kinds)


def _way(folder: Path, options: list[str], *, real: bool) -> int:
    command = "app.cli" if real else "tests.engine.inference_process"
    settings = {"crosstalk_engine__num_threads": 1, "crosstalk_engine__token": TOKEN}
    workers, cluster = Workers(folder), Cluster(folder, **settings)
    try:
        urls = [workers.start(command=command, **settings) for _ in range(2)]
        pids = [process.pid for process in workers.processes]
        cluster.start()
        cluster.deploy(f"{'app.cli.on_ray' if real else 'tests.engine.ray.worker_app'}:application")
        sites = {
            "one worker": (urls[:1], pids[:1]),
            "two workers": (urls, pids),
            "Ray Serve, two nodes": (cluster.urls, cluster.pids),
        }
        if "--recording" not in options:
            options += ["--recording", str(_written(folder, 1))]
        return _measured(command, sites, options, settings)
    finally:
        cluster.close()
        workers.close()


def _spread(folder: Path, options: list[str]) -> int:
    settings = {"fake_slow_s": 1}
    workers = Workers(folder)
    try:
        urls = [workers.start(**settings) for _ in range(4)]
        pids = [process.pid for process in workers.processes]
        sites = {f"{number} workers": (urls[:number], pids[:number]) for number in (1, 2, 4)}
        options += ["--calls", "10", "--in-flight", "8", "--recording", str(_written(folder, 12))]
        return _measured("tests.engine.inference_process", sites, options, settings)
    finally:
        workers.close()


def _measured(
    command: str,
    sites: Mapping[str, tuple[Sequence[str], Sequence[int]]],
    options: list[str],
    settings: Mapping[str, object],
) -> int:
    for site, (addresses, processes) in sites.items():
        options += ["--remote", f"{site}={','.join(addresses)}"]
        options += ["--pid", f"{site}={','.join(map(str, processes))}"]
    environment = {key.upper(): str(value) for key, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", command, "bench", "engine", *options],
        cwd=ROOT,
        env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
        check=False,
    ).returncode


def _written(folder: Path, minutes: int) -> Path:
    """The fake models' meeting of a minute, so many times, as a file."""
    path = folder / "meeting.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.tile(np.round(SOUND * 32_767).astype("<i2"), minutes).tobytes())
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
