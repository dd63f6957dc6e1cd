"""The routes of `/v1/recordings`. The store blocks, so plain functions run in threads, and uploads hand it to one."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from app.errors import JobNotFound, JobStateInvalid, OptionInvalid, RevisionConflict
from app.formats import FORMATS, docx
from app.jobs.retention import delete_job
from app.jobs.store import Store
from app.jobs.types import Edit, Job, JobQuery, JobState
from app.transport import sse
from app.transport.access.routes import AccessDep, IdentityDep
from app.transport.deps import ServicesDep
from app.transport.problems import HttpProblem
from app.transport.recordings import audio, events, schemas, upload
from app.transport.uploads import may_hold_file, receive_any_form

PARTIAL_HEADER = "X-Crosstalk-Partial"
_ID = re.compile(r"rec_[0-9a-f]{32}")
_PLAIN = r"^[^\x00]*$"

router = APIRouter(prefix="/v1/recordings", tags=["recordings"])


def known_job(recording_id: str, services: ServicesDep, who: IdentityDep) -> Job:
    """The job that a path names, of the tenant who asks. Raises JobNotFound."""
    if not _ID.fullmatch(recording_id):
        raise JobNotFound("there is no such recording")
    return services.store.jobs.get(recording_id, who.tenant)


JobDep = Annotated[Job, Depends(known_job)]


@router.post("", status_code=202, response_model=schemas.RecordingBody, openapi_extra=upload.REQUEST)
async def create_recording(
    request: Request,
    services: ServicesDep,
    who: IdentityDep,
    access: AccessDep,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """Upload a recording, or name an upload that came in parts; it is transcribed in the background."""
    if may_hold_file(request):
        await asyncio.to_thread(services.store.jobs.check_room, who.tenant, idempotency_key)
    async with receive_any_form(request, services.upload_limits, services.upload_dir) as form:
        place, left_s = services.workplace, await access.left_s(who)
        serving = upload.Serving(place.engine.spec.decoder, services.webhooks, who.tenant, who.key_id, left_s)
        job, made = await asyncio.to_thread(upload.queue, services.store, place.limits, form, serving, idempotency_key)
    if made:
        services.job_engine.nudge()
    body = schemas.recording_body(job, await asyncio.to_thread(services.store.jobs.position, job))
    headers = {"Location": f"/v1/recordings/{job.id}", "ETag": job.etag}
    return JSONResponse(body.model_dump(), HTTPStatus.ACCEPTED if made else HTTPStatus.OK, headers)


@router.get("")
def list_recordings(  # noqa: PLR0913 - one parameter per query parameter is how FastAPI reads them
    services: ServicesDep,
    who: IdentityDep,
    state: Annotated[list[JobState], Query()] = [],  # noqa: B006 - FastAPI copies it
    name: Annotated[str, Query(max_length=255, pattern=_PLAIN)] = "",
    created_after: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    created_before: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> schemas.RecordingPage:
    """A page of the recordings, newest first."""
    query = JobQuery(who.tenant, tuple(state), name, created_after, created_before, cursor, limit)
    page = services.store.jobs.list(query)
    return schemas.RecordingPage(data=[schemas.recording_body(job) for job in page.jobs], next_cursor=page.cursor)


@router.get("/{recording_id}")
def get_recording(job: JobDep, services: ServicesDep, response: Response) -> schemas.RecordingBody:
    """One recording: its state, how far it is, what to know about it."""
    response.headers["ETag"] = job.etag
    return schemas.recording_body(job, services.store.jobs.position(job))


@router.delete("/{recording_id}", status_code=204)
def delete_recording(job: JobDep, services: ServicesDep) -> None:
    """Delete a recording with its sound, transcript and every trace."""
    delete_job(services.store, job.id, services.job_engine.forget)


@router.post("/{recording_id}/cancel", status_code=202)
def cancel_recording(job: JobDep, services: ServicesDep) -> schemas.RecordingBody:
    """Stop a recording: at once when it waits, within seconds when it runs."""
    return schemas.recording_body(services.store.jobs.cancel(job.id))


@router.post("/{recording_id}/retry", status_code=202)
def retry_recording(job: JobDep, services: ServicesDep) -> schemas.RecordingBody:
    """Queue a failed or cancelled recording again."""
    again = services.store.jobs.retry(job.id)
    services.job_engine.nudge()
    return schemas.recording_body(again, services.store.jobs.position(again))


@router.get("/{recording_id}/transcript", response_class=Response)
def get_transcript(
    job: JobDep,
    services: ServicesDep,
    format: str = "json",
    revision: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> Response:
    """The transcript in a format; of a running recording what there is so far."""
    if format not in FORMATS and format != "docx":
        raise OptionInvalid(f"unknown format {format[:60]!r}; known: {', '.join(FORMATS)}, docx", param="format")
    if job.state is JobState.RUNNING and job.revision == 0:
        return _partial(services.store, job, format)
    number = revision or job.revision
    view = services.store.transcripts.view(job.id, number)
    etag = f'"{job.id}-{number}"'
    headers = {"ETag": etag, **_attachment(job, ".docx" if format == "docx" else FORMATS[format].extension)}
    if format == "docx":
        return Response(docx.render(view, job.file_name or "Transcript"), headers=headers, media_type=docx.MEDIA_TYPE)
    return Response(FORMATS[format].render(view), headers=headers, media_type=FORMATS[format].media_type)


@router.patch("/{recording_id}/transcript", response_class=Response)
def edit_transcript(
    job: JobDep, services: ServicesDep, body: schemas.EditBody, if_match: Annotated[str | None, Header()] = None
) -> Response:
    """Change speakers' names, a segment's text or its speaker; the revision before is kept."""
    if not body.speakers and not body.segments:
        raise OptionInvalid("there is nothing to change", param="speakers")
    edit = Edit(
        names={int(speaker): name for speaker, name in body.speakers.items()},
        texts={key: it.text for key, it in body.segments.items() if it.text is not None},
        speakers={key: it.speaker for key, it in body.segments.items() if it.speaker is not None},
    )
    revision = services.store.transcripts.edit(job.id, edit, _expected(if_match, job), body.note)
    etag = f'"{job.id}-{revision.number}"'
    return Response(revision.body, headers={"ETag": etag}, media_type="application/json")


@router.get("/{recording_id}/revisions")
def list_revisions(job: JobDep, services: ServicesDep) -> schemas.RevisionList:
    """Every version of the transcript, oldest first."""
    found = services.store.transcripts.revisions(job.id)
    return schemas.RevisionList(data=[schemas.revision_body(it) for it in found])


@router.get("/{recording_id}/audio", response_class=Response)
def get_audio(job: JobDep, services: ServicesDep, range: Annotated[str | None, Header()] = None) -> Response:
    """The sound as it was uploaded, or a range of it."""
    return audio.audio_response(services.store, job, range)


@router.get("/{recording_id}/events", response_class=Response)
async def follow_recording(
    job: JobDep, services: ServicesDep, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """What happens to the recording, as server-sent events."""
    if last_event_id is not None and not re.fullmatch(r"[0-9]{1,9}", last_event_id):
        raise OptionInvalid("Last-Event-ID is not one that this server gave", param="Last-Event-ID")
    told = events.stream(services.store, job.id, int(last_event_id or 0), services.timings.heartbeat_s)
    return StreamingResponse(told, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)


@router.get("/{recording_id}/deliveries")
def list_deliveries(job: JobDep, services: ServicesDep) -> schemas.DeliveryList:
    """The log of the messages to the recording's webhook."""
    found = services.store.deliveries.of_job(job.id)
    return schemas.DeliveryList(data=[schemas.delivery_body(it) for it in found])


