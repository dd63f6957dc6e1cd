"""Damaged and cut files: later words keep their times, and the recording says what was wrong."""

from __future__ import annotations

import numpy as np
import pytest

from app.audio import AudioLimits, AudioWarning, open_recording
from app.errors import AudioTruncated, AudioUnreadable, CrosstalkError, NoAudioTrack

TIMES = [1.0, 2.0, 3.0, 8.0, 9.5]
FILES = [
    ("a.mp3", "libmp3lame"),
    ("a.mp2", "mp2"),
    ("a.flac", "flac"),
    ("a.opus", "libopus"),
    ("a.m4a", "aac"),
    ("a.webm", "libopus"),
    ("a.ts", "aac"),
]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["noise", "zeros"])
def test_damage_in_the_middle_shifts_nothing(media, pulses, find, read, file, damage):
    name, codec = file
    # Matroska goes on at the next cluster after damage; as live recorders do, one a second.
    options = {"cluster_time_limit": "1000"} if name == "a.webm" else {}
    data = bytearray(media.encode(name, codec, pulses(TIMES, 10.0), **options).read_bytes())
    whole, _ = read(media.raw("whole", bytes(data)))
    start, size = len(data) // 2, len(data) // 40
    noise = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    data[start : start + size] = noise if damage == "noise" else bytes(size)
    samples, recording = read(media.raw("damaged", bytes(data)))
    assert find(samples)[:3] == pytest.approx(find(whole)[:3], abs=0.002)
    assert find(samples)[-1] == pytest.approx(find(whole)[-1], abs=0.002)
    assert len(samples) == pytest.approx(len(whole), abs=500)
    assert {AudioWarning.DAMAGED, AudioWarning.GAPS} & set(recording.warnings)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.opus", "a.webm", "a.mka"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_file_cut_short_gives_what_it_holds(media, pulses, read, name, kept):
    codec = {"wav": "pcm_s24le", "flac": "flac", "mp3": "libmp3lame", "opus": "libopus", "webm": "libopus"}
    path = media.encode(name, codec.get(name[2:], "aac"), pulses(TIMES, 10.0))
    data = path.read_bytes()
    samples, recording = read(media.raw("cut", data[: round(len(data) * kept)]))
    assert len(samples) / 160_000 == pytest.approx(kept, abs=0.1)
    assert AudioWarning.TRUNCATED in recording.warnings


def test_an_mp4_with_its_index_first_gives_what_it_holds(media, pulses, find, read):
    data = media.encode("a.mp4", "aac", pulses(TIMES, 10.0), movflags="faststart").read_bytes()
    samples, recording = read(media.raw("cut", data[: len(data) // 2]))
    assert find(samples) == pytest.approx(TIMES[:3], abs=0.002)
    assert AudioWarning.TRUNCATED in recording.warnings


@pytest.mark.parametrize("name", ["a.mp4", "a.m4a", "a.mov"])
def test_an_mp4_without_its_index_says_so(media, pulses, name):
    data = media.encode(name, "aac", pulses(TIMES, 10.0)).read_bytes()
    with pytest.raises(AudioTruncated, match="index"):
        open_recording(media.raw("cut", data[: len(data) // 2]), AudioLimits())


def test_sound_that_is_all_damage(media, pulses):
    data = bytearray(media.encode("a.m4a", "aac", pulses(TIMES, 10.0), movflags="faststart").read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = b"\xff" * (len(data) - start)
    with pytest.raises(AudioUnreadable, match="damaged"):
        open_recording(media.raw("a", bytes(data)), AudioLimits())


def test_a_header_that_states_sound_which_is_not_there(media):
    data = media.write("a.wav", np.zeros((1, 1000), np.float32)).read_bytes()
    with pytest.raises(AudioTruncated):
        open_recording(media.raw("cut", data[:44]), AudioLimits())


def test_no_warning_for_whole_files(media, pulses, read):
    for name, codec in FILES:
        assert read(media.encode(name, codec, pulses(TIMES, 10.0)))[1].warnings == ()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_video_without_sound(media, name):
    with pytest.raises(NoAudioTrack):
        open_recording(media.video(name, None, seconds=1), AudioLimits())


def _mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four wounds, half of them in the first 512 bytes, where the structure is."""
    wounded = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, min(512, len(wounded)) if rng.random() < 0.5 else len(wounded)))
        size = int(rng.integers(1, 64))
        match int(rng.integers(0, 6)):
            case 0:
                wounded[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                wounded[at : at + size] = rng.integers(0, 256, len(wounded[at : at + size]), np.uint8).tobytes()
            case 2:
                wounded[at : at + 4] = [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\1"][int(rng.integers(4))]
            case 3:
                del wounded[at : at + size]
            case 4:
                wounded[at:at] = wounded[at : at + size]
            case _:
                del wounded[max(1, at) :]
        if not wounded:
            break
    return bytes(wounded)


def test_any_damage_gives_sound_or_a_clear_error(media, pulses, read):
    sound = pulses([0.2], 0.6)
    sources = [media.encode(name, codec, sound).read_bytes() for name, codec in FILES]
    sources.append(media.encode("a.wav", "pcm_s16le", sound[:, :8000]).read_bytes())
    sources.append(media.encode("a.aac", "aac", sound).read_bytes())
    sources.append(media.video("a.mp4", pulses([0.5], 1.0), seconds=1).read_bytes())
    rng = np.random.default_rng(5)
    limits = AudioLimits(max_duration_s=120, max_gap_s=60)
    outcomes = {True: 0, False: 0}
    for index in range(300):
        path = media.raw("wounded", _mutated(sources[index % len(sources)], rng))
        try:
            read(path, limits)
        except CrosstalkError:
            outcomes[False] += 1
        else:
            outcomes[True] += 1
    # The damage is neither harmless nor always fatal, or this would test nothing.
    assert min(outcomes.values()) > 30
