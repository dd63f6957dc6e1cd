"""Settings of the store, of recordings as jobs and of their webhooks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.settings.base import Group, PositiveFloat, PositiveInt


class StoreGroup(Group):
    """Where recordings, their jobs and transcripts are kept."""

    url: str = ""
    """Database: sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; empty = the SQLite file crosstalk.sqlite in
    `data_dir`. SQLite is for one machine and a local disk."""

    blobs_url: str = ""
    """Sound: a folder, or s3://BUCKET/PREFIX; empty = the folder blobs in `data_dir`."""

    blobs_endpoint_url: str = ""
    """Address of an S3-compatible store that is not Amazon's; empty = Amazon's."""

    auto_migrate: bool = True
    """Whether every process brings the database's schema forward at its start (docs/operations.md); off: it refuses to
    start until `crosstalk migrate upgrade` has."""

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
    """Recordings of one tenant that run at the same time, over all workers; 0 = any number. Of the engine `sql`."""

    max_queued: Annotated[int, Field(ge=0)] = 1000
    """Recordings that may wait in the store, over all servers; further ones get 503 `queue_full` with a Retry-After
    that follows the pace of the queue. 0 = any number."""

    max_queued_per_tenant: Annotated[int, Field(ge=0)] = 0
    """The same of one tenant, answered with 429 `queue_limit_reached`; 0 = any number."""

    lease_s: Annotated[float, Field(ge=1)] = 30.0
    """A worker that is silent for so long loses its recordings to others, in seconds."""

    poll_s: PositiveFloat = 0.5
    """How often an idle worker looks for recordings, in seconds."""

    max_attempts: PositiveInt = 5
    """Runs in a row that may end without an end (crash, failing models) before a recording fails."""

    retry_s: Annotated[float, Field(ge=0)] = 10.0
    """Pause before a failed run is tried again, in seconds; doubled each time."""

    window_timeout_s: PositiveFloat = 300.0
    """How long the models may answer nothing of a recording that waits for them, in seconds."""

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
