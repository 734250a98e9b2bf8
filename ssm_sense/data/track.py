"""The video track of a file, open for reading, with what must be known before its pictures can be timed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ssm_sense.data.unwrap import Unwrapped
from ssm_sense.errors import UserError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

MOST_PIXELS = 1 << 26
"""Larger pictures (8K has half as many) are taken for damage: a few wrong bytes can declare any size."""
UNKNOWN_RATE = Fraction(25)
NO_VIDEO = ("image2", "tty")
"""Formats of FFmpeg's that make a video of a picture, or of text on a screen; so do those ending in "_pipe"."""
SLOWEST_RATE = Fraction(1, 100)
LATE_S = 1
"""A fragmented MP4 that begins this much after 0 begins there in earnest: less is the delay of reordered pictures."""


@dataclass(frozen=True)
class VideoTrack:
    """A video stream and its clock. Reading packets moves it on; there is no way back but to open it again.

    tick_s: the unit of its timestamps.
    picture_ticks: how long a picture stays that does not say so itself.
    """

    container: "InputContainer"
    stream: "VideoStream"
    tick_s: Fraction
    picture_ticks: int

    def packets(self) -> Iterator["av.Packet"]:
        """Read packets in decoding order until the file ends or stops making sense.

        Their times go on where timestamps begin anew, as those of a transport stream do after 26.5 hours.
        """
        import av

        untimed = self.container.format.name == "avi"
        unwrapped = Unwrapped(self.container.format.name, self.tick_s)
        packets = demux(self.container, self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                return
            if packet is None:
                return
            if untimed:  # AVI keeps no presentation times; FFmpeg makes some up, in decoding order.
                packet.pts = None
            elif packet.pts is not None:
                packet.pts = unwrapped(packet.pts)
            if packet.size:
                yield packet

    def first_picture(self) -> "av.VideoFrame | None":
        """Decode up to the first picture; None if there is none."""
        import av

        for packet in chain(self.packets(), [None]):
            try:
                pictures = self.stream.codec_context.decode(packet)
            except av.FFmpegError:
                continue
            if pictures:
                return pictures[0]
        return None

    def measured_s(self, zero: int) -> Fraction:
        """The track's length from tick `zero` on by its packets, which are read but not decoded."""
        end = zero
        for packet in self.packets():
            begin = end if packet.pts is None else packet.pts
            end = max(end, begin + (packet.duration or self.picture_ticks))
        return (end - zero) * self.tick_s


def demux(container: "InputContainer", stream: "VideoStream") -> Iterator["av.Packet"]:
    """A stream's packets, whatever tracks appear on the way."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:  # A packet of a track that begins after the file was opened, unknown to PyAV.
            packets = container.demux(stream)
            continue
        if packet is None:
            return
        yield packet


def declared_s(container: "InputContainer", stream: "VideoStream", begin_s: Fraction) -> Fraction | None:
    """A video track's length in seconds by its own account, if it gives one: the container's may be that of the sound.

    begin_s: when its first picture begins, by its own clock. Some tracks declare when they end by it instead.
    """
    if stream.duration is not None and stream.duration > 0:
        length_s = stream.duration * (stream.time_base or Fraction(0))
        fragmented = "mp4" in container.format.name and not stream.frames
        return length_s - begin_s if fragmented and LATE_S < begin_s < length_s else length_s
    clock = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if clock is None:
        return None
    length_s = int(clock[1]) * 3600 + int(clock[2]) * 60 + Fraction(clock[3])
    if "libmatroska" in container.metadata.get("encoder", ""):  # mkvmerge means the length, FFmpeg the end.
        return length_s
    return length_s - begin_s if begin_s < length_s else None


def begin_tick(picture: "av.VideoFrame", otherwise: int) -> int:
    """When a picture begins, in its track's ticks; `otherwise` where its file keeps no times at all."""
    if picture.pts is not None:
        return picture.pts
    return otherwise if picture.dts is None else picture.dts


@contextmanager
def open_track(path: Path, threads: int) -> Iterator[VideoTrack]:
    """Open the first video track of a file, ready to be decoded from its beginning; cover pictures do not count.

    threads: for decoding; 0 leaves the choice to FFmpeg.
    Raises UserError, naming the file, if it is missing, empty or no video.
    """
    import av
    from av.stream import Disposition

    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: expected a video file, but this is not a regular file")
    try:
        # A playlist could otherwise make FFmpeg open network addresses.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error) if path.stat().st_size else "the file is empty"
        raise UserError(f"{path}: not a video that can be read: {reason}") from error
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        kind = container.format.name
        still = kind in NO_VIDEO or kind.endswith("_pipe")
        tick_s = streams[0].time_base if streams else None
        if still or not tick_s or streams[0].codec_context is None:
            raise UserError(f"{path}: holds no video, by its content: {container.format.long_name}")
        stream = streams[0]
        codec = stream.codec_context
        codec.thread_type, codec.thread_count = "AUTO", threads
        codec.options = {"max_pixels": str(MOST_PIXELS)}
        rate = max(stream.average_rate or stream.guessed_rate or UNKNOWN_RATE, SLOWEST_RATE)
        yield VideoTrack(container, stream, tick_s, max(1, round(1 / (rate * tick_s))))
