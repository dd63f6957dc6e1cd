"""The Python client of `/v1/recordings` and `/v1/speakers` (docs/recordings-api.md), without asyncio.

    with RecordingsClient("http://127.0.0.1:8000") as client:
        made = client.submit(Path("meeting.wav"), UploadOptions(language="en"))
        done = client.wait(made.id)
        text = client.transcript(done.id, "txt").content.decode()

What a lost connection or a busy server stops is tried again (`RetryRules`); an upload carries an Idempotency-Key, so
that trying again never makes a second recording. Errors are app/errors.py's by the server's code, or those of
app/client/recording_errors.py.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import httpx2

from app.client import recording_wire as wire
from app.client.recording_errors import AnswerInvalid, ServerUnreachable, WaitTimeout, answered_error
from app.client.recording_types import (
    Delivery,
    KnownSpeaker,
    Recording,
    RecordingEvent,
    RetryRules,
    Revision,
    Transcript,
    UploadOptions,
    read,
    read_recording,
)
from app.client.uploads import IN_PARTS_FROM_BYTES, PartedUpload
from app.client.uploads import PATH as UPLOADS
from app.client.uploads import VERSION as TUS
from app.errors import (
    CrosstalkError,
    FileUnreadable,
    InputError,
    JobNotFound,
    LimitReached,
    OptionInvalid,
    QueueFull,
)

_API = "/v1/recordings"
_SPEAKERS = "/v1/speakers"
_REFUSED = frozenset({429, 503})
"""The server is too busy to begin; nothing was done."""
_BUSY = _REFUSED | {502, 504}
_SILENCE_S = 60.0
"""Servers send something every few seconds; after so much silence the connection is taken for lost."""


class RecordingsClient:
    """One server. A context manager; one thread at a time."""

    def __init__(
        self,
        url: str,
        rules: RetryRules | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        answer_timeout_s: float = 300.0,
        in_parts_from_bytes: int = IN_PARTS_FROM_BYTES,
    ) -> None:
        """url: http://HOST:PORT; headers: sent with every request, such as a proxy's credentials;
        answer_timeout_s: for an answer after all is sent (a server probes and stores a large upload before it answers);
        in_parts_from_bytes: files of that size go in parts, which are taken up again where a connection broke.

        Raises OptionInvalid for a URL that is none.
        """
        try:
            base = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise OptionInvalid(f"{url[:200]!r} is no URL: {error}", param="url") from error
        if base.scheme not in ("http", "https") or not base.host:
            raise OptionInvalid(f"{url[:200]!r} is no URL like http://127.0.0.1:8000", param="url")
        self._rules = rules or RetryRules()
        self._in_parts_from_bytes = in_parts_from_bytes
        self._url = f"{base.scheme}://{base.netloc.decode('ascii')}"
        timeout = httpx2.Timeout(_SILENCE_S, read=answer_timeout_s, connect=10.0)
        self._http = httpx2.Client(base_url=base, timeout=timeout, headers=dict(headers or {}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(
        self,
        file: Path,
        options: UploadOptions | None = None,
        *,
        key: str | None = None,
        on_sent: Callable[[int, int], None] | None = None,
    ) -> Recording:
        """Upload a recording; it is read as it is sent, a large one in parts.

        key: the Idempotency-Key, a new one for each call when not given; on_sent: called with (bytes sent, bytes
        in all), back at what has come when it is tried again. Raises FileUnreadable, and what the server answers.
        """
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        form = (options or UploadOptions()).form()
        if file.exists() and not file.is_file():
            raise FileUnreadable(f"{file}: not a file", param="file")
        try:
            with file.open("rb") as opened:
                if os.fstat(opened.fileno()).st_size >= self._in_parts_from_bytes:
                    upload = PartedUpload(self._request, self._http.patch, self._rules)
                    return self._from_parts(upload.send(opened, file.name, on_sent), form, headers)
                source = wire.Upload(opened, on_sent)

                def send() -> httpx2.Response:
                    source.seek(0)
                    files = {"file": (file.name, cast(IO[bytes], source), "application/octet-stream")}
                    return self._http.post(_API, headers=headers, data=form, files=files)

                return read_recording(_json(self._tried(send)))
        except OSError as error:
            raise FileUnreadable(f"{file}: {error.strerror or error}", param="file") from error

    def _from_parts(self, upload_id: str, form: Mapping[str, Any], headers: Mapping[str, str]) -> Recording:
        try:
            answer = self._request("POST", _API, data={**form, "upload": upload_id}, headers=headers)
        except InputError:
            # Nothing will be made of it. Where this fails it goes by itself after a day.
            with suppress(CrosstalkError):
                self._request("DELETE", f"{UPLOADS}/{upload_id}", headers=TUS, again=False)
            raise
        return read_recording(_json(answer))

    def get(self, recording_id: str) -> Recording:
        """One recording as it is now. Raises JobNotFound."""
        return read_recording(_json(self._request("GET", _path(recording_id))))

    def list(
        self,
        *,
        states: Sequence[str] = (),
        name: str = "",
        created_after: float | None = None,
        created_before: float | None = None,
    ) -> Iterator[Recording]:
        """All recordings that match, newest first, asked for page by page."""
        span = {"created_after": created_after, "created_before": created_before}
        query: dict[str, Any] = {"name": name, "state": [*states]} | {k: v for k, v in span.items() if v is not None}
        return (read_recording(item) for item in self._pages(_API, query))

    def cancel(self, recording_id: str) -> Recording:
        """Stop a recording. Raises JobNotFound, JobStateInvalid when it is over."""
        return read_recording(_json(self._request("POST", _path(recording_id, "cancel"), again=False)))

    def retry(self, recording_id: str) -> Recording:
        """Queue a failed or cancelled recording again. Raises JobNotFound, JobStateInvalid."""
        return read_recording(_json(self._request("POST", _path(recording_id, "retry"), again=False)))

    def delete(self, recording_id: str) -> None:
        """Delete a recording with its sound, transcript and every trace. Raises JobNotFound."""
        self._request("DELETE", _path(recording_id), again=False)

    def transcript(self, recording_id: str, format: str = "json", *, revision: int | None = None) -> Transcript:
        """The transcript in a format; of a running recording (json, txt) what there is so far.

        Raises JobNotFound, JobStateInvalid, OptionInvalid.
        """
        query: dict[str, Any] = {"format": format} | ({} if revision is None else {"revision": revision})
        answer = self._request("GET", _path(recording_id, "transcript"), params=query)
        partial = answer.headers.get("X-Crosstalk-Partial") == "true"
        return Transcript(answer.content, answer.headers.get("Content-Type", ""), partial)

    def edit(
        self,
        seen: Recording,
        *,
        speakers: Mapping[int, str] | None = None,
        segments: Mapping[str, Mapping[str, object]] | None = None,
        note: str = "",
    ) -> Transcript:
        """Change speakers' names and segments (`{"s-12": {"text": ..., "speaker": ...}}`); the json transcript after.

        Raises RevisionConflict when somebody edited it after `seen`: get it, look, and edit again.
        """
        names = {str(number): name for number, name in (speakers or {}).items()}
        body = {"speakers": names, "segments": {key: dict(it) for key, it in (segments or {}).items()}, "note": note}
        path, headers = _path(seen.id, "transcript"), {"If-Match": seen.etag}
        answer = self._request("PATCH", path, json=body, headers=headers, again=False)
        return Transcript(answer.content, answer.headers.get("Content-Type", ""), partial=False)

    def revisions(self, recording_id: str) -> tuple[Revision, ...]:
        """Every version of the transcript, oldest first. Raises JobNotFound."""
        return tuple(read(Revision, it) for it in _data(self._request("GET", _path(recording_id, "revisions"))))

    def deliveries(self, recording_id: str) -> tuple[Delivery, ...]:
        """The log of the recording's webhook, oldest first. Raises JobNotFound."""
        return tuple(read(Delivery, it) for it in _data(self._request("GET", _path(recording_id, "deliveries"))))

    def audio(self, recording_id: str) -> Iterator[bytes]:
        """The sound as it was uploaded, piece by piece. Raises JobNotFound, BlobMissing, ServerUnreachable."""
        try:
            with self._http.stream("GET", _path(recording_id, "audio")) as answer:
                if answer.status_code != httpx2.codes.OK:
                    raise answered_error(answer.status_code, answer.read())
                yield from answer.iter_bytes()
        except httpx2.TransportError as error:
            raise ServerUnreachable(f"{self._url}: the sound broke off: {error}") from error

    def known_speakers(self) -> Iterator[KnownSpeaker]:
        """People whose voices are known, newest first."""
        return (read(KnownSpeaker, item) for item in self._pages(_SPEAKERS, {}))

    def learn_speaker(self, name: str, recording_id: str, speaker: int) -> KnownSpeaker:
        """Learn the voice of a speaker of a finished transcript. Raises JobError."""
        body = {"name": name, "recording": recording_id, "speaker": speaker}
        return read(KnownSpeaker, _json(self._request("POST", _SPEAKERS, json=body, again=False)))

    def learn_sample(self, name: str, file: Path) -> KnownSpeaker:
        """Learn the voice of the one person who speaks in a file, 3 s to 5 min of speech.

        Raises SampleSilent, SampleTooShort, SeveralVoices, FileUnreadable, and what the server answers.
        """
        try:
            with file.open("rb") as opened:
                files = {"file": (file.name, opened, "application/octet-stream")}
                return read(
                    KnownSpeaker, _json(self._request("POST", _SPEAKERS, data={"name": name}, files=files, again=False))
                )
        except OSError as error:
            raise FileUnreadable(f"{file}: {error.strerror or error}", param="file") from error

    def forget_speaker(self, speaker_id: str) -> None:
        """Forget a voice. Raises SpeakerNotFound."""
        self._request("DELETE", f"{_SPEAKERS}/{wire.quoted(speaker_id)}", again=False)

    def events(self, recording_id: str, last_id: int = 0, timeout_s: float | None = None) -> Iterator[RecordingEvent]:
        """What happens after event `last_id`, until the recording is over; lost connections are taken up again.

        Raises JobNotFound (also when it is deleted meanwhile), ServerUnreachable, WaitTimeout after `timeout_s`.
        """
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        failures = 0
        while True:
            try:
                for event in self._stream(recording_id, last_id, end_s):
                    last_id, failures = event.id, 0
                    yield event
                # A server that stops ends its streams too; only the recording itself tells which it was.
                if self.get(recording_id).over:
                    return
                why = "the stream of events ended early"
            except httpx2.TransportError as error:
                why = str(error) or type(error).__name__
            failures += 1
            if failures >= self._rules.attempts:
                raise ServerUnreachable(f"{self._url}: {why}")
            _check_time(end_s, recording_id)
            time.sleep(self._rules.pause_s(failures))

    def wait(
        self,
        recording_id: str,
        on_event: Callable[[RecordingEvent], None] | None = None,
        timeout_s: float | None = None,
    ) -> Recording:
        """Returns when the recording is over: succeeded, failed or cancelled. Raises what `events` raises."""
        for event in self.events(recording_id, timeout_s=timeout_s):
            if on_event is not None:
                on_event(event)
        return self.get(recording_id)

    def _stream(self, recording_id: str, last_id: int, end_s: float | None) -> Iterator[RecordingEvent]:
        headers = {"Last-Event-ID": str(last_id)} if last_id else {}
        timeout = httpx2.Timeout(_SILENCE_S, connect=10.0)
        with self._http.stream("GET", _path(recording_id, "events"), headers=headers, timeout=timeout) as answer:
            if answer.status_code in _BUSY:
                raise httpx2.ReadError(f"the server is busy (status {answer.status_code})")
            if answer.status_code != httpx2.codes.OK:
                raise answered_error(answer.status_code, answer.read())
            for event in wire.parse_events(answer.iter_lines()):
                _check_time(end_s, recording_id)
                if event is not None:
                    yield event

    def _pages(self, path: str, query: Mapping[str, Any]) -> Iterator[object]:
        cursor: str | None = None
        while True:
            page = {"limit": 200} | ({} if cursor is None else {"cursor": cursor})
            answer = self._request("GET", path, params={**query, **page})
            yield from _data(answer)
            cursor = _json(answer).get("next_cursor")
            if cursor is None:
                return

    def _request(self, method: str, path: str, *, again: bool = True, **more: Any) -> httpx2.Response:  # noqa: ANN401 - httpx2's own options
        return self._tried(lambda: self._http.request(method, path, **more), again=again)

    def _tried(self, send: Callable[[], httpx2.Response], *, again: bool = True) -> httpx2.Response:
        """again: sending twice does no more than sending once; else only what was refused unread is tried again."""
        failures = 0
        while True:
            answer: httpx2.Response | None = None
            asked_s = 0.0
            try:
                answer = send()
            except httpx2.TransportError as error:
                why = str(error) or type(error).__name__
                failures += 1
                if failures >= self._rules.attempts or not (again or isinstance(error, httpx2.ConnectError)):
                    raise ServerUnreachable(f"{self._url}: {why}") from error
            if answer is not None:
                if answer.is_success:
                    return answer
                failures += 1
                refusal = answered_error(answer.status_code, answer.content)
                asked_s = _asked_s(answer, refusal)
                tired = failures >= self._rules.attempts or asked_s > self._rules.asked_s
                if answer.status_code not in (_BUSY if again else _REFUSED) or tired:
                    raise refusal
            time.sleep(max(self._rules.pause_s(failures), asked_s))


