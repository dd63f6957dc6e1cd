"""Whether this process lives (`/healthz`) and whether it can do its work (`/readyz`).

Ready means: a probe window has really passed through the engine, diarized and decoded, not long ago. A backend that is
broken is never "ready" only because its port is open. A server that is full can still do everything but begin live
sessions: `/readyz?ignore=full` is for those who would send it nothing at all otherwise.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app.transport.deps import ServicesDep
from app.transport.live.endpoint import LiveDep

State = Literal["ready", "starting", "failing", "full"]

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Answer of /healthz."""

    status: Literal["ok"] = "ok"
    version: str


class Ready(BaseModel):
    """Answer of /readyz: 200 when `status` is ready, else 503."""

    status: State
    reason: str = ""
    transcriptions: int
    live_sessions: int


@router.get("/healthz", summary="Is the process alive?")
async def healthz(services: ServicesDep) -> Health:
    return Health(version=services.version)


@router.get(
    "/readyz",
    summary="Can it take work now?",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "Starting, failing its probe, or full"}},
)
async def readyz(services: ServicesDep, live: LiveDep, ignore: Literal["full"] | None = None) -> JSONResponse:
    result = await services.readiness.check()
    state: State = "ready"
    if result is None:
        state = "starting"
    elif not result.passed:
        state = "failing"
    elif live.hub.draining or (ignore is None and (services.admission.full or live.hub.full)):
        state = "full"
    body = Ready(
        status=state,
        reason=(result.reason if result else "") or live.hub.reason_against(),
        transcriptions=services.admission.inside,
        live_sessions=live.hub.sessions,
    )
    if state == "ready":
        return JSONResponse(body.model_dump())
    headers = {"Retry-After": str(live.hub.limits.retry_after_s)}
    return JSONResponse(body.model_dump(), status_code=HTTPStatus.SERVICE_UNAVAILABLE, headers=headers)
