"""Where models run: names of a device and a number format -> what torch understands, checked before anything loads."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import torch

from models.errors import ModelError

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class DeviceUnavailable(ModelError):
    """The device asked for is not in this machine, or its name means nothing. One argument: the message."""

    code = "device_unavailable"


def choose_device(name: str) -> str:
    """`auto` -> `cuda` where there is a GPU, else `cpu`; `cpu`, `cuda` and `cuda:N` -> themselves.

    Raises:
        DeviceUnavailable: another name, no GPU, or no GPU of that number.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if name != "cpu" and (kind != "cuda" or (number != "" and not number.isdecimal()) or name.endswith(":")):
        raise DeviceUnavailable(f"unknown device {name!r}; known are auto, cpu, cuda and cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailable(f"device {name!r} is not there: this torch ({torch.__version__}) finds no GPU")
    if number and int(number) >= torch.cuda.device_count():
        raise DeviceUnavailable(f"device {name!r} is not there: GPUs 0 to {torch.cuda.device_count() - 1} are")
    return name


def cuda_build() -> str | None:
    """The version of CUDA that this torch is built for; None for a build without."""
    return torch.version.cuda


def gpu_names() -> tuple[str, ...]:
    """Name and memory of every GPU that torch can use."""
    if not torch.cuda.is_available():
        return ()
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return tuple(f"{it.name} ({it.total_memory / 1024**3:.0f} GiB)" for it in found)


def choose_dtype(name: str, device: str) -> torch.dtype:
    """`auto` -> float32 on a CPU and float16 on a GPU; else the format of that name.

    Raises KeyError for another name.
    """
    if name == "auto":
        return torch.float32 if device == "cpu" else torch.float16
    return DTYPES[name]


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """Cores that this process may use, a container's limit (cgroup v2) included: more threads than that are held
    up together, and each waits for the slowest."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        words = quota.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        words = []
    limit, period = [*words, "max", "1"][:2]
    return cores if limit == "max" else min(cores, int(limit) / int(period))


def use_threads(num_threads: int) -> None:
    """CPU threads of one computation, for the whole process; 0 leaves torch's choice (the cores)."""
    if num_threads > 0:
        torch.set_num_threads(num_threads)


def memory_of(device: str) -> tuple[int, int] | None:
    """(bytes used, bytes in all) of a GPU's memory, by any process; None for a CPU, and for a GPU that has failed."""
    if device == "cpu":
        return None
    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError:
        return None  # what has broken tells of itself where it is used; a look at figures must go on
    return total - free, total


def free_memory(device: str) -> None:
    """Give memory of models that nobody refers to any more back to the device."""
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()
