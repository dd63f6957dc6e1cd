"""Every setting of Crosstalk: its name, unit, default and meaning. Read from the environment at the entry points.

`CROSSTALK_LOG__FORMAT=json` sets `log.format`; a group may also be given whole, as JSON:
`CROSSTALK_LOG='{"level": "debug"}'`. A name that is not a setting is refused, so that a typing error cannot pass for a
default. `load_settings` is called only in `app/main.py` and `app/cli`; everything else gets plain values.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from app.errors import SetupError

PREFIX = "CROSSTALK_"
DELIMITER = "__"

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


class SettingsInvalid(SetupError):
    """A setting is unknown or has a value that cannot be used. `param` is the environment variable at fault."""

    code = "settings_invalid"


class Group(BaseModel):
    """A group of settings: frozen, unknown keys refused, field docstrings shown as descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class EngineGroup(Group):
    """How the models run. Nothing here changes what a model is: that is read from its weights."""

    device: str = "auto"
    """Where the models run: auto (a GPU when there is one), cpu, cuda, cuda:1, ..."""

    num_threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads for one computation; 0 = as many as there are cores."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the decoder's weights; auto = float32 on a CPU, float16 on a GPU."""

    decoder: str = "cascade"
    """Which decoder writes the words."""

    quantize: bool = False
    """8-bit integer weights for the decoder's linear layers, on a CPU: faster, slightly less exact."""

    max_diarize_batch: PositiveInt = 8
    """Windows of sound in one diarization batch, gathered over all sessions."""

    max_decode_batch: PositiveInt = 8
    """Requests in one decoding batch, gathered over all sessions."""

    max_wait_ms: Annotated[float, Field(ge=0)] = 20.0
    """How long a batch waits for company, in milliseconds."""

    max_waiting: PositiveInt = 256
    """Requests that may wait for the models before further ones are refused as overload."""


class LimitsGroup(Group):
    """What may be handed in."""

    max_upload_bytes: PositiveInt = 1024**3
    """Largest upload, in bytes (default 1 GiB)."""

    max_field_bytes: PositiveInt = 4 * 1024**2
    """Largest single form field that is not the file, in bytes (default 4 MiB)."""

    max_duration_s: PositiveFloat = 6 * 3600.0
    """Longest recording, in seconds of sound (default 6 hours)."""

    min_rate_hz: PositiveInt = 4_000
    """Lowest sampling rate, in Hz."""

    max_rate_hz: PositiveInt = 192_000
    """Highest sampling rate, in Hz."""

    max_channels: PositiveInt = 16
    """Most channels of one track."""


class ServerGroup(Group):
    """The HTTP server."""

    host: str = "127.0.0.1"
    """Address to listen on. There is no login yet: listen on 0.0.0.0 only behind something that has one."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 = any free one."""

    max_transcriptions: PositiveInt = 2
    """Transcriptions that run at the same time."""

    max_waiting_transcriptions: Annotated[int, Field(ge=0)] = 8
    """Requests that may upload or wait beyond those that run; further ones get 503 with Retry-After."""

    upload_stall_timeout_s: PositiveFloat = 30.0
    """An upload that sends nothing for so long is given up with 408, in seconds."""

    request_timeout_s: PositiveFloat = 4 * 3600.0
    """Longest time for one transcription, waiting included, in seconds; then 504."""

    retry_after_s: PositiveInt = 10
    """What a refused client is told to wait, in seconds."""

    heartbeat_s: PositiveFloat = 15.0
    """A stream that has nothing to say sends a comment so often, in seconds, so that proxies keep it open."""

    probe_interval_s: PositiveFloat = 30.0
    """How old a passed probe of the engine may be for /readyz, in seconds."""

    probe_timeout_s: PositiveFloat = 60.0
    """How long one probe of the engine may take, in seconds."""

    shutdown_timeout_s: PositiveInt = 30
    """How long requests in flight may go on at shutdown, in seconds."""


class StoreGroup(Group):
    """Where recordings, their jobs and transcripts are kept."""

    url: str = ""
    """Database: sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; empty = the SQLite file crosstalk.sqlite in
    `data_dir`. SQLite is for one machine and a local disk."""

    blobs_url: str = ""
    """Sound: a folder, or s3://BUCKET/PREFIX; empty = the folder blobs in `data_dir`."""

    blobs_endpoint_url: str = ""
    """Address of an S3-compatible store that is not Amazon's; empty = Amazon's."""

    pool_size: PositiveInt = 10
    """Connections to PostgreSQL that are kept open; up to twice as many under load."""


class JobsGroup(Group):
    """Recordings as durable jobs."""

    engine: Literal["sql", "dbos"] = "sql"
    """What gives out the jobs: our own tables, or dbos over them (extra `dbos`)."""

    in_server: bool = True
    """Whether `crosstalk serve` works on recordings too; off where `crosstalk worker` processes do."""

    slots: PositiveInt = 2
    """Recordings that one process works on at the same time; the last free one is kept for short recordings."""

    max_per_tenant: Annotated[int, Field(ge=0)] = 0
    """Recordings of one tenant that run at the same time, over all workers; 0 = any number."""

    lease_s: Annotated[float, Field(ge=1)] = 30.0
    """A worker that is silent for so long loses its recordings to others, in seconds."""

    poll_s: PositiveFloat = 0.5
    """How often an idle worker looks for recordings, in seconds."""

    max_attempts: PositiveInt = 5
    """Runs in a row that may end without an end (crash, failing models) before a recording fails."""

    retry_s: Annotated[float, Field(ge=0)] = 10.0
    """Pause before a failed run is tried again, in seconds; doubled each time."""

    window_timeout_s: PositiveFloat = 300.0
    """Longest time for one window in the models, in seconds."""

    drain_s: PositiveFloat = 15.0
    """How long a worker that stops waits for the windows in the models, in seconds."""

    audio_ttl_s: Annotated[float, Field(ge=0)] = 0.0
    """A recording's sound is deleted so long after its job ended, in seconds; 0 = kept."""

    transcript_ttl_s: Annotated[float, Field(ge=0)] = 0.0
    """A recording is deleted with every trace so long after its job ended, in seconds; 0 = kept."""

    sweep_interval_s: PositiveFloat = 300.0
    """How often the two limits are enforced, in seconds."""

    speaker_likeness: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Least likeness (cosine of voice vectors) at which a speaker gets a known speaker's name."""


