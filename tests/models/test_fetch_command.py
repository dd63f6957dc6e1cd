"""models/fetch.py from the command line: exit codes, and one line that says what failed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from models.fetch import main

WHOLE = b"all of it"


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registry, weights_dir = tmp_path / "registry.toml", tmp_path / "weights"
    registry.write_text(
        f"""
        [profiles]
        default = ["model"]
        [[files]]
        name = "model"
        role = "asr"
        file = "model.bin"
        sha256 = "{hashlib.sha256(WHOLE).hexdigest()}"
        size_bytes = {len(WHOLE)}
        licence = "MIT"
        licence_url = "https://example.org"
        sources = [{{ kind = "hub", repo = "someone/model", revision = "{"b" * 40}", path = "model.bin" }}]
        """
    )
    options = ["--registry", str(registry), "--weights-dir", str(weights_dir)]
    assert main(["--check", *options]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error [weights_missing]: ")
    assert said.count("\n") == 1
    weights_dir.mkdir()
    (weights_dir / "model.bin").write_bytes(WHOLE)
    assert main(options) == 0
    assert main(["model", "--check", *options]) == 0
    assert main(["--profile", "default", *options]) == 0
    assert main(["--profile", "none", *options]) == 1
    assert "error [registry_invalid]" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["model", "--profile", "default", *options])


@pytest.mark.weights
def test_the_shipped_weights_are_those_of_the_registry() -> None:
    assert main(["--check"]) == 0