def _path(recording_id: str, *more: str) -> str:
    # Anything else could name another path of the server.
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,100}", recording_id):
        raise JobNotFound(f"{recording_id[:100]!r} is no recording's id")
    return "/".join((_API, recording_id, *more))


def _asked_s(answer: httpx2.Response, refusal: CrosstalkError) -> float:
    """How long the server asks to wait, where it knows: for room in the queue, or within a key's limits."""
    told = answer.headers.get("Retry-After", "")
    known = isinstance(refusal, QueueFull | LimitReached) and re.fullmatch(r"[0-9]{1,9}", told)
    return float(told) if known else 0.0


def _json(answer: httpx2.Response) -> dict[str, Any]:
    try:
        data = answer.json()
    except ValueError as error:
        raise AnswerInvalid("the server's answer is no JSON; is the URL that of a Crosstalk server?") from error
    if not isinstance(data, dict):
        raise AnswerInvalid("the server's answer is no JSON object")
    return data


def _data(answer: httpx2.Response) -> Sequence[object]:
    data = _json(answer).get("data")
    if not isinstance(data, list):
        raise AnswerInvalid("the server's answer is no list")
    return data


def _check_time(end_s: float | None, recording_id: str) -> None:
    if end_s is not None and time.monotonic() >= end_s:
        raise WaitTimeout(f"recording {recording_id} is not over yet")
