"""`POST /v1/audio/transcriptions`, as OpenAI's: multipart in, a transcript or a stream of events out.

What differs from OpenAI: extra fields for the number of speakers and hotwords, further formats, no limit of 30 s
without `chunking_strategy`; fields that are unknown or have no effect are named in the header `X-Crosstalk-Ignored`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.formats.openai import SpeakerLabels, diarized_segment, plain_text
from app.session import Final, Finished, Update
from app.transport import openai_docs, sse
from app.transport.access.routes import AccessDep, IdentityDep
from app.transport.deps import Services, ServicesDep
from app.transport.disconnect import while_connected
from app.transport.live.owner import Owner
from app.transport.problems import problem_of
from app.transport.transcription import Task, read_task, updates, whole
from app.transport.uploads import receive_form

_log = logging.getLogger(__name__)

IGNORED_HEADER = "X-Crosstalk-Ignored"
_MAX_IGNORED = 20

router = APIRouter(tags=["audio"])


@router.post(
    "/v1/audio/transcriptions",
    summary="Transcribe a recording",
    response_class=Response,
    responses=openai_docs.RESPONSES,
    openapi_extra=openai_docs.REQUEST,
)
async def create_transcription(
    request: Request, services: ServicesDep, who: IdentityDep, access: AccessDep
) -> Response:
    """Who spoke, when, and what: send a recording, get its transcript in the format asked for."""
    async with AsyncExitStack() as stack:
        stack.enter_context(services.admission.admit())
        form = await stack.enter_async_context(receive_form(request, services.upload_limits, services.upload_dir))
        task = read_task(services, form)
        owner = Owner(who, access)
        stack.push_async_callback(owner.leave)
        if task.stream:
            return await _stream(request, services, task, stack, owner)
        view = await while_connected(request, whole(services, task, owner.heard))
        return Response(task.format.render(view), media_type=task.format.media_type, headers=_headers(task))


async def _stream(request: Request, services: Services, task: Task, stack: AsyncExitStack, owner: Owner) -> Response:
    """Start the work, and the answer once the work has shown a sign of life: until then errors have a real status."""
    running = sse.with_heartbeats(updates(services, task, owner.heard), services.timings.heartbeat_s)
    stack.push_async_callback(running.aclose)
    first = await while_connected(request, _next(running))
    return _Events(_events(first, running, task, owner), stack.pop_all(), _headers(task))


async def _next(running: AsyncIterator[Update | None]) -> Update | None:
    return await anext(running)


async def _events(
    first: Update | None, running: AsyncIterator[Update | None], task: Task, owner: Owner
) -> AsyncIterator[bytes]:
    writer = _EventWriter(diarized=task.format.name == "diarized_json")
    try:
        for line in writer.write(first):
            yield line
        async for update in running:
            for line in writer.write(update):
                yield line
            if isinstance(update, Finished):
                await owner.leave()
    except Exception as error:  # noqa: BLE001 - the status is sent already; the client must learn of it in the stream
        _log.exception("a streamed transcription failed")
        yield sse.event(problem_of(error).body())


class _EventWriter:
    """A session's updates -> OpenAI's events, in bytes. Segments are sent once, when they are final."""

    def __init__(self, *, diarized: bool) -> None:
        self._diarized = diarized
        self._labels = SpeakerLabels({})
        self._started = False

    def write(self, update: Update | None) -> list[bytes]:
        """The events for one update; for None a heartbeat."""
        if update is None:
            return [sse.HEARTBEAT]
        if isinstance(update, Finished):
            return [sse.event({"type": "transcript.text.done", "text": plain_text(update.view)})]
        if isinstance(update, Final):
            return self._segment(update)
        return []

    def _segment(self, final: Final) -> list[bytes]:
        segment = diarized_segment(final.segment, self._labels.label(final.segment.speaker))
        if not segment["text"]:
            return []
        delta = {"type": "transcript.text.delta", "delta": f"{' ' if self._started else ''}{segment['text']}"}
        self._started = True
        if not self._diarized:
            return [sse.event(delta)]
        return [sse.event(delta | {"segment_id": segment["id"]}), sse.event(segment)]


class _Events(StreamingResponse):
    """A stream that frees what its work holds (the file, its place in the queue) however it ends, also unread."""

    def __init__(self, events: AsyncIterator[bytes], stack: AsyncExitStack, headers: dict[str, str]) -> None:
        super().__init__(events, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS | headers)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await super().__call__(scope, receive, send)


def _headers(task: Task) -> dict[str, str]:
    if not task.ignored:
        return {}
    # The names come from the client: only what cannot break a header goes back.
    names = (re.sub(r"[^\w.\[\]-]", "?", name, flags=re.ASCII)[:60] for name in task.ignored[:_MAX_IGNORED])
    return {IGNORED_HEADER: ", ".join(names)}
