"""Bytes -> an open container with one chosen audio stream.

What FFmpeg may do with a stranger's file is listed here: which containers it opens (none that lead to other files or
addresses, as playlists do), only audio decoders (pictures are never decoded), and no file of its own accord.
The stream is the first that the container marks as default, else the first; `AudioStream` says the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

import av
import av.audio
import av.container
from av.stream import Discard, Disposition

from app.audio.boxes import check_mp4, is_mp4
from app.audio.limits import AudioLimits
from app.audio.media import MediaInfo
from app.audio.source import SourceFile
from app.errors import AudioFormatUnsupported, AudioUnreadable, NoAudioTrack

CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,loas,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,nistsphere,nut,"
    "ogg,qcp,rm,sox,tak,tta,voc,w64,wav,wv,xwma"
)
"""FFmpeg's names of the demuxers that may be used: all that read one file and nothing beside it."""

_STATED_DURATION = {"aiff", "au", "caf", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "tta", "w64", "wav"}
"""Containers whose header states the duration; others are estimated from the bit rate or read from the end."""


@dataclass(frozen=True, slots=True)
class OpenAudio:
    """An open container and its audio stream.

    origin_s: the container's time that is the recording's start, None = the first sound's
    stated_s: duration that the header of the stream states, None where it does not or is only an estimate
    """

    container: av.container.InputContainer
    stream: av.audio.AudioStream
    origin_s: float | None
    stated_s: float | None


def open_container(source: SourceFile) -> OpenAudio:
    """Raises AudioUnreadable, AudioTruncated (mp4 without index), NoAudioTrack, AudioFormatUnsupported (codec)."""
    if is_mp4(source):
        check_mp4(source)
    try:
        container = av.open(
            source,
            mode="r",
            container_options={
                "format_whitelist": CONTAINERS,
                "codec_whitelist": _audio_decoders(),
                "protocol_whitelist": "none",
            },
            io_open=_refuse,
            metadata_errors="replace",
        )
    except (av.FFmpegError, ValueError) as error:
        raise AudioUnreadable("the file is not audio or video in a known format, or it is damaged") from error
    with ExitStack() as unless_done:
        unless_done.callback(container.close)
        stream = _choose(container)
        audio = OpenAudio(container, stream, _origin_s(container, stream), _stated_s(container, stream, source.size))
        unless_done.pop_all()
    return audio


def describe(audio: OpenAudio, limits: AudioLimits) -> MediaInfo:
    """What the container says. Raises AudioFormatUnsupported, AudioTooLong, AudioUnreadable (no rate or channels)."""
    context = audio.stream.codec_context
    if not context.sample_rate or not context.channels:
        raise AudioUnreadable("the file is damaged: its audio track has no sample rate or no channels")
    limits.check_format(context.sample_rate, context.channels)
    duration_s = audio.stated_s if audio.stated_s is not None else _duration_s(audio.container, audio.stream)
    # The end that an Ogg file's last page gives is no header's word, but no guess either.
    if duration_s is not None and (audio.stated_s is not None or audio.container.format.name == "ogg"):
        limits.check_duration(duration_s)
    return MediaInfo(duration_s, context.sample_rate, context.channels, context.codec.name, audio.container.format.name)


@cache
def _audio_decoders() -> str:
    return ",".join(sorted(name for name in av.codecs_available if _is_audio_decoder(name)))


def _is_audio_decoder(name: str) -> bool:
    try:
        return av.Codec(name, "r").type == "audio"
    except ValueError:
        return False


def _refuse(url: str, flags: int, options: Mapping[str, str]) -> NoReturn:  # noqa: ARG001 - PyAV's signature
    raise AudioUnreadable("the file refers to other files or addresses, which are never opened")


def _choose(container: av.container.InputContainer) -> av.audio.AudioStream:
    streams = container.streams.audio
    if not streams:
        raise NoAudioTrack("the file has no audio track")
    chosen = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = Discard.all
    context = chosen.codec_context
    if context is None:
        raise AudioFormatUnsupported("no decoder for the codec of the audio track")
    # One thread: threads by the frame only add delay, and the server runs many recordings at once.
    context.thread_count = 1
    context.options = {"err_detect": "crccheck"}
    try:
        context.open(strict=False)
    except (av.FFmpegError, ValueError) as error:
        raise AudioFormatUnsupported(f"the audio track ({context.codec.name}) cannot be decoded") from error
    return chosen


def _origin_s(container: av.container.InputContainer, audio: av.audio.AudioStream) -> float | None:
    """Where players start: at the first of picture and sound. Priming samples are left out by FFmpeg already."""
    pictures = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    starts = [
        float(stream.start_time * stream.time_base)
        for stream in (audio, *pictures)
        if stream.start_time is not None and stream.time_base is not None
    ]
    return min(starts, default=None)


def _duration_s(container: av.container.InputContainer, stream: av.audio.AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        duration_s = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        duration_s = container.duration / av.time_base
    else:
        return None
    return duration_s if duration_s > 0 else None


def _stated_s(container: av.container.InputContainer, stream: av.audio.AudioStream, size_bytes: int) -> float | None:
    """The header's duration of the sound; the container's own only where there is no picture that may be longer."""
    if stream.duration is None and container.streams.video:
        return None
    duration_s = _duration_s(container, stream)
    if duration_s is None or container.format.name in _STATED_DURATION:
        return duration_s
    if container.format.name == "mp3" and stream.codec_context.bit_rate:
        # Without a Xing header FFmpeg divides the size by the bit rate; what differs from that stood in a header.
        estimate_s = size_bytes * 8 / stream.codec_context.bit_rate
        return duration_s if abs(estimate_s - duration_s) > 0.02 * duration_s else None
    return None
