"""What the tests deploy on Ray Serve: the real deployment and its real settings over the fake models.

Environment as of tests/engine/inference_process.py.
"""

from __future__ import annotations

from app.cli.on_ray import guarded_settings
from app.engine.local import BatchRules
from app.wiring import infer_rules


def make_parts():
    """A replica's."""
    from app.engine.ray_deploy import Parts
    from tests.engine.inference_process import ProcessWorker

    settings = guarded_settings()
    engine = settings.engine
    rules = BatchRules(engine.max_diarize_batch, engine.max_decode_batch, engine.max_wait_ms, engine.max_waiting)
    return Parts(ProcessWorker(), rules, infer_rules(settings))


def application(args):
    """See app/cli/on_ray.py."""
    from app.engine import ray_deploy

    guarded_settings()
    return ray_deploy.application(make_parts)
