"""Device and number format names -> torch's, and what is not there is refused by name."""

from __future__ import annotations

import pytest
import torch

from models.device import DeviceUnavailable, choose_device, choose_dtype, free_memory, usable_cores, use_threads


def test_auto_is_what_torch_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == "cuda"


def test_a_gpu_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceUnavailable, match="finds no GPU"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda") == "cuda"
    assert choose_device("cuda:1") == "cuda:1"
    with pytest.raises(DeviceUnavailable, match="0 to 1"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "cpu:1", "cuda:", "cuda:x", "cuda:-1", "CPU"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(DeviceUnavailable, match="unknown device"):
        choose_device(name)


def test_number_formats() -> None:
    assert choose_dtype("auto", "cpu") is torch.float32
    assert choose_dtype("auto", "cuda:1") is torch.float16
    assert choose_dtype("bfloat16", "cpu") is torch.bfloat16
    with pytest.raises(KeyError):
        choose_dtype("float8", "cpu")


def test_threads_are_set_or_left() -> None:
    before = torch.get_num_threads()
    try:
        use_threads(0)
        assert torch.get_num_threads() == before
        use_threads(before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_memory_of_a_cpu_can_always_be_freed() -> None:
    free_memory("cpu")


def test_a_container_has_as_many_cores_as_its_limit_says(tmp_path) -> None:
    quota = tmp_path / "cpu.max"
    everything = usable_cores(quota)
    assert everything >= 1
    for text, cores in (("50000 100000\n", 0.5), ("max 100000\n", everything), ("99900000 100000\n", everything)):
        quota.write_text(text)
        assert usable_cores(quota) == cores
