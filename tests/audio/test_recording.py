"""What comes out of good files: the right sound at the right times."""

from __future__ import annotations

import io
import os

import av
import numpy as np
import pytest

from app.audio import AudioLimits, AudioWarning, open_recording
from app.errors import AudioTooLong, OptionInvalid

TIMES = [0.5, 1.0, 2.25, 3.9]
EXACT = [
    ("a.wav", "pcm_s16le"),
    ("f64.wav", "pcm_f64le"),
    ("u8.wav", "pcm_u8"),
    ("s32.wav", "pcm_s32le"),
    ("a.flac", "flac"),
    ("alac.m4a", "alac"),
    ("pcm.mov", "pcm_s16be"),
    ("a.aiff", "pcm_s16be"),
    ("a.mp3", "libmp3lame"),
    ("a.opus", "libopus"),
    ("a.ogg", "flac"),
]
PADDED = [("a.m4a", "aac"), ("a.mp4", "aac"), ("a.mkv", "aac"), ("a.webm", "libopus"), ("flac.mka", "flac")]


@pytest.mark.parametrize(("name", "codec"), EXACT + PADDED)
def test_times_and_length(media, pulses, find, read, name, codec):
    path = media.encode(name, codec, pulses(TIMES, 5.0))
    samples, recording = read(path)
    assert find(samples) == pytest.approx(TIMES, abs=0.001)
    assert recording.warnings == ()
    assert recording.info.duration_s == pytest.approx(5.0, abs=0.03)
    if (name, codec) in EXACT:
        assert len(samples) == pytest.approx(80_000, abs=16)
    else:
        assert 80_000 - 16 <= len(samples) <= 80_000 + 1024


@pytest.mark.parametrize("name", ["a.aac", "a.ts"])
def test_streams_that_do_not_tell_their_priming_are_late_by_it(media, pulses, find, read, name):
    samples, _ = read(media.encode(name, "aac", pulses(TIMES, 5.0)))
    assert find(samples) == pytest.approx([time + 1024 / 48_000 for time in TIMES], abs=0.002)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 96_000, 192_000])
