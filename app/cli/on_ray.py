"""What Ray Serve deploys: `import_path: app.cli.on_ray:application` (deploy/ray/serve.yaml, docs/deploy.md).

The settings are those of `crosstalk infer`. Each replica reads them where it runs, so the token is never part of what
Ray keeps and shows: it stands in the environment of `ray start` on every machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from app.errors import OptionInvalid, SetupError
from app.observe import set_up_logging
from app.settings import Settings, load_settings
from app.wiring import engine_settings, infer_rules

if TYPE_CHECKING:
    from app.engine.ray_deploy import Parts

AUTH_MODE = "RAY_AUTH_MODE"


def application(args: Mapping[str, str]) -> object:
    """The application for Serve; `args` has to be empty.

    Raises:
        SetupError: Ray is not installed, or the cluster or the workers are open to strangers.
        OptionInvalid: an argument was given, or the engine is not of kind local.
    """
    if args:
        raise OptionInvalid(
            f"unknown arguments: {', '.join(args)}; settings are variables (docs/settings.md)", param="args"
        )
    guarded_settings()
    try:
        from app.engine import ray_deploy
    except ModuleNotFoundError as error:
        raise SetupError(f"Ray Serve needs {error.name}: pip install 'crosstalk[ray]'") from error
    return ray_deploy.application(make_parts)


def make_parts() -> Parts:
    """The models of one replica; takes seconds. Raises SetupError, ModelUnavailable, OptionInvalid."""
    from app.engine.ray_deploy import Parts
    from app.engine.worker import ModelWorker
    from app.monitoring import make_metrics

    settings = guarded_settings()
    set_up_logging(settings.log.level, settings.log.format)
    engine = engine_settings(settings)
    worker = ModelWorker.load(engine.worker)
    batching = replace(engine.batching, apart=worker.device == "cpu")
    return Parts(worker, batching, infer_rules(settings), make_metrics(settings))


def guarded_settings() -> Settings:
    """The settings of this machine. Raises SetupError where they or Ray's let strangers in, OptionInvalid."""
    settings = load_settings()
    if settings.engine.kind != "local":
        raise OptionInvalid("an inference worker runs the models itself: unset engine.kind", param="engine.kind")
    if not settings.engine.token:
        message = "on Ray, workers need a token: set CROSSTALK_ENGINE__TOKEN for ray start on every machine"
        raise SetupError(message, param="CROSSTALK_ENGINE__TOKEN")
    if os.environ.get(AUTH_MODE) != "token":
        message = f"whoever reaches this cluster may run code in it: set {AUTH_MODE}=token for ray start everywhere"
        raise SetupError(message, param=AUTH_MODE)
    return settings
