"""What the routes work with: one value on `app.state`, given to them as a dependency."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from app.jobs.engine import JobEngine
from app.jobs.store import Store
from app.jobs.uploads import UploadRules
from app.jobs.webhooks import WebhookRules
from app.recordings import Workplace
from app.transport.admission import Admission
from app.transport.uploads import UploadLimits

if TYPE_CHECKING:
    from app.engine.readiness import Readiness


@dataclass(frozen=True, slots=True)
class Timings:
    """Times of the transport, in seconds; their meanings stand in app/settings."""

    request_timeout_s: float
    heartbeat_s: float


@dataclass(frozen=True, slots=True)
class Services:
    """Made by app/main.py when the server starts. started_at_s: Unix time."""

    workplace: Workplace
    store: Store
    job_engine: JobEngine
    admission: Admission
    readiness: Readiness
    upload_limits: UploadLimits
    timings: Timings
    upload_dir: Path
    version: str
    started_at_s: int
    webhooks: WebhookRules = field(default_factory=WebhookRules)
    uploads: UploadRules = field(default_factory=UploadRules)


def get_services(request: Request) -> Services:
    """The services of the app that a request came to."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


ServicesDep = Annotated[Services, Depends(get_services)]
