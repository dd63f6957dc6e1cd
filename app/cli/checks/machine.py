"""Cores, memory, GPU, disk, and the media library."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.audio.codecs import library_version, missing_decoders
from app.cli.checks.finding import Finding, fail, ok, warn
from app.settings import Settings
from models.device import DeviceUnavailable, choose_device, cuda_build, gpu_names, usable_cores

_GIB = 1024**3
_LEAST_MEMORY = 3 * _GIB
_LEAST_DISK, _LITTLE_DISK = _GIB // 4, 5 * _GIB


def check_machine(settings: Settings) -> Iterator[Finding]:
    """All of it."""
    local = settings.engine.kind == "local"
    yield _cores(local)
    yield _memory(local)
    if local:
        yield _gpu(settings.engine.device)
    yield _folder(settings.data_dir)
    yield _media()


def usable_memory(limit: Path = Path("/sys/fs/cgroup/memory.max"), machine: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes of memory that this process may have, a container's limit included; None where it cannot be told."""
    found = [int(word) for word in _words(limit)[:1] if word.isdecimal()]
    words = _words(machine)
    if "MemTotal:" in words:
        found.append(int(words[words.index("MemTotal:") + 1]) * 1024)
    return min(found, default=None)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return []


def _cores(local: bool) -> Finding:
    cores = usable_cores()
    if local and cores < 2:
        return warn("cores", f"{cores:g} core", "give it two or more: captions come late with less")
    return ok("cores", f"{cores:g} cores")


def _memory(local: bool) -> Finding:
    found = usable_memory()
    if found is None:
        return ok("memory", "cannot be told on this system")
    said = f"{found / _GIB:.1f} GiB"
    if local and found < _LEAST_MEMORY:
        return warn("memory", said, f"give it {_LEAST_MEMORY // _GIB} GiB or more: the models may not fit")
    return ok("memory", said)


def _gpu(device: str) -> Finding:
    names = gpu_names()
    try:
        chosen = choose_device(device)
    except DeviceUnavailable as error:
        return fail("gpu", str(error), f"set CROSSTALK_ENGINE__DEVICE=auto, or {_gpu_advice(cuda_build())}")
    if names:
        return ok("gpu", f"{', '.join(names)}; the models run on {chosen}")
    if shutil.which("nvidia-smi") is not None:
        return warn("gpu", "there is an NVIDIA driver, but this torch finds no GPU", _gpu_advice(cuda_build()))
    without = "none" if cuda_build() is None else f"none, and no driver for this torch's CUDA {cuda_build()}"
    return ok("gpu", f"{without}: the models run on the CPU")


def _gpu_advice(cuda: str | None) -> str:
    """cuda: what torch is built for."""
    if cuda is None:
        return "install the CUDA build of torch"
    return f"install a driver that knows CUDA {cuda}; a container must be given the GPU (docker run --gpus all)"


def _folder(folder: Path) -> Finding:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        advice = "let this user write there, or set CROSSTALK_DATA_DIR to another folder"
        return fail("data", f"{there} cannot be written to: {error.strerror}", advice)
    free = shutil.disk_usage(there).free
    said = f"{folder.absolute()}, {free / _GIB:.1f} GiB free"
    if free < _LEAST_DISK:
        return fail("data", said, "make room, or set CROSSTALK_DATA_DIR to another disk")
    if free < _LITTLE_DISK:
        return warn("data", said, "make room: uploads lie there while they are worked on")
    return ok("data", said)


def _media() -> Finding:
    missing = missing_decoders()
    if missing:
        return fail("media", f"FFmpeg without {', '.join(missing)}", "install PyAV (av) from its own wheel")
    return ok("media", f"FFmpeg's libraries (libavcodec {library_version()}) by PyAV")
