"""The container image: the Dockerfile is clean, and what it runs runs here, in the folders and with the settings that
it has there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from deploy.check_torch import complaint
from tests.deploy.balancer import wait_for
from tests.deploy.dockerfile import read_stages
from tests.deploy.places import ROOT
from tests.running import free_port

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def stages():
    return read_stages(ROOT / "Dockerfile")


def test_the_linter_finds_nothing():
    done = subprocess.run([BIN / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_linter_would_find_something(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp && apt-get install curl\n")
    done = subprocess.run([BIN / "hadolint", tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DL3006" in done.stdout


def test_every_image_has_no_rights_and_a_health_check(stages):
    for name in ("runtime", "airgapped"):
        assert stages[name].user == "10001:10001"
        assert stages[name].health
        assert "serve" in stages[name].command[-1]
    assert "fetch" not in " ".join(stages["airgapped"].command), "an air-gapped site fetches nothing"


def test_what_is_copied_is_in_the_build_context(stages):
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    given = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    for stage in stages.values():
        for origin, sources in stage.copies:
            if origin:
                assert origin in stages
                continue
            for source in sources:
                assert (ROOT / source).exists()
                assert source.removeprefix("./") in given, f"{source} is kept out by .dockerignore"


@pytest.mark.parametrize(
    ("device", "cuda", "fine"),
    [
        ("auto", None, True),
        ("auto", "13.0", True),
        ("cpu", None, True),
        ("cpu", "13.0", False),
        ("cuda", "13.0", True),
        ("cuda", None, False),
        ("tpu", None, False),
    ],
)
def test_an_image_has_the_torch_of_its_device(device, cuda, fine):
    assert (complaint(device, cuda) is None) is fine


def test_the_bill_of_materials_names_what_is_installed(tmp_path):
    out = tmp_path / "sbom.json"
    command = [BIN / "cyclonedx-py", "environment", "--output-reproducible", "--pyproject", ROOT / "pyproject.toml"]
    # Its own check of every address' grammar takes half a minute; the form is looked at here, and by `make sbom`.
    command += ["--no-validate", "--output-file", out, sys.executable]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    said = json.loads(out.read_text())
    assert said["bomFormat"] == "CycloneDX"
    assert said["metadata"]["component"]["name"] == "crosstalk"
    assert all(part["type"] == "library" and part["version"] for part in said["components"])
    names = {part["name"].lower() for part in said["components"]}
    assert {"torch", "fastapi", "transformers", "pyannote-audio"} <= {name.replace(".", "-") for name in names}


class Container:
    """The folders of the image below one folder, and its environment; root's code is read-only."""

    def __init__(self, folder: Path, stage) -> None:
        self.folder = folder
        self.stage = stage
        self.port = free_port()
        self.code = folder / "opt/crosstalk"
        for name in ("app", "models"):
            leave = shutil.ignore_patterns("__pycache__", "weights")
            shutil.copytree(ROOT / name, self.code / name, ignore=leave)
        (self.code / "bin").mkdir()
        script = self.code / "bin/crosstalk"
        script.write_text(f"#!{sys.executable}\nimport sys\nfrom app.cli.main import main\nsys.exit(main())\n")
        script.chmod(0o755)
        for name in ("data", "weights", "tmp", "home/crosstalk"):
            (folder / name).mkdir(parents=True)
        for path in self.code.rglob("*"):
            path.chmod(path.stat().st_mode & ~0o222)

    def environment(self, **more: str) -> dict[str, str]:
        """Of the image, moved below the folder."""
        moved = {}
        for name, value in self.stage.env.items():
            for place in ("/opt/crosstalk", "/data", "/weights"):
                value = value.replace(place, f"{self.folder}{place}")
            moved[name] = value.replace("/opt/venv/bin", str(BIN)).replace("$PATH", "/usr/bin:/bin")
        moved["CROSSTALK_ENGINE__DEVICE"] = "auto"
        moved |= {"HOME": f"{self.folder}/home/crosstalk", "TMPDIR": f"{self.folder}/tmp"}
        return moved | {"CROSSTALK_SERVER__PORT": str(self.port), "OMP_NUM_THREADS": "1"} | more

    def start(self, command, **more) -> subprocess.Popen:
        """A process in it."""
        with self.log.open("ab") as log:
            home = self.folder / "home/crosstalk"
            return subprocess.Popen(command, cwd=home, env=self.environment(**more), stdout=log, stderr=log)

    def run(self, command, **more) -> subprocess.CompletedProcess:
        """A process in it, to its end."""
        home, environment = self.folder / "home/crosstalk", self.environment(**more)
        return subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    @property
    def log(self) -> Path:
        """What its processes say."""
        return self.folder / "log"

    def files(self) -> dict[str, int]:
        """Of the read-only part, with their times of change."""
        return {str(path.relative_to(self.code)): path.stat().st_mtime_ns for path in self.code.rglob("*")}


@pytest.fixture
def container(tmp_path, stages):
    return Container(tmp_path, stages["airgapped"])


def which(container, command):
    """The program by the image's own PATH."""
    found = shutil.which(command[0], path=container.environment()["PATH"])
    assert found is not None
    return [found, *command[1:]]


def test_without_keys_it_does_not_start(container):
    done = container.run(which(container, container.stage.command), CROSSTALK_ENGINE__KIND="http")
    assert done.returncode != 0
    assert "CROSSTALK_ACCESS__REQUIRED" in done.stderr


def test_what_the_image_runs_serves_without_writing_beside_its_volumes(container):
    infer_port, token = free_port(), "t" * 40
    inner = os.environ | {"PYTHONPATH": str(ROOT), "CROSSTALK_ENGINE__TOKEN": token}
    models = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.inference_process", "infer", "--port", str(infer_port)],
        cwd=ROOT,
        env=inner,
        stderr=subprocess.DEVNULL,
    )
    more = {
        "CROSSTALK_ACCESS__REQUIRED": "true",
        "CROSSTALK_ENGINE__KIND": "http",
        "CROSSTALK_ENGINE__URLS": json.dumps([f"http://127.0.0.1:{infer_port}"]),
        "CROSSTALK_ENGINE__TOKEN": token,
    }
    before = container.files()
    keys = which(container, ["crosstalk", "keys", "create", "--name", "me", "--scope", "read"])
    made = container.run(keys, **more)
    assert made.returncode == 0, made.stderr
    server = container.start(which(container, container.stage.command), **more)
    try:
        wait_for(f"http://127.0.0.1:{container.port}/readyz", server, container.log)
        health = container.run(which(container, container.stage.health), **more)
        assert health.returncode == 0, health.stderr
        assert asked(container.port, None) == 401
        assert asked(container.port, made.stdout.strip()) == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) in {0, -signal.SIGTERM}
        assert container.run(which(container, container.stage.health), **more).returncode != 0
    finally:
        for process in (server, models):
            process.kill()
            process.wait(30)
    assert container.files() == before
    assert (container.folder / "data/crosstalk.sqlite").exists()
    for line in container.log.read_text().splitlines():
        assert json.loads(line)["level"] != "ERROR", line


def asked(port, key):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/recordings")
    if key is not None:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
