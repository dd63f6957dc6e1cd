"""On what a benchmark ran: processor, memory, GPUs, the code's commit and the versions of what matters.

Nothing in, plain values out, for `report.py`. What cannot be found out is None or 'unknown', never an error.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

PACKAGES = (
    "crosstalk",
    "meeteval",
    "numpy",
    "pyannote.audio",
    "pyannote.metrics",
    "torch",
    "transformers",
    "whisper-normalizer",
)
_COMMAND_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Machine:
    """cores: logical processors that this process may use; gpus: 'name, memory' of each."""

    cpu: str
    cores: int
    memory_bytes: int
    gpus: tuple[str, ...]
    system: str


def this_machine() -> Machine:
    """The machine that this runs on."""
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=int(psutil.virtual_memory().total),
        gpus=tuple(_output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader").splitlines()),
        system=f"{platform.system()} {platform.machine()}",
    )


def commit(folder: Path) -> str | None:
    """The commit checked out in a folder, with '-dirty' when files differ from it; None where there is none."""
    head = _output("git", "-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD")
    if not head:
        return None
    return head + ("-dirty" if _output("git", "-C", str(folder), "status", "--porcelain") else "")


def versions() -> Mapping[str, str]:
    """Python's version and those of the installed packages that can change a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def peak_rss_bytes() -> int:
    """The most memory that this process has held since it started."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"


def _output(*command: str) -> str:
    """What a command prints; nothing where it is not there or fails."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