@pytest.mark.parametrize("count", [1, 7, 999, 54_321])
def test_counts_by_an_independent_writer(media, read, rate, count):
    sound = 0.1 * np.random.default_rng(1).standard_normal((2, count)).astype(np.float32)
    samples, recording = read(media.write("a.wav", sound, rate, "FLOAT"))
    assert len(samples) == -(-count * 16_000 // rate)
    assert (recording.info.rate, recording.info.channels) == (rate, 2)


@pytest.mark.parametrize(
    ("subtype", "form", "tolerance"),
    [
        ("PCM_16", "WAV", 1e-4),
        ("PCM_24", "WAV", 1e-6),
        ("PCM_32", "WAV", 1e-6),
        ("PCM_U8", "WAV", 1e-2),
        ("FLOAT", "WAV", 1e-7),
        ("DOUBLE", "WAV", 1e-7),
        ("ULAW", "WAV", 2e-2),
        ("ALAW", "AU", 2e-2),
        ("PCM_16", "AIFF", 1e-4),
        ("PCM_16", "CAF", 1e-4),
        ("PCM_16", "W64", 1e-4),
        ("PCM_16", "RF64", 1e-4),
        ("PCM_16", "NIST", 1e-4),
        ("PCM_24", "FLAC", 1e-6),
    ],
)
def test_samples_at_16_khz_pass_unchanged(media, read, subtype, form, tolerance):
    sound = np.clip(0.2 * np.random.default_rng(2).standard_normal((1, 20_000)), -0.99, 0.99).astype(np.float32)
    samples, _ = read(media.write("a", sound, 16_000, subtype, form))
    np.testing.assert_allclose(samples, sound[0], atol=tolerance)


def test_vorbis_by_an_independent_writer(media, pulses, find, read):
    samples, recording = read(media.write("a.ogg", pulses(TIMES, 5.0), 48_000, "VORBIS", "OGG"))
    assert find(samples) == pytest.approx(TIMES, abs=0.001)
    assert len(samples) == pytest.approx(80_000, abs=16)
    assert recording.info.codec == "vorbis"


def test_telephone_mu_law(media, pulses, find, read):
    samples, recording = read(media.write("call.wav", pulses(TIMES, 5.0, 8_000), 8_000, "ULAW"))
    assert find(samples) == pytest.approx(TIMES, abs=0.001)
    assert (recording.info.codec, recording.info.rate) == ("pcm_mulaw", 8_000)


def _error(samples, source_48khz):
    """Relative RMS error, the ends apart."""
    truth = source_48khz[::3][1000:15_000]
    return np.std(samples[1000:15_000] - truth) / np.std(truth)


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
@pytest.mark.parametrize(("name", "codec"), [("a.flac", "flac"), ("a.m4a", "aac"), ("a.wav", "pcm_s16le")])
def test_channels_are_averaged_or_chosen(media, read, channels, name, codec):
    time = np.arange(48_000) / 48_000
    sound = np.stack([0.5 * np.sin(2 * np.pi * (300 + 100 * index) * time) for index in range(channels)])
    # The LFE channel of 5.1 and 7.1 (the fourth) may be low-passed by a codec; 600 Hz would suffer.
    if channels > 3:
        sound[3] = 0.5 * np.sin(2 * np.pi * 40 * time)
    path = media.encode(name, codec, sound.astype(np.float32), bit_rate=64_000 * channels)
    samples, recording = read(path)
    assert recording.info.channels == channels
    assert _error(samples, sound.mean(axis=0)) < (0.2 if codec == "aac" else 0.01)
    for index in range(channels):
        one, _ = read(path, channel=index)
        assert len(one) == len(samples)
        assert _error(one, sound[index]) < (0.2 if codec == "aac" else 0.01)


@pytest.mark.parametrize("channel", [-1, 2])
def test_a_channel_that_is_not_there(media, channel):
    path = media.write("a.wav", np.zeros((2, 100), np.float32))
    with pytest.raises(OptionInvalid, match="2") as caught:
        open_recording(path, AudioLimits(), channel=channel)
    assert caught.value.param == "channel"


def test_opposite_channels_do_not_vanish(media, read):
    sound = 0.2 * np.random.default_rng(3).standard_normal((1, 32_000)).astype(np.float32)
    samples, recording = read(media.write("a.wav", np.concatenate([sound, -sound]), 16_000, "FLOAT"))
    np.testing.assert_allclose(samples, sound[0], atol=1e-6)
    assert recording.warnings == (AudioWarning.OUT_OF_PHASE,)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("delay_s", [0, 2])
def test_video_keeps_the_players_times(media, pulses, find, read, name, delay_s):
    sound = pulses([0.2, 1.0, 2.5, 3.0], 4.0)
    samples, recording = read(media.video(name, sound, delay_s=delay_s))
    assert find(samples) == pytest.approx([time for time in [0.2, 1.0, 2.5, 3.0] if time >= delay_s], abs=0.002)
    assert recording.info.codec == "aac"
    assert recording.warnings == ()


def test_pictures_are_never_decoded(media, pulses, monkeypatch):
    path = media.video("a.mp4", pulses([0.5], 4.0))
    with open_recording(path, AudioLimits()) as recording:
        video = recording._decoding._audio.container.streams.video[0]
        list(recording.frames())
        assert video.discard.name == "all"
        assert not video.codec_context.is_open


def test_first_and_later_reads(media):
    path = media.write("a.wav", np.zeros((1, 40_000), np.float32))
    with open_recording(path, AudioLimits()) as recording:
        assert [len(frame.samples) for frame in recording.frames()] == [16_000, 16_000, 8_000]
        assert list(recording.frames()) == []
    recording.close()
    with pytest.raises(RuntimeError, match="closed"):
        next(recording.frames())


def test_joined_files_follow_each_other(media, pulses, find, read):
    one = media.encode("one.opus", "libopus", pulses([1.0], 3.0)).read_bytes()
    samples, recording = read(media.raw("two.opus", one + one))
    assert find(samples) == pytest.approx([1.0, 4.0], abs=0.002)
    assert recording.warnings == (AudioWarning.TIMESTAMPS,)


def _remux(path, target, edit):
    """Copy the packets of a file, their times changed by `edit(pts) -> pts or None (dropped)`."""
    with av.open(str(path)) as source, av.open(str(target), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is None or (pts := edit(packet.pts * packet.time_base)) is None:
                continue
            packet.pts = packet.dts = round(pts / packet.time_base)
            packet.stream = stream
            copy.mux(packet)
    return target


def test_a_pause_in_the_timestamps_becomes_silence(media, pulses, find, read, tmp_path):
    path = media.encode("a.mka", "flac", pulses([1.0, 3.0], 4.0))
    paused = _remux(path, tmp_path / "paused.mka", lambda pts: pts if pts < 2 else pts + 7)
    samples, recording = read(paused)
    assert find(samples) == pytest.approx([1.0, 10.0], abs=0.002)
    assert len(samples) == pytest.approx(11 * 16_000, abs=32)
    assert recording.warnings == (AudioWarning.GAPS,)


def test_lost_packets_become_silence(media, pulses, find, read, tmp_path):
    path = media.encode("a.webm", "libopus", pulses([0.5, 1.5, 3.0], 4.0))
    samples, recording = read(_remux(path, tmp_path / "b.webm", lambda pts: None if 1 < pts < 2 else pts))
    assert find(samples) == pytest.approx([0.5, 3.0], abs=0.002)
    assert recording.warnings == (AudioWarning.GAPS,)


def test_a_gap_beyond_the_limit_is_a_broken_clock(media, pulses, find, read, tmp_path):
    path = media.encode("a.mka", "flac", pulses([1.0, 3.0], 4.0))
    samples, recording = read(
        _remux(path, tmp_path / "b.mka", lambda pts: pts if pts < 2 else pts + 7), AudioLimits(max_gap_s=5)
    )
    assert find(samples) == pytest.approx([1.0, 3.0], abs=0.002)
    assert recording.warnings == (AudioWarning.TIMESTAMPS,)


def test_a_filled_gap_counts_for_the_limit(media, pulses, read, tmp_path):
    path = media.encode("a.mka", "flac", pulses([1.0], 4.0))
    paused = _remux(path, tmp_path / "b.mka", lambda pts: pts if pts < 2 else pts + 30)
    with pytest.raises(AudioTooLong):
        read(paused, AudioLimits(max_duration_s=20))


def test_not_a_number_becomes_zero(media, read):
    sound = 0.1 * np.random.default_rng(4).standard_normal((2, 20_000)).astype(np.float32)
    sound[0, 500:600] = np.nan
    sound[1, 700] = np.inf
    sound[:, 900] = 1e38
    samples, recording = read(media.write("a.wav", sound, 16_000, "FLOAT"))
    assert recording.warnings == (AudioWarning.NOT_FINITE,)
    np.testing.assert_allclose(samples[500:600], sound[1, 500:600] / 2, atol=1e-6)
    assert samples[700] == pytest.approx(sound[0, 700] / 2)
    assert samples[900] == 1.0


def test_over_full_scale_is_clipped(media, read):
    time = np.arange(48_000) / 48_000
    sound = (3 * np.sin(2 * np.pi * 200 * time)).astype(np.float32)[np.newaxis]
    samples, _ = read(media.write("a.wav", sound, 48_000, "DOUBLE"))
    assert np.abs(samples).max() == 1.0


def test_nothing_above_the_new_band_folds_back(media, read):
    def level_db(hertz):
        tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(2 * 48_000) / 48_000)
        samples, _ = read(media.write("a.wav", tone[np.newaxis].astype(np.float32), 48_000, "FLOAT"))
        return 20 * np.log10(np.std(samples[2000:-2000]) * np.sqrt(2) / 0.5)

    assert level_db(7_000) == pytest.approx(0, abs=0.2)
    assert level_db(8_200) < -50
    assert level_db(9_000) < -80


def test_symbolic_links_are_followed(media, read, tmp_path):
    path = media.write("a.wav", np.zeros((1, 100), np.float32))
    os.symlink(path, tmp_path / "link")
    assert len(read(tmp_path / "link")[0]) == 100


def test_the_name_does_not_matter(media, pulses, find, read):
    data = media.encode("a.mp3", "libmp3lame", pulses(TIMES, 5.0)).read_bytes()
    samples, _ = read(media.raw("http:--concat:a|b.wav", data))
    assert find(samples) == pytest.approx(TIMES, abs=0.001)


def test_the_size_in_a_header_written_to_a_pipe_is_ignored(media, read):
    path = media.write("a.wav", 0.1 * np.ones((1, 12_345), np.float32))
    data = bytearray(path.read_bytes())
    start = data.index(b"data") + 4
    for size in (b"\xff\xff\xff\xff", b"\0\0\0\0"):
        data[start : start + 4] = size
        samples, recording = read(media.raw("b.wav", bytes(data)))
        assert len(samples) == 12_345
        assert recording.warnings == ()


def test_the_first_stream_unless_another_is_default(media, read):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        streams = [container.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        for value, stream in zip((1000, 2000), streams, strict=True):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1600), value, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 16_000, 0
            container.mux(stream.encode(frame))
    samples, _ = read(media.raw("a.mka", buffer.getvalue()))
    assert np.unique(samples * 32768).tolist() == [1000.0]
