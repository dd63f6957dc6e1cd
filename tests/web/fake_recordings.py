"""The recordings' API by the book (docs/recordings-api.md), as far as the page uses it, over made-up recordings."""

from __future__ import annotations

import base64
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from app.transport import pages

TEXTS = (
    (0, 0.5, "Good morning everyone, shall we look at the numbers first?"),
    (1, 3.0, "Yes, and then the plan for the spring release."),
    (0, 5.2, "Before that, one question about the budget."),
    (2, 5.8, "Sorry, may I come in here?"),
)
WORD_S = 0.3


def recording(number: int, state: str, name: str = "") -> dict:
    """A recording as the API shows it."""
    failure = {"code": "no_audio", "message": "The file holds no sound."} if state == "failed" else None
    running = state == "running"
    total_s = None if state == "queued" else 600.0
    progress = {"stage": state, "diarized_s": 300.0, "decoded_s": 210.0 if running else 600.0, "total_s": total_s}
    return {
        "id": f"rec_{number}",
        "state": state,
        "file_name": name or f"Board meeting {number}.wav",
        "has_audio": True,
        "created_at": 1_790_000_000.0 + number,
        "cancel_requested": False,
        "warnings": [],
        "failure": failure,
        "position": None,
        "progress": progress | {"speed": None, "left_s": 195.0 if running else None},
    }


