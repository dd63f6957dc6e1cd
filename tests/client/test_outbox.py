"""The outbox and its buffer: whatever is lost and resent, the server gets every byte once and in order."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client.buffer import SoundBuffer
from app.client.errors import LiveFailed
from app.client.options import AudioFormat
from app.client.outbox import Outbox


@given(st.lists(st.one_of(st.binary(max_size=9), st.integers(0, 40)), max_size=40))
def test_the_buffer_is_a_window_on_all_that_was_added(steps):
    buffer, everything, start = SoundBuffer(limit_bytes=1000), b"", 0
    for step in steps:
        if isinstance(step, bytes):
            buffer.add(step)
            everything += step
        else:
            buffer.drop_before(step)
            start = max(start, min(step, len(everything)))
        assert (buffer.start, buffer.end) == (start, len(everything))
        assert buffer.room == 1000 - (len(everything) - start)
        assert buffer.read(start, 10_000) == everything[start:]
        middle = (start + len(everything)) // 2
        assert buffer.read(middle, 3) == everything[middle : middle + 3]


def test_a_full_buffer_takes_nothing_more():
    buffer = SoundBuffer(limit_bytes=4)
    buffer.add(b"abc")
    with pytest.raises(ValueError, match="do not fit"):
        buffer.add(b"de")
    buffer.drop_before(2)
    assert buffer.room == 3
    buffer.add(b"de")
    assert buffer.read(2, 10) == b"cde"
    with pytest.raises(ValueError, match="outside"):
        buffer.read(1, 1)


@given(data=st.data())
def test_any_interruptions_give_the_server_every_byte_once_and_controls_in_place(data):
    outbox = Outbox(AudioFormat(), keep_s=10)
    given_sound, received = b"", b""
    marks: dict[str, int] = {}
    seen: dict[str, int] = {}
    for number in range(data.draw(st.integers(1, 25))):
        act = data.draw(st.sampled_from(["add", "mark", "send", "ack", "drop"]))
        if act == "add":
            chunk = bytes(data.draw(st.integers(1, 9))) + bytes([number])
            outbox.sound.add(chunk)
            given_sound += chunk
        elif act == "mark":
            marks[str(number)] = len(given_sound)
            outbox.add_control(("mark", str(number)), {"type": "mark", "id": str(number)})
        elif act == "send":
            received = _sent(outbox, received, seen, data.draw(st.integers(1, 7)))
        elif act == "ack":
            outbox.acknowledge(data.draw(st.integers(0, len(received) // 2)))
        else:
            low = -(-outbox.sound.start // 2)
            if low * 2 <= len(received):
                keep = data.draw(st.integers(low, len(received) // 2))
                received = received[: keep * 2]
                outbox.rewind(keep)
    while True:
        before = (received, dict(seen))
        received = _sent(outbox, received, seen, 5)
        if (received, seen) == before:
            break
    assert received == given_sound
    assert seen == marks
    assert not any(outbox.waits_for(("mark", name)) for name in marks)


def _sent(outbox: Outbox, received: bytes, seen: dict[str, int], most: int) -> bytes:
    """One message, as the server takes it; marks are answered at once."""
    item = outbox.next(most)
    if isinstance(item, bytes):
        assert len(item) <= most
        return received + item
    if item is not None:
        identity = json.loads(item)["id"]
        seen[identity] = len(received)
        assert outbox.answered(("mark", identity))
    return received


def test_an_unanswered_control_goes_again_after_a_resume_an_answered_one_does_not():
    outbox = Outbox(AudioFormat(), keep_s=1)
    outbox.add_control(("flush", "a"), {"type": "flush", "id": "a"})
    outbox.sound.add(b"1234")
    outbox.add_control(("flush", "b"), {"type": "flush", "id": "b"})
    assert [outbox.next(99) for _ in range(4)] == [
        '{"type": "flush", "id": "a"}',
        b"1234",
        '{"type": "flush", "id": "b"}',
        None,
    ]
    assert outbox.answered(("flush", "a"))
    assert not outbox.answered(("flush", "a"))
    outbox.rewind(1)
    assert [outbox.next(99) for _ in range(3)] == [b"34", '{"type": "flush", "id": "b"}', None]
    assert outbox.waits_for(("flush", "b"))


def test_sound_that_is_gone_is_an_error():
    outbox = Outbox(AudioFormat(), keep_s=1)
    outbox.sound.add(bytes(8))
    outbox.next(99)
    outbox.acknowledge(2)
    for wanted in (1, 6):
        with pytest.raises(LiveFailed, match="not kept") as caught:
            outbox.rewind(wanted)
        assert caught.value.code == "sound_gone"


def test_an_acknowledgement_never_drops_what_was_not_sent():
    outbox = Outbox(AudioFormat(), keep_s=1)
    outbox.sound.add(b"12345678")
    assert outbox.next(4) == b"1234"
    outbox.acknowledge(4)
    assert outbox.next(99) == b"5678"


@given(st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]), st.integers(0, 10**7), st.integers(1, 4))
def test_positions_are_whole_frames_at_most_one_sample_early(rate, samples, channels):
    audio = AudioFormat("pcm_s16le", rate, channels)
    at = audio.bytes_of(samples)
    assert at % audio.frame_bytes == 0
    assert 0 <= samples / 16000 - audio.seconds_of(at) < 1 / rate + 1e-9
