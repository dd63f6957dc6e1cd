"""The file as FFmpeg sees it."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.audio.source import SourceFile
from app.errors import AudioUnreadable

MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 300)),
        st.tuples(st.just("seek"), st.integers(0, 300), st.just(os.SEEK_SET)),
        st.tuples(st.just("seek"), st.integers(0, 300), st.just(os.SEEK_CUR)),
        st.tuples(st.just("seek"), st.integers(-200, 50), st.just(os.SEEK_END)),
        st.tuples(st.just("tell")),
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MOVES)
def test_as_a_file_of_python(media, moves):
    data = bytes(range(250))
    with SourceFile(media.raw("a", data)) as source:
        truth = io.BytesIO(data)
        for name, *arguments in moves:
            assert getattr(source, name)(*arguments) == getattr(truth, name)(*arguments)


def test_impossible_positions_give_an_error_code(media):
    with SourceFile(media.raw("a", b"1234")) as source:
        assert source.seek(-1) < 0
        assert source.seek(1 << 62) < 0
        assert source.seek(0, 77) < 0
        assert source.tell() == 0


def test_reading_in_circles_ends(media):
    with SourceFile(media.raw("a", bytes(1 << 20))) as source:
        for _ in range(3):
            source.progressed()
            for _ in range(60):
                source.seek(0)
                assert len(source.read(1 << 20)) == 1 << 20
        with pytest.raises(AudioUnreadable, match="circles"):
            [source.read(1 << 20) for _ in range(60) if source.seek(0) == 0]


def test_close_twice(media):
    source = SourceFile(media.raw("a", b"1"))
    source.close()
    source.close()
