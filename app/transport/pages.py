"""The pages and their files: `/`, `/recordings` and `/static/...`, read once from app/web when the app is made.

Every answer forbids the browser to load, run or call anything but this server (Content-Security-Policy), and carries
an ETag: a browser asks again each time and mostly gets 304, so that a new version is seen at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

WEB_DIR = Path(__file__).parents[1] / "web"

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served; a file of another kind in the folder is a mistake and refused when the app is made."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent; `etag` is quoted."""

    content: bytes
    media_type: str
    etag: str


def make_router(folder: Path = WEB_DIR) -> APIRouter:
    """Routes for all files of `folder`. Raises ValueError for a file of a kind that is not served."""
    files = read_files(folder)
    router = APIRouter(include_in_schema=False)

    def add(path: str, file: StaticFile) -> None:
        async def answer(request: Request) -> Response:
            return respond(request, file)

        router.add_api_route(path, answer, methods=["GET", "HEAD"], response_class=Response)

    for name, file in files.items():
        add(page_path(name), file)
    return router


def page_path(name: str) -> str:
    """Where a file of the folder is served: pages at the top, everything else under /static."""
    if name == "index.html":
        return "/"
    return f"/{name.removesuffix('.html')}" if name.endswith(".html") else f"/static/{name}"


def read_files(folder: Path) -> dict[str, StaticFile]:
    """Path within the folder (with '/') -> file."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        media_type = MEDIA_TYPES.get(path.suffix)
        if media_type is None:
            raise ValueError(f"{path} is of a kind that is not served; known: {', '.join(MEDIA_TYPES)}")
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
        files[path.relative_to(folder).as_posix()] = StaticFile(content, media_type, etag)
    return files


def respond(request: Request, file: StaticFile) -> Response:
    """The file, or 304 when the browser has it."""
    headers = SECURITY_HEADERS | {"ETag": file.etag}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if file.etag in known or "*" in known:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
