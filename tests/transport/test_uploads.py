"""app/transport/uploads.py: multipart bodies, whole and broken, in pieces of any size."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from app.errors import OutputError
from app.transport.problems import ClientGone, HttpProblem
from app.transport.uploads import UploadLimits, receive_form, sweep

LIMITS = UploadLimits(max_file_bytes=1000, max_field_bytes=100, stall_timeout_s=0.2)
TYPE = "multipart/form-data; boundary=XX"


def part(name, data, filename=None) -> bytes:
    extra = f'; filename="{filename}"' if filename is not None else ""
    return f'--XX\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + data + b"\r\n"


END = b"--XX--\r\n"


def request(body, piece=10_000, content_type=TYPE, *, hang=False, gone=False, length=None) -> Request:
    """A request whose body comes in pieces; then silence, or the end of the connection."""
    pieces = [body[i : i + piece] for i in range(0, len(body), piece)]

    async def receive():
        if pieces:
            data = pieces.pop(0)
            return {"type": "http.request", "body": data, "more_body": bool(pieces) or hang or gone}
        if gone:
            return {"type": "http.disconnect"}
        if hang:
            await asyncio.sleep(10)
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"content-type", content_type.encode())] if content_type else []
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


def receive(it, directory, limits=LIMITS):
    """(fields, bytes of the file, its name) of a request; nothing may stay in the directory."""

    async def run():
        async with receive_form(it, limits, directory) as form:
            data = form.file.read_bytes() if form.file else None
            return form.fields, data, form.file_name

    try:
        return asyncio.run(run())
    finally:
        assert not directory.exists() or list(directory.iterdir()) == []


@given(
    data=st.binary(max_size=300),
    values=st.lists(st.text(max_size=20), max_size=4),
    piece=st.integers(1, 400),
)
def test_any_pieces_give_the_same_form(tmp_path_factory, data, values, piece):
    fields = [(f"field{number}", value) for number, value in enumerate(values)]
    body = part("file", data, "a.wav") + b"".join(part(name, value.encode()) for name, value in fields) + END
    got = receive(request(body, piece), tmp_path_factory.getbasetemp() / "uploads")
    assert got == (tuple(fields), data, "a.wav")


def test_order_of_fields_and_repeats_are_kept(tmp_path):
    body = part("b[]", b"1") + part("file", b"x", "ü.wav") + part("a", b"2") + part("b[]", b"3") + END
    assert receive(request(body), tmp_path) == ((("b[]", "1"), ("a", "2"), ("b[]", "3")), b"x", "ü.wav")


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{}", "application/json", 415, "unsupported_media_type"),
        (b"", None, 415, "unsupported_media_type"),
        (b"", "multipart/form-data", 400, "body_malformed"),
        (b"no multipart at all", TYPE, 400, "body_malformed"),
        (b"", TYPE, 400, "body_malformed"),
        (part("file", b"cut", "a.wav"), TYPE, 400, "body_malformed"),
        (part("file", b"cut", "a.wav")[:-3], TYPE, 400, "body_malformed"),
        (b"--XX\r\nContent-Type: text/plain\r\n\r\nx\r\n--XX--\r\n", TYPE, 400, "body_malformed"),
        (part("file", b"1", "a") + part("file", b"2", "b") + END, TYPE, 400, "body_malformed"),
        (b"--XX\r\nContent-Disposition: form-data; " + b"x" * 10_000 + b"\r\n\r\n", TYPE, 400, "body_malformed"),
        (part("file", b"x" * 1001, "a.wav") + END, TYPE, 413, "upload_too_large"),
        (part("prompt", b"x" * 101) + END, TYPE, 413, "upload_too_large"),
        (b"".join(part("a", b"x" * 90) for _ in range(5)) + END, TYPE, 413, "upload_too_large"),
        (b"".join(part("a", b"") for _ in range(1001)) + END, TYPE, 400, "body_malformed"),
    ],
)
@pytest.mark.parametrize("piece", [7, 100_000])
def test_bodies_that_are_refused(tmp_path, body, content_type, status, code, piece):
    with pytest.raises(HttpProblem) as caught:
        receive(request(body, piece, content_type), tmp_path)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_limits_are_exact(tmp_path):
    body = part("file", b"x" * 1000, "a.wav") + part("prompt", b"x" * 100) + END
    assert len(receive(request(body), tmp_path)[1]) == 1000


def test_a_body_declared_too_large_is_refused_unread(tmp_path):
    with pytest.raises(HttpProblem) as caught:
        receive(request(part("file", b"x", "a.wav") + END, length=10**9), tmp_path)
    assert caught.value.status == 413


def test_a_stalled_upload_is_given_up(tmp_path):
    with pytest.raises(HttpProblem) as caught:
        receive(request(part("file", b"x", "a.wav"), hang=True), tmp_path)
    assert (caught.value.status, caught.value.code) == (408, "upload_stalled")


def test_a_client_that_hangs_up(tmp_path):
    with pytest.raises(ClientGone):
        receive(request(part("file", b"x", "a.wav"), gone=True), tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be stored"):
        asyncio.run(receive_form(request(END), LIMITS, tmp_path / "file" / "below").__aenter__())


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_full_disk_is_told_however_little_came(tmp_path, monkeypatch, size):
    def on_a_full_disk(*_arguments):
        path = tmp_path / "upload-full.part"
        path.touch()
        return os.open("/dev/full", os.O_WRONLY), str(path)

    monkeypatch.setattr("tempfile.mkstemp", on_a_full_disk)
    with pytest.raises(OutputError, match="No space left"):
        receive(request(part("file", b"x" * size, "a.wav") + END), tmp_path, replace(LIMITS, max_file_bytes=size))


def test_sweep_takes_only_old_uploads(tmp_path):
    old, fresh, other = tmp_path / "upload-a.part", tmp_path / "upload-b.part", tmp_path / "keep.me"
    for path in (old, fresh, other):
        path.write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (time.time() - 90_000,) * 2)
    assert sweep(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keep.me", "upload-b.part"]
    assert sweep(tmp_path / "nowhere") == 0
