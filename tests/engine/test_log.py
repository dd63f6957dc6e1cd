"""Logs of answers: first write wins, records survive a reopening, a crash costs at most the record being written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.engine.log import FileLog, Key, MemoryLog, Record
from app.errors import EngineClosed, EngineFailed, FileUnreadable, OutputError

A, B = Key("diarize", 0), Key("decode", 7)
ONE, TWO = Record("f1", b'{"answer": 1}'), Record("f2", b'{"answer": 2}')


def run(main):
    return asyncio.run(asyncio.wait_for(main, 10))


def write(path: Path, *records: tuple[Key, Record]) -> None:
    async def main() -> None:
        log = FileLog(path)
        for key, record in records:
            assert await log.put(key, record) == record
        await log.aclose()

    run(main())


def read(path: Path, key: Key, *, writable: bool = True) -> Record | None:
    async def main() -> Record | None:
        log = FileLog(path, writable=writable)
        try:
            return await log.get(key)
        finally:
            await log.aclose()

    return run(main())


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_the_first_write_wins_and_closing_is_final(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        log = MemoryLog() if kind == "memory" else FileLog(tmp_path / "log")
        assert await log.get(A) is None
        assert await log.put(A, ONE) == ONE
        assert await log.put(A, TWO) == ONE
        assert await log.get(A) == ONE
        assert await log.get(B) is None
        await log.aclose()
        await log.aclose()
        with pytest.raises(EngineClosed):
            await log.get(A)
        with pytest.raises(EngineClosed):
            await log.put(B, ONE)

    run(main())


def test_records_survive_a_reopening(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, (A, ONE))
    write(path, (B, TWO))
    assert read(path, A) == ONE
    assert read(path, B) == TWO
    assert read(path, B, writable=False) == TWO


def test_concurrent_writers_of_one_key_get_the_same_record(tmp_path: Path) -> None:
    async def main() -> None:
        log = FileLog(tmp_path / "log")
        records = [Record(str(i), b"%d" % i) for i in range(8)]
        standing = await asyncio.gather(*(log.put(A, record) for record in records))
        assert len(set(standing)) == 1
        await log.aclose()

    run(main())


def test_a_torn_last_line_is_cut_off_wherever_it_tears(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, (A, ONE))
    whole = path.read_bytes()
    write(path, (B, TWO))
    both = path.read_bytes()
    for size in range(len(whole) + 1, len(both)):
        path.write_bytes(both[:size])
        assert read(path, B, writable=False) is None
        assert path.read_bytes() == both[:size], "read-only repairs nothing"
        assert read(path, A) == ONE
        assert path.read_bytes() == whole
        write(path, (B, TWO))
        assert path.read_bytes() == both


def test_a_torn_header_starts_the_file_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path)
    header = path.read_bytes()
    for size in range(len(header)):
        path.write_bytes(header[:size])
        write(path, (A, ONE))
        assert read(path, A) == ONE


def test_damage_before_the_last_record_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, (A, ONE), (B, TWO))
    path.write_bytes(path.read_bytes().replace(b"answer", b"ANSWER", 1))
    with pytest.raises(EngineFailed, match="damaged at byte"):
        read(path, B)


@pytest.mark.parametrize("content", [b"RIFF....WAVE", b"hello\nworld\n", b'{"kind":"engine_log","version":2}\n', b"\0"])
def test_another_file_is_refused_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(EngineFailed):
        read(path, A)
    assert path.read_bytes() == content


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = FileLog(path)
    with pytest.raises(OutputError, match="in use"):
        FileLog(path)
    reader = FileLog(path, writable=False)
    reader.close()
    log.close()
    FileLog(path).close()


def test_a_refused_file_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"hello\nworld\n")
    with pytest.raises(EngineFailed):
        FileLog(path)
    path.unlink()
    FileLog(path).close()


def test_read_only_takes_no_records_and_needs_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with pytest.raises(FileUnreadable):
        FileLog(path, writable=False)
    write(path)

    async def main() -> None:
        log = FileLog(path, writable=False)
        with pytest.raises(EngineFailed, match="read-only"):
            await log.put(A, ONE)
        await log.aclose()

    run(main())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        FileLog(tmp_path / "missing" / "log")
    with pytest.raises(OutputError):
        FileLog(tmp_path)


def test_a_failed_write_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        log = FileLog(path)
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr("app.engine.log.os.fsync", full)
            with pytest.raises(EngineFailed, match="No space left"):
                await log.put(A, ONE)
        assert path.read_bytes() == before
        assert await log.get(A) is None
        assert await log.put(A, TWO) == TWO
        await log.aclose()

    run(main())
    assert read(path, A) == TWO