class LiveGroup(Group):
    """Live captions (`/v1/live`)."""

    max_sessions: PositiveInt = 32
    """Sessions held at the same time, those that wait for their client included; further ones are refused."""

    max_message_bytes: PositiveInt = 1024**2
    """Largest message of a client, in bytes."""

    max_ahead_s: PositiveFloat = 30.0
    """Sound that may wait to be worked on, in seconds; a client that sends more is held back."""

    idle_timeout_s: PositiveFloat = 60.0
    """A connection on which nothing comes for so long is closed, in seconds."""

    max_duration_s: PositiveFloat = 8 * 3600.0
    """Longest session, in seconds of sound (default 8 hours)."""

    resume_window_s: PositiveFloat = 120.0
    """How long a session waits for a client that is gone, in seconds; then it is ended."""

    flush_after_s: PositiveFloat = 5.0
    """When the tail of a session is written whose client is gone, in seconds; a client back earlier notices nothing."""

    lag_limit_s: PositiveFloat = 5.0
    """Captions that are further behind the sound than this are reported to the client, in seconds."""

    drain_s: PositiveFloat = 5.0
    """How long clients have to go elsewhere at shutdown, in seconds."""

    keep_s: PositiveFloat = 24 * 3600.0
    """How long the transcript of an ended session can be fetched, in seconds (default a day)."""

    origins: tuple[str, ...] = ()
    """Pages of other hosts that may open sockets, as a JSON list of origins (`https://host`)."""


class WebhooksGroup(Group):
    """Messages to the address that a recording names, when its job has ended."""

    secret: Annotated[str, Field(repr=False)] = ""
    """Signs the messages (Standard Webhooks): whsec_ and base64 of 24 bytes or more; empty = no webhooks."""

    allow_private: bool = False
    """Whether webhooks may go to private, loopback and other addresses that are not public."""

    max_attempts: PositiveInt = 8
    """Tries before a message is given up."""

    retry_s: PositiveFloat = 10.0
    """Pause after the first failed try, in seconds; doubled each time, an hour at most."""

    timeout_s: PositiveFloat = 10.0
    """Longest time for one try, in seconds."""


class LogGroup(Group):
    """Logging, always to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is written."""

    format: Literal["text", "json"] = "text"
    """text for people, json (one object a line) for machines."""


class Settings(BaseSettings):
    """All settings. Made by `load_settings`; tests build `Settings(...)` directly."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    data_dir: Path = Path("data")
    """Everything that Crosstalk writes while it works lies under this folder."""

    weights_dir: Path | None = None
    """Folder of the models' weights; unset = `models/weights` of this installation."""

    debug: bool = False
    """Show Python tracebacks of errors on the command line."""

    engine: EngineGroup = EngineGroup()
    limits: LimitsGroup = LimitsGroup()
    server: ServerGroup = ServerGroup()
    store: StoreGroup = StoreGroup()
    jobs: JobsGroup = JobsGroup()
    live: LiveGroup = LiveGroup()
    webhooks: WebhooksGroup = WebhooksGroup()
    log: LogGroup = LogGroup()


def load_settings(overrides: Mapping[str, Mapping[str, object]] | None = None) -> Settings:
    """The settings of this process: environment over defaults, and `overrides` (group -> key -> value) over both.

    An override of None means "not given". Raises SettingsInvalid naming the variable or option at fault.
    """
    known = set(setting_names())
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            raise SettingsInvalid(f"unknown setting {variable}; {_suggestion(variable.upper(), known)}", param=variable)
    try:
        settings = Settings()
        for group, values in (overrides or {}).items():
            settings = _overridden(settings, group, values)
    except ValidationError as error:
        raise _invalid(error) from error
    except SettingsError as error:
        raise SettingsInvalid(f"a setting is not JSON: {error}") from error
    return settings


def setting_names(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    """Every environment variable that is a setting, groups included."""
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        yield variable
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            yield from setting_names(field.annotation, variable + DELIMITER)


def _overridden(settings: Settings, group: str, values: Mapping[str, object]) -> Settings:
    given = {key: value for key, value in values.items() if value is not None}
    current: BaseModel = getattr(settings, group)
    try:
        changed = type(current).model_validate(current.model_dump() | given)
    except ValidationError as error:
        raise _invalid(error, (group,)) from error
    return settings.model_copy(update={group: changed})


def _invalid(error: ValidationError, within: tuple[str, ...] = ()) -> SettingsInvalid:
    first = error.errors(include_url=False)[0]
    place = (*within, *(str(part) for part in first["loc"]))
    variable = PREFIX + DELIMITER.join(place).upper()
    return SettingsInvalid(f"{variable}: {first['msg']} (is {first['input']!r})", param=variable)


def _suggestion(variable: str, known: set[str]) -> str:
    close = get_close_matches(variable, known, n=1)
    return f"did you mean {close[0]}?" if close else "the settings are listed in app/settings.py"
