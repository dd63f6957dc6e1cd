"""Two nodes of Ray on this machine, 127.0.0.2 and 127.0.0.3, with Serve on both; ended by the ids of its processes.

The ports are given, as a node that looks for its own waits 15 s for them and no longer, which is too short on a busy
machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx2
import psutil
import yaml

ROOT = Path(__file__).parents[3]
HEADS, WORKERS = "127.0.0.2", "127.0.0.3"
GCS_PORT, HTTP_PORT = 6399, 18100
TOKEN = "a token of this test"
_START_S = 300
_TRIES = 3


class Cluster:
    """Started empty; `deploy` it; `close` it, whatever happened."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self._bin = Path(sys.executable).parent
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("CROSSTALK_", "FAKE_", "RAY_"))
        }
        self._environment |= {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_agent_register_timeout_ms": "180000",
            "RAY_raylet_start_wait_time_s": "180",
            "CROSSTALK_ENGINE__TOKEN": TOKEN,
        }
        self._environment |= {key.upper(): str(value) for key, value in settings.items()}

    @property
    def urls(self) -> list[str]:
        """Of the proxy on each node."""
        return [f"http://{address}:{HTTP_PORT}" for address in (HEADS, WORKERS)]

    def start(self) -> None:
        """Both nodes. Raises AssertionError with what Ray said."""
        head = ["--head", f"--port={GCS_PORT}", "--include-dashboard=false", f"--temp-dir={self.folder / 'ray'}"]
        self._node(HEADS, 6410, head)
        self._node(WORKERS, 6420, [f"--address={HEADS}:{GCS_PORT}"])

    def deploy(self, import_path: str, replicas: int = 2, **options: object) -> None:
        """The shipped configuration, for fewer cores, with other models. Returns once it runs."""
        shipped = yaml.safe_load((ROOT / "deploy/ray/serve.yaml").read_text())
        shipped["http_options"] |= {"port": HTTP_PORT}
        (application,) = shipped["applications"]
        application["import_path"] = import_path
        (deployment,) = application["deployments"]
        deployment["autoscaling_config"] |= {"min_replicas": replicas, "max_replicas": replicas}
        deployment["ray_actor_options"] = {"num_cpus": 0.6, "num_gpus": 0}
        deployment |= options
        path = self.folder / "serve.yaml"
        path.write_text(yaml.safe_dump(shipped))
        self.command("serve", "run", "--non-blocking", "--address", f"{HEADS}:{GCS_PORT}", str(path))
        end_s = time.monotonic() + _START_S
        while not (len(self.replicas()) == replicas and all(_ready(url) for url in self.urls)):
            assert time.monotonic() < end_s, f"replicas {self.replicas()} of {replicas}"
            time.sleep(0.5)

    def command(self, *words: str) -> str:
        """What a command of Ray says. Raises AssertionError when it fails."""
        code, told = self._command(words, {})
        assert code == 0, told
        return told

    def refused(self, *words: str, **environment: str) -> str:
        """What a command says that fails in another environment. Raises AssertionError when it does not."""
        code, told = self._command(words, environment)
        assert code != 0, told
        return told

    @property
    def pids(self) -> list[int]:
        """Of each node's first process; all others are its children."""
        return [process.pid for process in self._processes]

    @staticmethod
    def replicas() -> list[int]:
        """Process ids of the replicas that run."""
        return [
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if process.info["cmdline"] and process.info["cmdline"][0].startswith("ray::ServeReplica:")
        ]

    def kill_node(self, node: int) -> None:
        """kill -9 for all of a node, as when its machine is lost."""
        for process in self._node_processes(node):
            if process.is_running():
                process.kill()
        self._processes[node].wait()

    def close(self) -> None:
        """End everything that was started."""
        for node in reversed(range(len(self._processes))):
            self.kill_node(node)

    def _node_processes(self, node: int) -> list[psutil.Process]:
        started = self._processes[node]
        if started.poll() is not None:
            return []
        parent = psutil.Process(started.pid)
        return [parent, *parent.children(recursive=True)]

    def _command(self, words: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        done = subprocess.run(
            [str(self._bin / words[0]), *words[1:]],
            env=self._environment | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_START_S,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def _node(self, address: str, port: int, options: list[str]) -> None:
        command = [
            str(self._bin / "ray"), "start", "--block", *options,
            f"--node-ip-address={address}",
            "--num-cpus=2",
            "--object-store-memory=100000000",
            "--disable-usage-stats",
            f"--dashboard-agent-grpc-port={port}",
            f"--dashboard-agent-listen-port={port + 1}",
            f"--metrics-export-port={port + 2}",
            f"--runtime-env-agent-port={port + 3}",
        ]  # fmt: skip
        path = self.folder / f"node-{address}.log"
        for _ in range(_TRIES):
            with path.open("wb") as log:
                process = subprocess.Popen(command, env=self._environment, cwd=self.folder, stdout=log, stderr=log)
            self._processes.append(process)
            if _started(process, path):
                return
            self.kill_node(-1)
            self._processes.pop()
        raise AssertionError(path.read_text())


def _started(process: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether a node has come up; False when its raylet ended, as it does where its helpers take more than 15 s."""
    end_s = time.monotonic() + _START_S
    while "Ray runtime started" not in log.read_text():
        children = psutil.Process(process.pid).children() if process.poll() is None else []
        ended = any(it.name() == "raylet" and it.status() == psutil.STATUS_ZOMBIE for it in children)
        if process.poll() is not None or ended or time.monotonic() > end_s:
            return False
        time.sleep(0.2)
    return True


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=10, trust_env=False).status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False
