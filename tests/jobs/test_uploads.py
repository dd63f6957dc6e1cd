"""Uploads in parts in the store, on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from app.errors import (
    BlobMissing,
    LimitReached,
    UploadConflict,
    UploadIncomplete,
    UploadNotFound,
    UploadOffsetMismatch,
    UploadUsed,
)
from app.jobs import tables, uploads
from app.jobs.blobs import Blobs
from app.jobs.retention import RetentionRules, sweep
from app.jobs.store import open_store
from app.jobs.uploads import UploadRules
from app.store import migrate, open_database

RULES = UploadRules(ttl_s=3600, max_open=3)


def begin(site, length=10, tenant="", rules=RULES):
    return site.store.uploads.create(tenant, length, "m.wav", "", rules)


def add(site, upload, data, ttl_s=3600.0):
    blob = site.store.blobs.put_stream([data], 1000)
    return site.store.uploads.append(upload.id, upload.received, blob, ttl_s)


def blobs(site):
    return set(site.store.blobs.older_than(-60))


def tidy(site):
    return sweep(site.store, RetentionRules(), lambda _: None)


def test_parts_make_the_file(site):
    upload = add(site, add(site, begin(site), b"one "), b"two ")
    with pytest.raises(UploadIncomplete), site.store.uploads.whole(upload):
        pass
    upload = add(site, upload, b"34")
    assert (upload.complete, upload.parts) == (True, 3)
    with site.store.uploads.whole(upload) as path:
        assert path.read_bytes() == b"one two 34"
    assert not path.exists()


def test_of_two_parts_that_come_at_once_one_counts(site):
    upload, both, told = begin(site, 4), threading.Barrier(2), []

    def put(data):
        blob = site.store.blobs.put_stream([data], 10)
        both.wait(30)
        try:
            site.store.uploads.append(upload.id, 0, blob, 60)
        except UploadOffsetMismatch:
            told.append(data)

    threads = [threading.Thread(target=put, args=(it,)) for it in (b"aaaa", b"bbbb")]
    for it in threads:
        it.start()
    for it in threads:
        it.join(60)
    assert len(told) == 1
    with site.store.uploads.whole(site.store.uploads.get(upload.id)) as path:
        assert path.read_bytes() == ({b"aaaa", b"bbbb"} - set(told)).pop()
    assert len(blobs(site)) == 1


def test_what_does_not_fit_leaves_no_blob(site, monkeypatch):
    upload = begin(site, 4)
    with pytest.raises(UploadConflict):
        add(site, upload, b"five5")
    monkeypatch.setattr(uploads, "MAX_PARTS", 1)
    upload = add(site, upload, b"1")
    with pytest.raises(UploadConflict, match="1 parts"):
        add(site, upload, b"2")
    with pytest.raises(UploadNotFound):
        add(site, replace(upload, id="upl_0"), b"2")
    assert len(blobs(site)) == 1


def test_a_used_upload_has_no_parts_and_goes_with_its_recording(site):
    upload = add(site, begin(site, 2), b"ab")
    job = site.submit(b"RIFF")
    site.store.uploads.used(upload.id, job.id)
    assert site.store.uploads.get(upload.id).job_id == job.id
    assert blobs(site) == {job.blob.id}
    with pytest.raises(UploadUsed):
        add(site, upload, b"")
    site.store.jobs.delete(job.id)
    with pytest.raises(UploadNotFound):
        site.store.uploads.get(upload.id)
    other = add(site, begin(site, 2), b"ab")
    site.store.uploads.used(other.id, job.id)
    with pytest.raises(UploadNotFound):
        site.store.uploads.get(other.id)
    assert blobs(site) == set()


def test_what_nobody_goes_on_with_is_swept_and_the_rest_is_not(site):
    old = add(site, begin(site), b"old", ttl_s=0.0)
    kept = add(site, begin(site), b"kept")
    with pytest.raises(UploadNotFound):
        site.store.uploads.get(old.id)
    with pytest.raises(UploadNotFound):
        add(site, old, b"more")
    assert tidy(site).uploads == 1
    assert tidy(site).uploads == 0
    with site.store.database.read() as connection:
        parts = connection.execute(sa.select(tables.upload_part.c.upload_id, tables.upload_part.c.blob)).all()
    assert [it[0] for it in parts] == [kept.id]
    assert blobs(site) == {parts[0][1]}


def test_parts_are_no_orphans(site, monkeypatch):
    monkeypatch.setattr("app.jobs.retention.ORPHAN_AGE_S", -60.0)
    upload = add(site, begin(site), b"part")
    lost = site.store.blobs.put_stream([b"lost"], 10)
    assert tidy(site).orphans == 1
    assert lost.id not in blobs(site)
    assert site.store.uploads.get(upload.id).received == 4
    assert len(blobs(site)) == 1


def test_tenants_are_apart_and_have_so_many(site):
    mine = begin(site, tenant="one")
    for call in (site.store.uploads.get, site.store.uploads.delete):
        with pytest.raises(UploadNotFound):
            call(mine.id, "two")
    begin(site, tenant="one")
    begin(site, tenant="one")
    with pytest.raises(LimitReached):
        begin(site, tenant="one")
    begin(site, tenant="two")
    site.store.uploads.delete(mine.id, "one")
    begin(site, tenant="one")


def test_a_part_in_a_store_that_is_not_shared_is_told(site):
    upload = add(site, begin(site, 2), b"ab")
    for blob in blobs(site):
        site.store.blobs.delete(blob)
    with pytest.raises(BlobMissing, match="all servers must share"), site.store.uploads.whole(upload):
        pass


def test_parts_lie_in_a_store_of_objects_too(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    migrate(database)
    store = open_store(database, Blobs("memory://uploads", tmp_path / "staging"))
    upload = store.uploads.create("", 6, "m.wav", "", RULES)
    for data in (b"one", b"two"):
        upload = store.uploads.append(upload.id, upload.received, store.blobs.put_stream([data], 10), 60)
    with store.uploads.whole(upload) as path:
        blob = store.blobs.put_file(path)
    assert b"".join(store.blobs.read(blob.id)) == b"onetwo"
    store.uploads.delete(upload.id)
    assert set(store.blobs.older_than(-60)) == {blob.id}
    assert list((tmp_path / "staging").iterdir()) == []
    store.blobs.delete(blob.id)
    database.close()
