"""What each route needs, in one table. A route that is not in it is closed to everybody once keys are required.

tests/transport/access/test_routes.py fails for a route of the app that has no entry, and for an entry without a route.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.routing import compile_path

from app.access import Scope

SOCKET = "WEBSOCKET"
"""Stands where a method stands."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one method of one path needs.

    scope: of the key, None = any key will do; public: no key at all; share: the secret of a link for viewers does too
    sound: takes sound, so that the body may be as large as a recording, and minutes are counted
    stream: stays open; audit: what the audit log calls it, '' = it changes nothing or notes it itself
    """

    scope: Scope | None = None
    public: bool = False
    share: bool = False
    sound: bool = False
    stream: bool = False
    audit: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The entry of a path. params: what stands in the path's variables."""

    needs: Mapping[str, Need]
    params: Mapping[str, str]


_PUBLIC = Need(public=True)
_ANY_KEY = Need()
_READ = Need(Scope.READ)
_FOLLOW = Need(Scope.READ, stream=True)
_VIEW = Need(Scope.READ, share=True, stream=True)
_ADMIN = Need(Scope.ADMIN)
_LIVE = Need(Scope.LIVE)


def _write(audit: str) -> Need:
    return Need(Scope.TRANSCRIBE, audit=audit)


NEEDS: Mapping[str, Mapping[str, Need]] = {
    "/": {"GET": _PUBLIC},
    "/recordings": {"GET": _PUBLIC},
    "/static/{name:path}": {"GET": _PUBLIC},
    "/healthz": {"GET": _PUBLIC},
    "/readyz": {"GET": _PUBLIC},
    "/metrics": {"GET": _ADMIN},
    "/openapi.json": {"GET": _PUBLIC},
    "/docs": {"GET": _PUBLIC},
    "/docs/oauth2-redirect": {"GET": _PUBLIC},
    "/redoc": {"GET": _PUBLIC},
    "/v1/audio/transcriptions": {"POST": Need(Scope.TRANSCRIBE, sound=True)},
    "/v1/models": {"GET": _ANY_KEY},
    "/v1/models/{name}": {"GET": _ANY_KEY},
    "/v1/recordings": {"GET": _READ, "POST": Need(Scope.TRANSCRIBE, sound=True, audit="recording.create")},
    "/v1/recordings/{recording_id}": {"GET": _READ, "DELETE": _write("recording.delete")},
    "/v1/recordings/{recording_id}/cancel": {"POST": _write("recording.cancel")},
    "/v1/recordings/{recording_id}/retry": {"POST": _write("recording.retry")},
    "/v1/recordings/{recording_id}/transcript": {"GET": _READ, "PATCH": _write("transcript.edit")},
    "/v1/recordings/{recording_id}/revisions": {"GET": _READ},
    "/v1/recordings/{recording_id}/audio": {"GET": _READ},
    "/v1/recordings/{recording_id}/events": {"GET": _FOLLOW},
    "/v1/recordings/{recording_id}/deliveries": {"GET": _READ},
    "/v1/uploads": {"OPTIONS": _PUBLIC, "POST": Need(Scope.TRANSCRIBE, sound=True, audit="upload.create")},
    "/v1/uploads/{upload_id}": {
        "GET": Need(Scope.TRANSCRIBE),
        # Not in the audit log: a file may come in thousands of parts, and its beginning and end are there.
        "PATCH": Need(Scope.TRANSCRIBE, sound=True),
        "DELETE": _write("upload.delete"),
    },
    "/v1/speakers": {"GET": _READ, "POST": Need(Scope.TRANSCRIBE, sound=True, audit="speaker.create")},
    "/v1/speakers/{speaker_id}": {"DELETE": _write("speaker.delete")},
    "/v1/live": {SOCKET: Need(Scope.LIVE, sound=True, stream=True)},
    "/v1/listen": {SOCKET: Need(Scope.LIVE, sound=True, stream=True)},
    "/v1/live/{session}/view": {SOCKET: _VIEW},
    "/v1/live/{session}/events": {"GET": _VIEW},
    "/v1/live/{session}/transcript": {"GET": Need(Scope.READ, share=True)},
    "/v1/live/{session}/shares": {"GET": _LIVE, "POST": _LIVE},
    "/v1/live/{session}/shares/{share_id}": {"DELETE": Need(Scope.LIVE, audit="share.revoke")},
    "/v1/tokens": {"POST": _ANY_KEY},
    "/v1/keys": {"GET": _ADMIN, "POST": _ADMIN},
    "/v1/keys/{key_id}": {"GET": _ADMIN, "DELETE": Need(Scope.ADMIN, audit="key.revoke")},
    "/v1/keys/{key_id}/rotate": {"POST": Need(Scope.ADMIN, audit="key.rotate")},
    "/v1/audit": {"GET": _ADMIN},
}


def _compiled() -> tuple[Mapping[str, Mapping[str, Need]], list[tuple[re.Pattern[str], Mapping[str, Need]]]]:
    plain = {path: needs for path, needs in NEEDS.items() if "{" not in path}
    patterns = [(compile_path(path)[0], needs) for path, needs in NEEDS.items() if "{" in path]
    return plain, patterns


_PLAIN, _PATTERNS = _compiled()


def find(path: str) -> Found | None:
    """The entry of a path as it was asked for; None when no route has it."""
    plain = _PLAIN.get(path)
    if plain is not None:
        return Found(plain, {})
    for pattern, needs in _PATTERNS:
        found = pattern.match(path)
        if found is not None:
            return Found(needs, found.groupdict())
    return None
