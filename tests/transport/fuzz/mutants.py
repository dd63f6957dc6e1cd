"""Sessions that went wrong, from a seed: what a client says on `/v1/live`, `/v1/listen` and as a viewer, changed.

A frame is text, binary, or bytes as they stand on the wire (`Raw`), which need not be WebSocket at all.
"""

from __future__ import annotations

import json
import random
import struct
from dataclasses import dataclass, field

from tests.transport.live.talk import SOUND, START

BIG = 1 << 16
"""Bytes that the server takes in a message."""
LISTEN = (("encoding", "linear16"), ("sample_rate", "16000"))
_TEXT, _BINARY, _CLOSE, _PING = 1, 2, 8, 9
_VALUES = (
    *(None, True, False, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 1 << 31, 1 << 63, (1 << 64) - 1, 10**30),
    *("", "\0", "\ud800", "1", "en", "all", "pcm_s16le", "container", "x" * 300, "ü" * 20_000, [], {}, [[]], ["all"]),
    *([1] * 600, ["\0"], {"type": "stop"}, {"exact": 10**12}, {"token": "x", "have_revision": 1 << 70}),
)
_QUERY_NAMES = ("encoding", "sample_rate", "channels", "language", "endpointing", "utterance_end_ms", "keyterm", "tag")
_QUERY_NAMES += ("interim_results", "vad_events", "diarize", "keywords", "redact", "nonsense", "%00", "diarize_model")
_QUERY_VALUES = (
    "",
    "true",
    "false",
    "-1",
    "0",
    "1",
    "16",
    "8000",
    "1e9",
    "9" * 400,
    "nan",
    "%00",
    "%ff%fe",
    "%ed%a0%80",
)
_QUERY_VALUES += ("linear16", "linear32", "mulaw", "alaw", "opus", "flac", "en", "multi", "zz", "a:1.5", "%F0%9F%98%80")
_HEADS = (b"\x1a\x45\xdf\xa3", b"OggS\0\x02", b"RIFF\x24\0\0\0WAVEfmt ", b"fLaC", b"ID3\x04", b"\xff\xfb\x90\x64")


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes for the wire. broken: they are no WebSocket, or the rest of them never comes"""

    data: bytes
    broken: bool = True


Frame = str | bytes | Raw


@dataclass(slots=True)
class Plan:
    """One connection: its query, its frames with whether each is a mutant, and its end."""

    query: str = ""
    frames: list[tuple[Frame, bool]] = field(default_factory=list)
    end: str = "stop"
    code: int = 1000

    @property
    def broken(self) -> bool:
        """Whether the wire itself is broken, so that the two sides need not agree how it ended."""
        return any((isinstance(frame, Raw) and frame.broken) or len(_bytes(frame)) > BIG for frame, _ in self.frames)


def _bytes(frame: Frame) -> bytes:
    if isinstance(frame, Raw):
        return frame.data
    return frame.encode("utf-8", "replace") if isinstance(frame, str) else frame


def wire(opcode: int, data: bytes, *, fin: bool = True, rsv: int = 0, masked: bool = True, claim: int = 0) -> bytes:
    """A client's frame, RFC 6455. claim: bytes that it says follow, beyond those that do"""
    size, mask = len(data) + claim, 0x80 if masked else 0
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if size < 126:
        head += bytes([mask | size])
    else:
        head += struct.pack("!BH", mask | 126, size) if size < BIG else struct.pack("!BQ", mask | 127, size)
    return head + (bytes(4) if masked else b"") + data  # a mask of zeros changes nothing


