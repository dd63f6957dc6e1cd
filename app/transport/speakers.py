"""`/v1/speakers`: people whose voices are known. Voices are personal data: they are never answered or logged."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.errors import JobStateInvalid, OptionInvalid, SpeakerNotFound
from app.jobs.types import JobState
from app.transport.access.routes import IdentityDep
from app.transport.deps import ServicesDep
from app.transport.recordings.routes import known_job
from app.transport.recordings.schemas import NewSpeaker, SpeakerBody, SpeakerPage, speaker_body

router = APIRouter(prefix="/v1/speakers", tags=["speakers"])


@router.post("", status_code=201)
def create_speaker(body: NewSpeaker, services: ServicesDep, who: IdentityDep, response: Response) -> SpeakerBody:
    """Learn the voice of a speaker of a finished transcript."""
    name = " ".join(body.name.split())
    if not name:
        raise OptionInvalid("a name cannot be blank", param="name")
    job = known_job(body.recording, services, who)
    if job.state is not JobState.SUCCEEDED:
        raise JobStateInvalid(f"recording {job.id} is {job.state}; voices are taken from finished ones")
    voice = services.store.speakers.of_transcript(job.id, body.speaker)
    known = services.store.speakers.add(who.tenant, name, voice, job.id)
    response.headers["Location"] = f"/v1/speakers/{known.id}"
    return speaker_body(known)


@router.get("")
def list_speakers(
    services: ServicesDep,
    who: IdentityDep,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> SpeakerPage:
    """A page of the known speakers, newest first."""
    found, after = services.store.speakers.list(who.tenant, cursor, limit)
    return SpeakerPage(data=[speaker_body(it) for it in found], next_cursor=after)


@router.delete("/{speaker_id}", status_code=204)
def delete_speaker(speaker_id: str, services: ServicesDep, who: IdentityDep) -> None:
    """Forget a voice."""
    if not speaker_id.isascii() or not speaker_id.isprintable():
        raise SpeakerNotFound("there is no such speaker")
    services.store.speakers.delete(speaker_id, who.tenant)
