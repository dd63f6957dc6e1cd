"""Settings of the HTTP server and of what may be handed in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from app.settings.base import Group, PositiveFloat, PositiveInt


class LimitsGroup(Group):
    """What may be handed in."""

    max_upload_bytes: PositiveInt = 1024**3
    """Largest upload, in bytes (default 1 GiB)."""

    upload_ttl_s: PositiveFloat = 24 * 3600.0
    """An upload in parts to which nothing is added for so long is dropped, in seconds (default a day)."""

    max_open_uploads: PositiveInt = 100
    """Uploads in parts that one tenant may have begun and not used."""

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

    decode_memory_bytes: PositiveInt = 1024**3
    """Address space of a process that decodes a recording or a stream, in bytes, its interpreter's own (about 300 MB)
    included; a file that needs more is refused as unreadable (default 1 GiB)."""

    decode_cpu_s: PositiveInt = 1800
    """Processor time that decoding a recording or a stream may take, in seconds; then it is refused as unreadable."""

    decode_stall_s: PositiveFloat = 60.0
    """How long the next second of a recording may take to decode, in seconds; then it is refused as unreadable."""


class ServerGroup(Group):
    """The HTTP server."""

    host: str = "127.0.0.1"
    """Address to listen on. One others reach is refused unless `access.required` or `access.allow_open`."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 = any free one."""

    tls_certfile: Path | None = None
    """Certificate chain (PEM) for HTTPS without a proxy; with `tls_keyfile`."""

    tls_keyfile: Path | None = None
    """Private key (PEM) of the certificate."""

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
