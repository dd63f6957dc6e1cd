"""Bare MPEG audio (.mp3, .mp2) carries no timestamps: how much sound did damaged bytes hold?

FFmpeg counts frames from the start, so each frame lost in the middle would move everything later. The bytes that it
cannot read end up in oversized packets; divided by the mean size of the frames before them they are so many frames.
Exact at a constant bit rate, else an estimate. Frame lengths: ISO 11172-3 and 13818-3.
(In bare AAC and AC-3 FFmpeg drops such bytes without a trace; nothing can be done there.)
"""

from __future__ import annotations

_BIT_RATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by (version, layer) and index 1 to 14; version 2 stands for 2.5 too."""
_RATES = (44_100, 48_000, 32_000)
_MEAN_OVER_FRAMES = 64


def frame_bytes(head: bytes) -> int | None:
    """Length that the header of an MPEG audio frame gives; None = no header."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bit_rate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or not 0 < bit_rate < 15 or rate == 3:
        return None
    bits_per_s = 1000 * _BIT_RATES[1 if version == 3 else 2, layer][bit_rate - 1]
    hertz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits_per_s // hertz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits_per_s // hertz + padding


class LostFrames:
    """Counts frames that were in the bytes which FFmpeg could not split into frames."""

    def __init__(self) -> None:
        self._mean_bytes = 0.0
        self._frames = 0
        self._bad_bytes = 0
        self._bad_packets = 0
        self.lost = 0

    def push(self, packet: bytes) -> int:
        """One packet -> frames lost before it, in all (less than 0: FFmpeg took more packets for frames than there
        were)."""
        length = frame_bytes(packet[:4])
        if length == len(packet):
            self._settle()
            self._frames += 1
            self._mean_bytes += (length - self._mean_bytes) / min(self._frames, _MEAN_OVER_FRAMES)
        else:
            self._bad_packets += 1
            self._bad_bytes += len(packet) - _tag_bytes(packet, length or 0)
        return self.lost

    def _settle(self) -> None:
        """The damage ends here: what its bytes held at the mean size, less what was counted as frames."""
        if self._bad_packets and self._frames:
            self.lost += round(max(0, self._bad_bytes) / self._mean_bytes) - self._bad_packets
        self._bad_bytes = self._bad_packets = 0


def _tag_bytes(packet: bytes, after: int) -> int:
    """Size of an ID3v2 tag behind the frame, as joined files have; it may go on in the next packets."""
    for position in {0, after}:
        head = packet[position : position + 10]
        if len(head) == 10 and head[:3] == b"ID3":
            return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    return 0
