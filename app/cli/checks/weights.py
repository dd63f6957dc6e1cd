"""The models' weights, or the inference workers in their place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2

from app.cli.checks.finding import Finding, fail, ok
from app.settings import Settings
from models.errors import ModelError, WeightsMismatch, WeightsMissing
from models.registry import DEFAULT_WEIGHTS_DIR, load_registry
from models.store import require

_TIMEOUT_S = 5.0


def check_weights(settings: Settings) -> Iterator[Finding]:
    """Those that the chosen decoder needs."""
    if settings.engine.kind == "http":
        yield from _workers(settings)
        return
    decoder, model = settings.engine.decoder, settings.engine.decoder_model
    folder = settings.weights_dir or DEFAULT_WEIGHTS_DIR
    try:
        registry = load_registry()
        profile = decoder if decoder in registry.profiles else "default"
        if decoder in registry.public and not model:
            yield fail("weights", f"the decoder {decoder} has no weights", "set CROSSTALK_ENGINE__DECODER_MODEL")
        yield _files(profile, [weight.name for weight in registry.profile(profile)], folder)
    except ModelError as error:
        yield fail("weights", str(error), "install Crosstalk again")
    if model and not Path(model).exists() and "@" not in model:
        yield fail("weights", f"there is no folder {model}", "set CROSSTALK_ENGINE__DECODER_MODEL (docs/decoders.md)")


def _files(profile: str, names: list[str], folder: Path) -> Finding:
    registry = load_registry()
    fetch = "crosstalk models fetch" + ("" if profile == "default" else f" --profile {profile}")
    missing, damaged = [], []
    for name in names:
        try:
            require(registry, name, folder)
        except WeightsMissing:
            missing.append(name)
        except WeightsMismatch:
            damaged.append(name)
    if damaged:
        return fail("weights", f"{', '.join(damaged)} in {folder}: not the bytes that are pinned", fetch)
    if missing:
        return fail("weights", f"{', '.join(missing)} not in {folder}", fetch)
    return ok("weights", f"{len(names)} files verified in {folder}")


def _workers(settings: Settings) -> Iterator[Finding]:
    if not settings.engine.urls:
        yield fail("workers", "no inference workers are named", "set CROSSTALK_ENGINE__URLS")
    headers = {"Authorization": f"Bearer {settings.engine.token}"} if settings.engine.token else {}
    for url in settings.engine.urls:
        base = url.rstrip("/")
        try:
            about = httpx2.get(f"{base}/v1/infer/about", headers=headers, timeout=_TIMEOUT_S)
            ready = httpx2.get(f"{base}/readyz", timeout=_TIMEOUT_S)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            yield fail("workers", f"{url}: {error or type(error).__name__}", "start crosstalk infer there")
            continue
        if about.status_code == 401:
            yield fail("workers", f"{url} wants another token", "set the same CROSSTALK_ENGINE__TOKEN on both sides")
        elif ready.status_code != 200:
            yield fail("workers", f"{url} is not ready: {ready.text[:200]}", "look at its log")
        else:
            yield ok("workers", f"{url} is ready")