class FakeRecordings:
    """The server; `app` is its ASGI app, with the real pages."""

    def __init__(self, sound: Path) -> None:
        self.items = [recording(i, state) for i, state in enumerate(("failed", "succeeded", "running", "queued"))][::-1]
        self.names: dict[int, str] = {}
        self.texts = dict(enumerate(text for _, _, text in TEXTS))
        self.revision = 1
        self.edits: list[dict] = []
        self.refusals: list[tuple[str, int]] = []
        """(code, seconds to wait) that the next uploads, sent already, are refused with."""
        self.early: list[tuple[str, int]] = []
        """The same before anything is sent."""
        self.uploads: dict[str, tuple[str, int, bytearray]] = {}
        self.begun = 0
        self.files: list[bytes] = []
        self.parts: list[tuple[int, int]] = []
        self.breaks: list[int] = []
        self.app = FastAPI(openapi_url=None)
        self.app.include_router(pages.make_router())
        self.app.add_api_route("/v1/models", lambda: {"data": []}, methods=["GET"])
        base = "/v1/recordings"
        self.app.add_api_route(base, self._list, methods=["GET"])
        self.app.add_api_route(base, self._upload, methods=["POST"], status_code=202, response_model=None)
        uploads = "/v1/uploads"
        self.app.add_api_route(uploads, self._begin, methods=["POST"])
        self.app.add_api_route(uploads + "/{identity}", self._ask, methods=["HEAD"])
        self.app.add_api_route(uploads + "/{identity}", self._part, methods=["PATCH"])
        self.app.add_api_route(uploads + "/{identity}", self._drop, methods=["DELETE"])
        self.app.add_api_route(base + "/{identity}", self._one, methods=["GET"])
        self.app.add_api_route(base + "/{identity}", self._remove, methods=["DELETE"])
        self.app.add_api_route(base + "/{identity}/cancel", self._cancel, methods=["POST"])
        self.app.add_api_route(base + "/{identity}/transcript", self._read, methods=["GET"])
        self.app.add_api_route(base + "/{identity}/transcript", self._patch, methods=["PATCH"])
        self.app.add_api_route(base + "/{identity}/audio", lambda: FileResponse(sound), methods=["GET"])

    def transcript(self) -> JSONResponse:
        """What the one finished recording says."""
        segments = []
        for index, (speaker, start, text) in enumerate(TEXTS):
            words = [
                {"text": it, "start_s": start + i * WORD_S, "end_s": start + (i + 1) * WORD_S, "confidence": 0.9}
                for i, it in enumerate(text.split())
            ]
            segment = {"id": f"s{index}", "speaker": speaker, "start_s": start, "end_s": words[-1]["end_s"]}
            segments.append(segment | {"text": self.texts[index], "words": words, "flags": []})
        speakers = [{"id": it, "name": name, "named": True} for it, name in self.names.items()]
        body = {"schema_version": 1, "duration_s": 11.0, "language": "en", "warnings": []}
        content = body | {"speakers": speakers, "segments": segments, "turns": []}
        return JSONResponse(content, headers={"ETag": f'"{self.revision}"'})

    def _list(self, name: str = "") -> dict:
        return {"data": [it for it in self.items if name in it["file_name"]], "next_cursor": None}

    async def _upload(self, request: Request) -> dict | JSONResponse:
        if self.refusals:
            return _no_room(*self.refusals.pop(0))
        async with request.form() as form:
            name, length, data = self.uploads.pop(form["upload"])
        assert len(data) == length
        self.files.append(bytes(data))
        self.items.insert(0, recording(len(self.items), "queued", name))
        return self.items[0]

    def _begin(self, request: Request) -> Response:
        if self.early:
            return _no_room(*self.early.pop(0))
        assert request.headers["tus-resumable"] == "1.0.0"
        name = base64.b64decode(request.headers["upload-metadata"].removeprefix("filename ")).decode()
        identity = f"upl_{self.begun}"
        self.begun += 1
        self.uploads[identity] = name, int(request.headers["upload-length"]), bytearray()
        return Response(status_code=201, headers={"Location": f"/v1/uploads/{identity}"})

    def _ask(self, identity: str) -> Response:
        if identity not in self.uploads:
            return Response(status_code=404)
        _, length, data = self.uploads[identity]
        return Response(headers={"Upload-Offset": str(len(data)), "Upload-Length": str(length)})

    async def _part(self, identity: str, request: Request) -> Response:
        """The number of the next break is how many bytes of the part come; -1 = the server is away."""
        if identity not in self.uploads:
            return _refused(404, "upload_not_found")
        data, body = self.uploads[identity][2], await request.body()
        if int(request.headers["upload-offset"]) != len(data):
            return _refused(409, "upload_offset_mismatch")
        kept = self.breaks.pop(0) if self.breaks else len(body)
        self.parts.append((len(data), max(0, kept)))
        data += body[: max(0, kept)]
        if kept < len(body):
            return _refused(503, "unavailable")
        return Response(status_code=204, headers={"Upload-Offset": str(len(data))})

    def _drop(self, identity: str) -> Response:
        del self.uploads[identity]
        return Response(status_code=204)

    def _one(self, identity: str) -> dict:
        return next(it for it in self.items if it["id"] == identity)

    def _remove(self, identity: str) -> Response:
        self.items.remove(self._one(identity))
        return Response(status_code=204)

    def _cancel(self, identity: str) -> dict:
        self._one(identity)["state"] = "cancelled"
        return self._one(identity)

    def _read(self, identity: str) -> Response:
        return self.transcript()

    async def _patch(self, identity: str, request: Request) -> Response:
        if request.headers["if-match"] != f'"{self.revision}"':
            error = {"message": "changed meanwhile", "type": "x", "param": None, "code": "revision_conflict"}
            return JSONResponse({"error": error}, status_code=412)
        edit = await request.json()
        self.edits.append(edit)
        self.revision += 1
        self.names |= {int(speaker): name for speaker, name in edit.get("speakers", {}).items()}
        self.texts |= {int(it[1:]): change["text"] for it, change in edit.get("segments", {}).items()}
        return self.transcript()


def _no_room(code: str, wait_s: int) -> JSONResponse:
    return _refused(503 if code == "queue_full" else 429, code, {"Retry-After": str(wait_s)})


def _refused(status: int, code: str, headers: dict[str, str] | None = None) -> JSONResponse:
    error = {"message": f"refused: {code}", "type": "x", "param": None, "code": code}
    return JSONResponse({"error": error}, status_code=status, headers=headers)
