"""`python -m tests.engine.ray.figures [--real]`: the figures of docs/deploy.md. Two workers, and two nodes of Ray, on
this machine, are measured against the models in the process by `crosstalk bench engine`; the table goes to stdout.

Without --real the fake models answer, so that what is left is the price of the way. Further options go to the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

from tests.engine.inference import Workers
from tests.engine.ray.cluster import ROOT, TOKEN, Cluster
from tests.engine.test_inference_faults import SOUND


def main(options: list[str]) -> int:
    """Exit status of the command."""
    real = "--real" in options
    options = [option for option in options if option != "--real"]
    command = "app.cli" if real else "tests.engine.inference_process"
    settings = {"crosstalk_engine__num_threads": 1, "crosstalk_engine__token": TOKEN}
    with tempfile.TemporaryDirectory(prefix="xr", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
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
                _write(folder / "meeting.wav")
                options += ["--recording", str(folder / "meeting.wav")]
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
        finally:
            cluster.close()
            workers.close()


def _write(path: Path) -> None:
    """The fake models' meeting."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.round(SOUND * 32_767).astype("<i2").tobytes())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
