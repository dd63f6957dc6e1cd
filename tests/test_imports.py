"""Importing the app is cheap: no torch and no models until an engine is built."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import app

HEAVY = ("torch", "torchaudio", "transformers", "pyannote.audio")
LOADS_MODELS = ("app.engine.worker", "app.bench.baseline", "app.cli.checks.machine")
NEEDS_RAY = ("app.engine.ray_deploy",)
RUN_BY_ALEMBIC = ("app.store.migrations.env",)


def _modules() -> list[str]:
    found = pkgutil.walk_packages(app.__path__, "app.", onerror=lambda name: None)
    return [module.name for module in found if module.name not in LOADS_MODELS + NEEDS_RAY + RUN_BY_ALEMBIC]


def test_importing_the_app_loads_no_models():
    modules = _modules()
    assert "app.main" in modules
    assert "app.cli.main" in modules
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
