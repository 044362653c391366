"""Which decoded frames show what was filmed, in a file that is damaged in places."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

_REORDERED = 16
"""Most frames by which H.264 and HEVC decoders reorder."""


class SoundFrames:
    """Frames of a PyAV container in order of display, without those that damage may show in.

    A damaged picture spoils the ones that are predicted from it: all that follow up to the next key frame, and as many
    before it as a decoder may reorder. FFmpeg marks only the damaged one itself.

    Args:
        container: An open PyAV container.
        stream: Its video stream.

    Attributes:
        damaged: Frames (or packets) left out so far.
        after_damage: Whether the frame given last is the first one after damage.
        gop: Most packets from one key frame to the next so far.
        leading: Packets so far that are shown before the key frame which precedes them in the file.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._container = container
        self._stream = stream
        self.damaged = 0
        self.after_damage = False
        self.gop = 0
        self.leading = 0

    def __iter__(self) -> Iterator[Any]:
        waiting: deque[tuple[Any, bool]] = deque()
        spoilt = False
        for frame in self._decoded():
            if frame is None or frame.is_corrupt:
                self.damaged += 1 + len(waiting)
                waiting.clear()
                spoilt = True
            elif spoilt and not frame.key_frame:
                self.damaged += 1
            else:
                waiting.append((frame, spoilt))
                spoilt = False
            if len(waiting) > _REORDERED:
                yield self._given(waiting)
        while waiting:
            yield self._given(waiting)

    def _given(self, waiting: deque[tuple[Any, bool]]) -> Any:
        frame, self.after_damage = waiting.popleft()
        return frame

    def _decoded(self) -> Iterator[Any]:
        """Decoded frames; None for a packet that cannot be decoded."""
        import av

        since_key = 0
        key_pts: int | None = None
        for packet in self._container.demux(self._stream):
            if packet.size and packet.is_keyframe:
                since_key = 0
                key_pts = packet.pts
            elif packet.pts is not None and key_pts is not None and packet.pts < key_pts:
                self.leading += 1
            since_key += bool(packet.size)
            self.gop = max(self.gop, since_key)
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                yield None
                continue
            yield from frames
