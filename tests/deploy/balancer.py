"""Replicas of `crosstalk serve` and Debian's nginx with the shipped configuration, as processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.deploy.places import NGINX, ROOT
from tests.running import free_port

START_S = 120.0
GENTLY = 19


def nginx_program() -> str:
    """nginx; fails the test where it is not installed."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.fail("these tests need nginx (Debian: apt-get install nginx)")
    return found


def render(folder: Path, port: int, replicas: Sequence[int]) -> Path:
    """The shipped configuration in a folder of its own: only the replicas, the port and the place of its files are
    other ones."""
    for source in NGINX.glob("*.conf"):
        text = source.read_text().replace("listen 8080;", f"listen 127.0.0.1:{port};").replace("/tmp/", f"{folder}/")
        (folder / source.name).write_text(text)
    servers = "".join(f"    server 127.0.0.1:{it} max_fails=0;\n" for it in replicas)
    upstream = f"upstream crosstalk {{\n    zone crosstalk 256k;\n    least_conn;\n{servers}    keepalive 64;\n}}\n"
    (folder / "upstream.conf").write_text(upstream)
    return folder / "nginx.conf"


class Replica:
    """A `crosstalk serve` process over recorded answers; it keeps its port from one life to the next."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTALK_")}
        answers = folder / "answers"
        answers.mkdir(exist_ok=True)
        mine = {"PYTHONPATH": str(ROOT), "CROSSTALK_SERVER__PORT": str(self.port), "REPLAY_FOLDER": str(answers)}
        self._environment = kept | mine | environment
        self._log = folder / f"replica-{self.port}.log"
        self.start(gently=False)

    def start(self, *, gently: bool = True) -> None:
        """Start; `wait_ready` says when it answers. gently: until then it leaves the processor to the others where it
        may, as if it were on a machine of its own."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "tests.deploy.replay_crosstalk", "serve"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stderr=log, stdout=log)
        if gently:
            self._hold_back(GENTLY)

    def wait_ready(self) -> None:
        """Until /readyz says so."""
        wait_for(f"http://127.0.0.1:{self.port}/readyz", self.process, self._log)
        self._hold_back(0)

    def _hold_back(self, by: int) -> None:
        if os.geteuid() != 0:
            return  # others may not take it back
        mine = os.getpriority(os.PRIO_PROCESS, 0)
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, int(thread.name), min(19, mine + by))

    def kill(self) -> None:
        """As a machine that fails."""
        self.process.kill()
        self.process.wait(30)

    def terminate(self) -> int:
        """As an orchestrator that restarts it: the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def live_sessions(self) -> int:
        """How many it holds."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=20) as answer:
            return int(json.load(answer)["live_sessions"])

    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    def close(self) -> None:
        """Gone, whatever it does."""
        if self.process.poll() is None:
            self.kill()


class Balancer:
    """nginx in front of replicas."""

    def __init__(self, folder: Path, replicas: Sequence[int]) -> None:
        self.port = free_port()
        self._log = folder / "nginx.log"
        self._folder = folder
        folder.chmod(0o755)
        config = render(folder, self.port, replicas)
        command = [nginx_program(), "-p", str(folder), "-c", str(config), "-g", "daemon off;"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log)
        wait_for(f"http://127.0.0.1:{self.port}/balancer/healthz", self.process, self._log)

    @property
    def url(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def live_url(self) -> str:
        """Where live streams go."""
        return f"ws://127.0.0.1:{self.port}/v1/live"

    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    def close(self) -> None:
        """Stop at once."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the URL answers 200; fails with the log when the process ends or never does."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                if answer.status == 200:
                    return
        except urllib.error.HTTPError as refused:
            refused.close()
        except OSError:
            pass
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
