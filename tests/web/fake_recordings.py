"""The recordings' API by the book (docs/recordings-api.md), as far as the page uses it, over made-up recordings."""

from __future__ import annotations

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
        """(code, seconds to wait) that the next uploads are refused with."""
        self.app = FastAPI(openapi_url=None)
        self.app.include_router(pages.make_router())
        self.app.add_api_route("/v1/models", lambda: {"data": []}, methods=["GET"])
        base = "/v1/recordings"
        self.app.add_api_route(base, self._list, methods=["GET"])
        self.app.add_api_route(base, self._upload, methods=["POST"], status_code=202, response_model=None)
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
        assert request.headers["idempotency-key"]
        if self.refusals:
            code, wait_s = self.refusals.pop(0)
            error = {"message": "the queue is full", "type": "x", "param": None, "code": code}
            status = 503 if code == "queue_full" else 429
            return JSONResponse({"error": error}, status_code=status, headers={"Retry-After": str(wait_s)})
        async with request.form() as form:
            self.items.insert(0, recording(len(self.items), "queued", form["file"].filename))
        return self.items[0]

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
