"""models/compat.py: importing pyannote is safe beside any torch, reports nothing, and touches nothing that works.

Each case runs in an interpreter of its own, as an import cannot be taken back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A torchaudio that stands for the real one: its compiled part fails as the given line says, or works.
FAKE_TORCHAUDIO = """
from . import _extension
from ._extension import _IS_TORCHAUDIO_EXT_AVAILABLE, fail_if_no_align
"""
FAKE_EXTENSION = """
{body}
_IS_TORCHAUDIO_EXT_AVAILABLE = True
def fail_if_no_align(func):
    return func
"""


def run(code: str, *, path: Path | None = None, **environment: str) -> list[str]:
    """Run code in a fresh interpreter with warnings as errors; its printed lines."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYANNOTE_METRICS_ENABLED"}
    paths = [str(path), str(ROOT)] if path else [str(ROOT)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**inherited, "PYTHONPATH": os.pathsep.join(paths), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def fake_torchaudio(folder: Path, body: str) -> Path:
    package = folder / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text(FAKE_TORCHAUDIO)
    (package / "_extension.py").write_text(FAKE_EXTENSION.format(body=body))
    return folder


def test_pyannote_imports_in_silence_with_telemetry_off() -> None:
    lines = run(
        """
        from models.compat import prepare
        prepare()
        prepare()
        import os
        from pyannote.audio import Model
        from pyannote.audio.telemetry.metrics import is_metrics_enabled
        print(Model.__name__, os.environ["PYANNOTE_METRICS_ENABLED"], is_metrics_enabled())
        """
    )
    assert lines == ["Model 0 False"]


def test_the_users_own_choice_of_telemetry_is_kept(tmp_path: Path) -> None:
    lines = run(
        """
        import os
        from models.compat import prepare
        prepare()
        print(os.environ["PYANNOTE_METRICS_ENABLED"])
        """,
        path=fake_torchaudio(tmp_path, ""),
        PYANNOTE_METRICS_ENABLED="1",
    )
    assert lines == ["1"]


def test_a_torchaudio_that_loads_is_not_touched(tmp_path: Path) -> None:
    lines = run(
        """
        import sys
        from models.compat import prepare
        prepare()
        import torchaudio
        extension = sys.modules["torchaudio._extension"]
        print(extension.__file__ is not None, extension is torchaudio._extension)
        print(torchaudio._IS_TORCHAUDIO_EXT_AVAILABLE)
        """,
        path=fake_torchaudio(tmp_path, ""),
    )
    assert lines == ["True True", "True"]


@pytest.mark.parametrize(
    "failure",
    [
        'raise OSError("Could not load this library: _torchaudio.abi3.so")',
        'raise RuntimeError("PyTorch and TorchAudio were compiled with different CUDA versions")',
        'raise ImportError("Failed to load libtorchaudio")',
    ],
)
def test_a_compiled_part_that_fails_is_stood_in_for(tmp_path: Path, failure: str) -> None:
    lines = run(
        """
        import sys
        from models.compat import prepare
        prepare()
        import torchaudio
        extension = sys.modules["torchaudio._extension"]
        print(extension is torchaudio._extension, torchaudio._IS_TORCHAUDIO_EXT_AVAILABLE)
        print(extension._IS_ALIGN_AVAILABLE, extension._check_cuda_version(), extension._load_lib("any"))

        @torchaudio.fail_if_no_align
        def align(): ...

        try:
            align()
        except RuntimeError as error:
            print(error)
        """,
        path=fake_torchaudio(tmp_path, failure),
    )
    assert lines[:2] == ["True False", "False None False"]
    assert lines[2].startswith("align needs torchaudio's compiled part")


def test_a_torchaudio_broken_elsewhere_still_fails_and_leaves_no_stand_in(tmp_path: Path) -> None:
    package = tmp_path / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text('raise RuntimeError("broken elsewhere")')
    lines = run(
        """
        import sys
        from models.compat import prepare
        try:
            prepare()
        except RuntimeError as error:
            print(error, "torchaudio._extension" in sys.modules)
        """,
        path=tmp_path,
    )
    assert lines == ["broken elsewhere False"]


def test_only_the_one_warning_is_silenced(tmp_path: Path) -> None:
    lines = run(
        """
        import warnings
        from models.compat import prepare
        prepare()
        warnings.warn("\\ntorchcodec is not installed correctly so decoding will fail", UserWarning)
        try:
            warnings.warn("something else", UserWarning)
        except UserWarning as warning:
            print(warning)
        """,
        path=fake_torchaudio(tmp_path, ""),
    )
    assert lines == ["something else"]
