"""An uploaded form -> a queued recording. Everything that can be checked is checked before it is stored."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.access.usage import no_minutes
from app.audio import AudioLimits, Recording, open_recording
from app.core.times import SAMPLE_RATE
from app.errors import BlobMissing, InputError, OptionInvalid, UploadNotFound, UploadUsed
from app.jobs.store import Store
from app.jobs.types import (
    DEFAULT_PRIORITY,
    ENDS,
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    TOLD,
    Job,
    JobOptions,
    JobState,
    NewJob,
)
from app.jobs.webhooks import WebhookRules, check_webhook
from app.options import Asked, session_options
from app.transport.uploads import FILE_FIELD, Form

MAX_NAME_CHARACTERS = 255
UPLOAD_FIELD = "upload"
_ONCE = (
    UPLOAD_FIELD,
    "language",
    "num_speakers",
    "min_speakers",
    "max_speakers",
    "decoder",
    "channels_as_speakers",
    "priority",
    "webhook",
)
_LISTS = ("hotwords", "known_speakers", "events")


@dataclass(frozen=True, slots=True)
class Serving:
    """What this server offers to whom: its decoder, the webhooks that it sends, the tenant and the API key who ask
    ('' = none); left_s: how much sound that may be, None = any."""

    decoder: str
    webhooks: WebhookRules
    tenant: str = ""
    key_id: str = ""
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, checked. key: the same key and the same content give the same recording; key_id: the API key;
    left_s: seconds of sound that it may have, None = any."""

    options: JobOptions
    priority: int
    tenant: str
    key: str | None
    key_id: str = ""
    left_s: float | None = None


def queue(store: Store, limits: AudioLimits, form: Form, serving: Serving, key: str | None) -> tuple[Job, bool]:
    """Store the form's file, or that of the upload it names, and queue it; (job, whether it is new). Blocks.

    The form's file is gone from where it was. Raises OptionInvalid, WebhookRefused, IdempotencyConflict, StoreError,
    OutputError, UploadNotFound, UploadConflict, QueueFull, QueueShareFull, and what the recording raises.
    """
    once, lists = _fields(form)
    if form.file is None and UPLOAD_FIELD not in once:
        raise OptionInvalid("the request holds no file, and names no upload", param=FILE_FIELD)
    if form.file is not None and UPLOAD_FIELD in once:
        raise OptionInvalid("the request holds a file and names an upload; one of them, please", param=UPLOAD_FIELD)
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise OptionInvalid("a key has 1 to 255 printable characters", param="Idempotency-Key")
    wanted = _wanted(store, once, lists, serving, key)
    if form.file is not None:
        return _queue_file(store, limits, form.file, file_name(form.file_name), wanted)
    return _queue_upload(store, limits, once[UPLOAD_FIELD], wanted)


def _queue_upload(store: Store, limits: AudioLimits, upload_id: str, wanted: Wanted) -> tuple[Job, bool]:
    """An upload makes one recording, however often it is asked for."""
    if not re.fullmatch(r"upl_[0-9a-f]{32}", upload_id):
        raise UploadNotFound("there is no such upload", param=UPLOAD_FIELD)
    upload = store.uploads.get(upload_id, wanted.tenant)
    if upload.job_id is not None:
        return _made_before(store, upload.job_id, wanted), False
    # No client can send a key with a space, so this one is the upload's alone.
    alone = replace(wanted, key=wanted.key or f"upload {upload.id}")
    store.jobs.check_room(alone.tenant, alone.key)
    try:
        with store.uploads.whole(upload) as path:
            job, made = _queue_file(store, limits, path, upload.file_name, alone)
    except (BlobMissing, InputError):
        # Another request may have been faster, and the parts gone while this one read them.
        upload = store.uploads.get(upload_id, wanted.tenant)
        if upload.job_id is None:
            raise
        return _made_before(store, upload.job_id, wanted), False
    store.uploads.used(upload.id, job.id)
    return job, made


def _made_before(store: Store, job_id: str, wanted: Wanted) -> Job:
    job = store.jobs.get(job_id, wanted.tenant)
    if (job.options, job.priority) != (wanted.options, wanted.priority):
        raise UploadUsed(f"recording {job.id} was made of the upload, with other options", param=UPLOAD_FIELD)
    return job


def _queue_file(store: Store, limits: AudioLimits, file: Path, name: str, wanted: Wanted) -> tuple[Job, bool]:
    with open_recording(file, limits) as recording:
        duration_s = recording.info.duration_s if wanted.left_s is None else _measured_s(recording, wanted.left_s)
    new = NewJob(
        blob=store.blobs.put_file(file),
        file_name=name,
        media_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
        options=wanted.options,
        priority=wanted.priority,
        duration=None if duration_s is None else round(duration_s * SAMPLE_RATE),
        idempotency_key=wanted.key,
        tenant=wanted.tenant,
        key_id=wanted.key_id,
        # Of other keys it is counted as it is decoded, when its turn has come.
        counted=0 if wanted.left_s is None or duration_s is None else round(duration_s * SAMPLE_RATE),
    )
    return store.jobs.create(new)


