"""Sound in a real S3-compatible store: blobs alone, and whole jobs over HTTP."""

from __future__ import annotations

import asyncio
import os
import socket

import httpx2
import pytest

from app.errors import BlobMissing, SetupError, StoreUnavailable
from app.jobs.blobs import Blobs
from app.settings import JobsGroup, StoreGroup
from tests.engine.fake_worker import fake_engine
from tests.jobs.s3_server import BUCKET, KEYS, S3Server
from tests.transport.recordings.calls import code, finished, wait_for
from tests.transport.server import TEXT, serving, settings, wav

MiB = 1024**2


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as environment:
        for name, value in KEYS.items():
            environment.setenv(name, value)
        it = S3Server()
        try:
            it.wait()
            yield it
        finally:
            it.close()


@pytest.fixture
def blobs(server, tmp_path):
    return Blobs(f"s3://{BUCKET}/{tmp_path.name}", tmp_path / "staging", server.url)


def test_a_blob_goes_in_and_comes_out_whole_and_in_parts(blobs, tmp_path):
    data = os.urandom(11 * MiB + 17)  # so large that it goes up in parts
    path = tmp_path / "sound"
    path.write_bytes(data)
    blob = blobs.put_file(path)
    assert not path.exists()
    assert blob.size == len(data)
    assert blobs.exists(blob.id)
    assert b"".join(blobs.read(blob.id)) == data
    for start, end in ((0, 10), (5, 5), (MiB - 3, 3 * MiB + 5), (len(data) - 4, None), (len(data) - 4, len(data) + 9)):
        assert b"".join(blobs.read(blob.id, start, end)) == data[start:end], (start, end)
    with blobs.local(blob.id) as local:
        assert local.read_bytes() == data
    assert not local.exists()
    second = blobs.put_stream([b"ab", b"c"], 3)
    with blobs.joined([second.id, second.id]) as joined:
        assert joined.read_bytes() == b"abcabc"
    assert sorted(blobs.older_than(-3600)) == sorted([blob.id, second.id])
    assert list(blobs.older_than(3600)) == []
    assert not list((tmp_path / "staging").iterdir())


def test_a_blob_that_is_deleted_is_gone(blobs):
    blob = blobs.put_stream([b"abc"], 3)
    for _ in range(2):
        blobs.delete(blob.id)
        assert not blobs.exists(blob.id)
    with pytest.raises(BlobMissing):
        list(blobs.read(blob.id))
    with pytest.raises(BlobMissing), blobs.local(blob.id):
        pass
    assert list(blobs.older_than(-3600)) == []


def test_what_cannot_be_reached_or_may_not_be_had_is_said(server, tmp_path, monkeypatch):
    with pytest.raises(StoreUnavailable):
        Blobs("s3://another/x", tmp_path, server.url).check()
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(StoreUnavailable):
        Blobs(f"s3://{BUCKET}/x", tmp_path, nobody).exists("ab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    blobs = Blobs(f"s3://{BUCKET}/x", tmp_path, server.url)
    with pytest.raises(StoreUnavailable):
        blobs.check()
    with pytest.raises(SetupError, match="s3"):
        Blobs("s3://", tmp_path, server.url)


def test_whole_jobs_with_their_sound_in_s3(server, tmp_path):
    chosen = settings(
        tmp_path,
        store=StoreGroup(blobs_url=f"s3://{BUCKET}/jobs", blobs_endpoint_url=server.url),
        jobs=JobsGroup(poll_s=0.05),
    )
    engine, data = fake_engine(), wav()
    blobs = Blobs(f"s3://{BUCKET}/jobs", tmp_path, server.url)
    with serving(engine, chosen) as url, httpx2.Client(base_url=url, timeout=60) as http:
        path = finished(http)
        assert http.get(f"{path}/transcript?format=txt").text.count("Speaker") > 1
        assert TEXT.split()[0] in http.get(f"{path}/transcript?format=txt").text
        assert http.get(f"{path}/audio").content == data
        part = http.get(f"{path}/audio", headers={"Range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, data[1000:2000])
        assert http.get(f"{path}/audio", headers={"Range": "bytes=-5"}).content == data[-5:]
        assert http.get(f"{path}/audio", headers={"Range": f"bytes={len(data)}-"}).status_code == 416
        tus = {"Tus-Resumable": "1.0.0"}
        upload = http.post("/v1/uploads", headers={**tus, "Upload-Length": str(len(data))}).headers["location"]
        for start in (0, 200_000):
            body = data[start : start + 200_000]
            kind = {"Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"}
            assert http.patch(upload, headers=tus | kind, content=body).status_code == 204
        second = finished_of(http, upload)
        assert http.get(f"{second}/audio").content == data
        assert len(list(blobs.older_than(-3600))) >= 2
        for it in (path, second):
            assert http.delete(it).status_code == 204
            assert code(http.get(f"{it}/audio")) == (404, "job_not_found")
        assert http.delete(upload, headers=tus).status_code == 404
        assert list(blobs.older_than(-3600)) == []
        assert not [it for it in (tmp_path / "data" / "work").iterdir() if it.name.startswith(("blob-", "upload-"))]
    asyncio.run(engine.aclose())


def finished_of(http, upload: str) -> str:
    """The path of a recording that was made of an upload and has succeeded."""
    made = http.post("/v1/recordings", data={"upload": upload.rpartition("/")[2]})
    assert made.status_code == 202, made.text
    wait_for(http, made.headers["location"], "succeeded")
    return made.headers["location"]
