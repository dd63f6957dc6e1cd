"""Which model names are accepted, and `GET /v1/models`.

One process serves one decoder. Clients that were written for OpenAI send its names; those are aliases.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from app.transport.deps import Services, ServicesDep
from app.transport.openai_schemas import ErrorBody, Model, ModelList
from app.transport.problems import HttpProblem

OWN_NAME = "crosstalk"
ALIASES = (
    "whisper-1",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
)

router = APIRouter(prefix="/v1/models", tags=["models"])


def model_names(services: Services) -> tuple[str, ...]:
    """Every accepted name: ours first, then OpenAI's."""
    return (f"{OWN_NAME}-{services.workplace.engine.spec.decoder}", OWN_NAME, *ALIASES)


def check_model(services: Services, name: str | None) -> None:
    """Raises HttpProblem 404 `model_not_found` for a name that is not ours nor an alias; None is ours."""
    names = model_names(services)
    if name is not None and name not in names:
        raise HttpProblem(
            HTTPStatus.NOT_FOUND, "model_not_found", f"no model {name!r} here; known are {', '.join(names)}", "model"
        )


def _model(services: Services, name: str) -> Model:
    return Model(id=name, created=services.started_at_s)


@router.get("", summary="List the accepted model names")
async def list_models(services: ServicesDep) -> ModelList:
    return ModelList(data=[_model(services, name) for name in model_names(services)])


@router.get("/{name}", summary="One model name", responses={404: {"model": ErrorBody}})
async def get_model(name: str, services: ServicesDep) -> Model:
    check_model(services, name)
    return _model(services, name)