def _measured_s(recording: Recording, left_s: float) -> float:
    """How long it is, by its sound: a header may say nothing, or what is not so. Raises LimitReached."""
    samples = 0
    for frames in recording.frames():
        samples = frames.end
        if samples > left_s * SAMPLE_RATE:
            raise no_minutes(f"the recording is longer than the {left_s / 60:.1f} minutes that this key has left today")
    return samples / SAMPLE_RATE


def _wanted(
    store: Store, once: Mapping[str, str], lists: Mapping[str, tuple[str, ...]], serving: Serving, key: str | None
) -> Wanted:
    options, priority = _options(once, lists), _number(once, "priority")
    if options.decoder not in (None, serving.decoder):
        raise OptionInvalid(f"this server's decoder is {serving.decoder}, not {options.decoder!r}", param="decoder")
    if options.webhook is not None:
        check_webhook(options.webhook, serving.webhooks)
    if options.known_speakers:
        store.speakers.voices(serving.tenant, options.known_speakers)
    chosen = DEFAULT_PRIORITY if priority is None else priority
    return Wanted(options, chosen, serving.tenant, key, serving.key_id, serving.left_s)


def file_name(given: str) -> str:
    """The last part of a path, without control characters. Raises OptionInvalid beyond 255 characters."""
    name = re.sub(r"[\x00-\x1f\x7f]", "", re.split(r"[/\\]", given)[-1]).strip()
    if len(name) > MAX_NAME_CHARACTERS:
        raise OptionInvalid(f"the file's name is longer than {MAX_NAME_CHARACTERS} characters", param=FILE_FIELD)
    return "" if name in (".", "..") else name


def _fields(form: Form) -> tuple[Mapping[str, str], Mapping[str, tuple[str, ...]]]:
    once: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = dict.fromkeys(_LISTS, ())
    for name, value in form.fields:
        if name in lists:
            lists[name] += (value,)
        elif name not in _ONCE:
            raise OptionInvalid(f"unknown option {name[:60]!r}; known: {', '.join((*_ONCE, *_LISTS))}", param=name[:60])
        elif name in once:
            raise OptionInvalid(f"{name} was given twice", param=name)
        else:
            once[name] = value
    return once, lists


def _options(once: Mapping[str, str], lists: Mapping[str, tuple[str, ...]]) -> JobOptions:
    exact, low, high = (_number(once, f"{kind}_speakers") for kind in ("num", "min", "max"))
    asked = session_options(Asked(once.get("language"), exact, low, high, lists["hotwords"]))
    channels = once.get("channels_as_speakers", "false")
    if channels not in ("true", "false"):
        raise OptionInvalid("channels_as_speakers is true or false", param="channels_as_speakers")
    priority = _number(once, "priority")
    if priority is not None and not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise OptionInvalid(f"priority must be {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}", param="priority")
    known = lists["known_speakers"]
    return JobOptions(
        language=asked.language,
        speakers=asked.speakers,
        known_speakers=None if known == ("all",) else tuple(dict.fromkeys(known)),
        hotwords=asked.hotwords,
        decoder=once.get("decoder"),
        channels_as_speakers=channels == "true",
        webhook=once.get("webhook"),
        events=_events(lists["events"], once.get("webhook")),
    )


def _events(given: tuple[str, ...], webhook: str | None) -> tuple[JobState, ...]:
    if not given:
        return ENDS
    if webhook is None:
        raise OptionInvalid("events are told to a webhook, and none is named", param="events")
    unknown = set(given).difference(TOLD)
    if unknown:
        raise OptionInvalid(f"unknown event {min(unknown)[:60]!r}; known: {', '.join(TOLD)}", param="events")
    return tuple(state for state in TOLD if state in given)


def _number(once: Mapping[str, str], name: str) -> int | None:
    text = once.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise OptionInvalid(f"{name} must be a whole number", param=name)
    return int(text)


def _form_schema() -> dict[str, object]:
    text, whole = {"type": "string"}, {"type": "integer"}
    several = {"type": "array", "items": text}
    properties: dict[str, object] = {FILE_FIELD: {"type": "string", "format": "binary"}}
    properties |= {UPLOAD_FIELD: text | {"description": "Instead of the file: the id of an upload in parts."}}
    properties |= {"webhook": text, "language": text, "decoder": text, "channels_as_speakers": {"type": "boolean"}}
    properties |= {f"{kind}_speakers": whole | {"minimum": 1, "maximum": 64} for kind in ("num", "min", "max")}
    properties |= {"priority": whole | {"minimum": LOWEST_PRIORITY, "maximum": HIGHEST_PRIORITY}}
    properties |= dict.fromkeys(_LISTS, several)
    properties |= {"events": {"type": "array", "items": text | {"enum": [*TOLD]}}}
    one_of = [{"required": [FILE_FIELD]}, {"required": [UPLOAD_FIELD]}]
    return {"type": "object", "properties": properties, "oneOf": one_of, "additionalProperties": False}


_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
REQUEST = {"requestBody": {"required": True, "content": {kind: {"schema": _form_schema()} for kind in _FORMS}}}
"""The request's form; it is read as a stream, so FastAPI cannot find out by itself."""
