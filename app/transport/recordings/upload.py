"""An uploaded form -> a queued recording. Everything that can be checked is checked before it is stored."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.audio import AudioLimits, open_recording
from app.core.times import SAMPLE_RATE
from app.errors import OptionInvalid
from app.jobs.store import Store
from app.jobs.types import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY, Job, JobOptions, NewJob
from app.jobs.webhooks import WebhookRules, check_webhook
from app.options import Asked, session_options
from app.transport.uploads import FILE_FIELD, Form

MAX_NAME_CHARACTERS = 255
_ONCE = (
    "language",
    "num_speakers",
    "min_speakers",
    "max_speakers",
    "decoder",
    "channels_as_speakers",
    "priority",
    "webhook",
)
_LISTS = ("hotwords", "known_speakers")


@dataclass(frozen=True, slots=True)
class Serving:
    """What this server offers to whom: its decoder, the webhooks that it sends, the tenant who asks."""

    decoder: str
    webhooks: WebhookRules
    tenant: str = ""


def queue(store: Store, limits: AudioLimits, form: Form, serving: Serving, key: str | None) -> tuple[Job, bool]:
    """Store the form's file and queue it; (job, whether it is new). Blocks; the file is gone from where it was.

    Raises OptionInvalid, WebhookRefused, IdempotencyConflict, StoreError, OutputError, and what the recording
    raises.
    """
    if form.file is None:
        raise OptionInvalid("the request holds no file", param=FILE_FIELD)
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise OptionInvalid("a key has 1 to 255 printable characters", param="Idempotency-Key")
    once, lists = _fields(form)
    decoder, webhooks = serving.decoder, serving.webhooks
    options, priority = _options(once, lists), _number(once, "priority")
    if options.decoder not in (None, decoder):
        raise OptionInvalid(f"this server's decoder is {decoder}, not {options.decoder!r}", param="decoder")
    if options.webhook is not None:
        check_webhook(options.webhook, webhooks)
    if options.known_speakers:
        store.speakers.voices(serving.tenant, options.known_speakers)
    name = file_name(form.file_name)
    with open_recording(form.file, limits) as recording:
        duration_s = recording.info.duration_s
    new = NewJob(
        blob=store.blobs.put_file(form.file),
        file_name=name,
        media_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
        options=options,
        priority=DEFAULT_PRIORITY if priority is None else priority,
        duration=None if duration_s is None else round(duration_s * SAMPLE_RATE),
        idempotency_key=key,
        tenant=serving.tenant,
    )
    return store.jobs.create(new)


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
    )


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
    properties |= {"webhook": text, "language": text, "decoder": text, "channels_as_speakers": {"type": "boolean"}}
    properties |= {f"{kind}_speakers": whole | {"minimum": 1, "maximum": 64} for kind in ("num", "min", "max")}
    properties |= {"priority": whole | {"minimum": LOWEST_PRIORITY, "maximum": HIGHEST_PRIORITY}}
    properties |= dict.fromkeys(_LISTS, several)
    return {"type": "object", "required": [FILE_FIELD], "properties": properties, "additionalProperties": False}


REQUEST = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _form_schema()}}}}
"""The request's form; it is read as a stream, so FastAPI cannot find out by itself."""