class Mutator:
    """Makes plans. tokens, views: real ones of other sessions, as they come up."""

    def __init__(self, rng: random.Random, tokens: list[str], containers: tuple[bytes, ...]) -> None:
        self._rng = rng
        self._tokens = tokens
        self._containers = containers

    def live(self) -> Plan:
        """A connection to `/v1/live`."""
        rng, start = self._rng, dict(START)
        kind = rng.choice(("pcm_s16le", "pcm_f32le", "mulaw", "alaw", "pcm_s16le", "pcm_s16le"))
        if rng.random() < 0.04:
            kind = "container"
        start["audio"] = {"encoding": kind, **({"sample_rate": 8_000} if kind in {"mulaw", "alaw"} else {})}
        if rng.random() < 0.25:
            token = rng.choice(self._tokens) if self._tokens and rng.random() < 0.7 else rng.choice(("", "x", "ü\0"))
            start["resume"] = {"token": token, "have_revision": rng.choice((0, 1, 10**6, 1 << 62, 1 << 63, 10**30))}
        said = [{"type": "ping", "id": "p"}, {"type": "mark", "id": "m"}, {"type": "flush"}, {"type": "stop"}]
        said += [{"type": "rename", "speaker": 0, "name": "Ada"}]
        frames = [json.dumps(it) for it in rng.sample(said, 3)]
        return self._plan([json.dumps(start), *self._sound(kind), *frames], start=0.3)

    def listen(self) -> Plan:
        """A connection to `/v1/listen`."""
        rng, query = self._rng, list(LISTEN)
        if rng.random() < 0.05:
            query = []
        elif rng.random() < 0.4:
            for _ in range(rng.randint(1, 3)):
                query.append((rng.choice(_QUERY_NAMES), rng.choice(_QUERY_VALUES)))
        said = [{"type": kind} for kind in ("KeepAlive", "Finalize", "Configure", "KeepAlive", "CloseStream")]
        kind = "pcm_s16le" if query else "container"
        plan = self._plan([*self._sound(kind), *(json.dumps(it) for it in said)], start=0.6)
        plan.query = "&".join(f"{name}={value}" for name, value in query)
        return plan

    def view(self) -> Plan:
        """A viewer, who should say nothing."""
        frames = [json.dumps({"type": "ping"}), SOUND[:64], json.dumps(START)] * 3
        plan = self._plan(frames, start=1.0)
        plan.end = self._rng.choice(("close", "abort"))
        return plan

    def _plan(self, frames: list[Frame], start: float) -> Plan:
        """start: how often the first frame may be changed, too"""
        rng = self._rng
        marked = [(frame, False) for frame in frames]
        for at, (frame, _) in enumerate(marked):
            if rng.random() < (start if at == 0 else 0.6):
                marked[at] = (self._changed(frame), True)
        for _ in range(rng.choice((0, 0, 1, 2))):
            a, b = rng.randrange(len(marked)), rng.randrange(len(marked))
            marked[a], marked[b] = (marked[b][0], True), (marked[a][0], True)
        plan = Plan(frames=marked, end=rng.choice(("stop", "stop", "close", "abort")))
        plan.code = rng.choice((1000, 1001, 1002, 1003, 1007, 1011, 3000, 4000, 4999))
        if plan.end == "stop" and plan.broken:
            plan.end = "abort"
        return plan

    def _sound(self, kind: str) -> list[bytes]:
        rng = self._rng
        if kind == "container":
            data = bytearray(rng.choice(self._containers))
            for _ in range(rng.choice((0, 5, 200))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            data = data[: rng.choice((7, 40, 300, len(data), len(data)))]
            return [bytes(data[at : at + 4_000]) for at in range(0, len(data), 4_000)][:8]
        at = rng.randrange(0, len(SOUND) - 60_000, 2)
        return [SOUND[at + 8_000 * n : at + 8_000 * (n + 1)] for n in range(rng.randint(1, 6))]

    def _changed(self, frame: Frame) -> Frame:
        rng = self._rng
        if rng.random() < 0.12:
            return self._on_the_wire(frame)
        if isinstance(frame, str):
            if rng.random() < 0.1:
                return frame.encode()  # text where sound is due
            return self._json(frame) if rng.random() < 0.6 else self._text(frame)
        return self._of_sound(_bytes(frame))

    def _of_sound(self, data: bytes) -> Frame:
        rng = self._rng
        match rng.randrange(8):
            case 0:
                return data.decode("latin-1")
            case 1:
                return rng.randbytes(rng.randint(1, 5_000))
            case 2 if rng.random() < 0.3:
                return rng.choice(_HEADS) + rng.randbytes(rng.randint(0, 200))
            case 3:
                return b"" if rng.random() < 0.2 else data[:1]
            case 4:
                return struct.pack("<f", rng.choice((float("nan"), float("inf"), 3e38, -0.0))) * rng.randint(1, 2_000)
            case 5:
                return bytes([rng.choice((0, 0x7F, 0x80, 0xFF))]) * rng.randint(1, 8_000)
            case 6 if rng.random() < 0.1:
                return bytes(BIG + rng.randint(1, 100))
            case _:
                return data[: rng.randint(1, max(1, len(data)))]

    def _json(self, text: str) -> str:
        rng, message = self._rng, json.loads(text)
        holder = message
        while isinstance(inner := holder.get(rng.choice([*holder, "none"])), dict) and inner:
            holder = inner
        name = rng.choice([*holder, "type", "id", "extra", "\0", "hotwords", "speakers", "known_speakers", "language"])
        if rng.random() < 0.2:
            holder.pop(name, None)
        else:
            holder[name] = rng.choice(_VALUES)
        return json.dumps(message)

    def _text(self, text: str) -> str:
        rng, at = self._rng, self._rng.randrange(len(text))
        deep = rng.choice((100, 5_000, 30_000))
        return rng.choice(
            (
                text[:at],
                text + text,
                text[:at] + rng.choice('{}[]",:\0\n\ufeff\U0001f600') + text[at + 1 :],
                "[" * deep,
                '{"type":' * (deep // 8),
                text[:-1] + ', "x": ' + "9" * 5_000 + "}",
                text[:-1] + ', "x": ' + "[" * 400 + "]" * 400 + "}",
                text[:-1] + ', "type": "stop"}',
                "\ufeff" + text,
                '"stop"',
                "null",
                "",
                " " * 1_000,
            )
        )

    def _on_the_wire(self, frame: Frame) -> Raw:
        rng, data = self._rng, _bytes(frame)
        opcode = _TEXT if isinstance(frame, str) else _BINARY
        at = rng.randrange(len(data) + 1)
        parts = wire(opcode, data[:at], fin=False), wire(0, data[at:])
        code = struct.pack("!H", rng.choice((0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535)))
        return rng.choice(
            (
                Raw(b"".join(parts), broken=False),
                Raw(parts[0] + wire(_PING, b"between") + wire(0, b"", fin=False) + parts[1], broken=False),
                Raw(wire(_PING, rng.randbytes(rng.randrange(126))), broken=False),
                Raw(wire(10, b"nobody asked"), broken=False),
                Raw(parts[0] + wire(opcode, data)),
                Raw(wire(0, data)),
                Raw(wire(opcode, data, rsv=rng.randint(1, 7))),
                Raw(wire(opcode, data, masked=False)),
                Raw(wire(opcode, data, claim=rng.choice((1, 1_000)))),
                Raw(wire(opcode, data, claim=1 << rng.choice((20, 40, 62)))),
                Raw(wire(rng.choice((3, 7, 11, 15)), data)),
                Raw(wire(_TEXT, b"\xff\xfe" + data)),
                Raw(wire(_PING, bytes(126))),
                Raw(wire(_CLOSE, code)),
                Raw(wire(_CLOSE, rng.choice((b"\x03", b"\x03\xe8\xff\xff")))),
                Raw(rng.randbytes(rng.randint(1, 300))),
                Raw(b"GET / HTTP/1.1\r\n\r\n"),
            )
        )