def _partial(store: Store, job: Job, format: str) -> Response:
    segments = store.events.segments(job.id)
    headers = {PARTIAL_HEADER: "true", "Cache-Control": "no-store"}
    if format == "json":
        return JSONResponse({"partial": True, "segments": [dict(it) for it in segments]}, headers=headers)
    if format == "txt":
        lines = (f"Speaker {it['speaker'] + 1}: {it['text']}\n" for it in segments)
        return Response("".join(lines), headers=headers, media_type=FORMATS["txt"].media_type)
    raise JobStateInvalid(f"recording {job.id} is running; until it is done there are the formats json and txt")


def _expected(if_match: str | None, job: Job) -> int | None:
    if if_match is None:
        raise HttpProblem(
            HTTPStatus.PRECONDITION_REQUIRED, "if_match_required", "send the ETag that you saw as If-Match", "If-Match"
        )
    if if_match.strip() == "*":
        return None
    found = re.fullmatch(rf'"{job.id}-([0-9]{{1,9}})"', if_match.strip())
    if found is None:
        raise RevisionConflict("If-Match is not an ETag of this transcript", param="If-Match")
    return int(found[1])


def _attachment(job: Job, extension: str) -> dict[str, str]:
    stem = job.file_name.rpartition(".")[0] or job.file_name or job.id
    name = quote(f"{stem}{extension}", safe="", errors="replace")
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
