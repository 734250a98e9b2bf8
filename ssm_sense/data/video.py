"""Video files in and out.

The picture of time t is the one on show then: the last that begins at or before t. Time runs from the first
picture of the video track, by the file's own timestamps, so a variable frame rate needs no special care.
"""

import math
import os
import warnings
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssm_sense.data.clip import Frame
from ssm_sense.data.decode import Schedule, decode_shown, frame_rate
from ssm_sense.data.picture import Presentation
from ssm_sense.data.track import MOST_PIXELS, VideoTrack, begin_tick, declared_s, open_track
from ssm_sense.errors import UserError

if TYPE_CHECKING:
    import av

LONGEST_HOLD_S = 3600
"""A picture on show for longer is taken for a damaged timestamp."""
EARLY_END_S = 1
"""Ending this much before the declared end is no damage: durations are rounded, and not only to pictures."""
CONSTANT_RATE_FACTOR = 18
"""x264's quality: visually lossless, so that an object shown for a single frame survives."""
KEY_FRAME_EVERY_S = 4.0
_LIMITED_RANGE_BT709 = 1
"""Both `AVCOL_SPC_BT709` and `AVCOL_RANGE_MPEG`."""


class DamagedVideo(UserError):
    """A video that cannot be read to its declared end; raised once what can be read has been yielded.

    read_s: how far that is, in seconds.
    """

    def __init__(self, path: Path, read_s: float, duration_s: float) -> None:
        super().__init__(f"{path}: damaged: only {read_s:.1f} s of {duration_s:.1f} s could be read")
        self.read_s = read_s


class VideoFile:
    """The frames of a video file at a chosen rate, decoded as they are asked for; memory stays flat.

    Iterating yields (uint8 RGB (H, W, 3), seconds) at start_s, start_s + 1 / fps, ... up to the end of the last
    picture, and starts afresh each time. Frames are upright and their pixels square. A rate above the file's own
    repeats pictures. What does not decode is passed over, the picture before it staying on show, and counted in
    a warning at the end.

    path: a file in any format that FFmpeg knows; its first video track is taken.
    fps: frames per second to yield, .0001 to 1,000.
    size: (H, W) to scale to, the aspect not kept; None for the file's own.
    start_s: where to begin; the seconds that are yielded still count from the beginning of the file. What lies
        before is read but not decoded.
    threads: for decoding; 0 leaves the choice to FFmpeg.

    Raises UserError, naming the file, if it is missing, empty, no video, or gives no picture; iterating raises
    `DamagedVideo` at the end of what can be read, when that comes too early.
    """

    def __init__(
        self,
        path: Path | str,
        fps: float = 1.0,
        size: tuple[int, int] | None = None,
        start_s: float = 0.0,
        threads: int = 0,
    ) -> None:
        frame_rate(fps)
        if not (math.isfinite(start_s) and start_s >= 0):
            raise ValueError(f"expected a start of at least 0 s, got {start_s}")
        self.path = Path(path)
        self.fps = fps
        self.start_s = start_s
        self.threads = threads
        self.as_stored = size is None and start_s == 0
        """Whether these are all of the file's frames at its own size, as cached latents are."""
        with open_track(self.path, threads) as track:
            first = track.first_picture()
            if first is None:
                raise UserError(f"{self.path}: not a video that can be decoded: it gives no picture")
            self._zero: int = begin_tick(first, otherwise=0)
            self._present = Presentation(first, track.stream.codec_context.sample_aspect_ratio or Fraction(1), size)
            length_s = declared_s(track.container, track.stream, self._zero * track.tick_s)
        self.size = self._present.size
        """(H, W) of the frames."""
        if math.prod(self.size) > MOST_PIXELS:
            raise UserError(f"{self.path}: expected at most {MOST_PIXELS} pixels, got {self.size}")
        if length_s is None:
            with open_track(self.path, threads) as track:
                length_s = track.measured_s(self._zero)
        self.duration_s = float(length_s)
        """Length of the whole file, as it declares it or else as its packets add up."""

    def __iter__(self) -> Iterator[Frame]:
        fps, start_s = frame_rate(self.fps), Fraction(self.start_s)
        with open_track(self.path, self.threads) as track:
            schedule = Schedule(start_s, fps, track.tick_s, self._zero)
            for picture, end in self._on_show(track, schedule):
                frame: np.ndarray | None = None
                while schedule.last_tick(schedule.due) < end:
                    if frame is None:
                        frame = self._present(picture)
                    yield frame, float(start_s + schedule.due / fps)
                    schedule.due += 1
        if schedule.due == 0 and self.start_s < self.duration_s:
            raise DamagedVideo(self.path, 0.0, self.duration_s)

    def _on_show(self, track: VideoTrack, schedule: Schedule) -> Iterator[tuple["av.VideoFrame", int]]:
        """Yield each decoded picture with the tick at which the next replaces it, then report what was lost."""
        longest = int(LONGEST_HOLD_S / track.tick_s)
        held: av.VideoFrame | None = None
        begin = end = self._zero
        lost = 0
        leap = False
        for picture in decode_shown(track.packets(), track.stream.codec_context, schedule):
            begins = end if picture is None else begin_tick(picture, otherwise=end)
            if picture is None or (held is not None and begins < begin):
                lost += 1
                continue
            # Pictures that no sample shows are passed over, up to the next one that is due.
            leap = begins - max(begin, schedule.last_tick(schedule.due)) > longest
            if leap:
                break
            if held is not None:
                yield held, begins
            held, begin = picture, begins
            end = begin + min(picture.duration or track.picture_ticks, longest)
        if held is not None:
            yield held, end
        read_s = float((end - self._zero) * track.tick_s)
        if leap or read_s + EARLY_END_S + track.picture_ticks * track.tick_s < self.duration_s:
            raise DamagedVideo(self.path, read_s, self.duration_s)
        if lost:
            warnings.warn(f"{self.path}: {lost} pictures were damaged and passed over", stacklevel=3)


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float) -> int:
    """Encode frames as H.264, in whatever container `path`'s suffix names, and return how many there were.

    frames: uint8 RGB (H, W, 3), all of one size; consumed one by one, so a generator keeps memory flat.
    fps: their rate; frame i is shown from i / fps seconds on.

    The file appears under its name only when it is whole: an interrupted call leaves what was there before.
    The same frames give the same bytes on any number of cores. Even sizes are stored as 4:2:0, which every
    player knows; odd ones as 4:4:4. Raises ValueError for no frames, or for one of another shape or dtype.
    """
    import av

    path = Path(path)
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    shape: tuple[int, ...] | None = None
    count = 0
    try:
        with av.open(str(partial), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(10_000))
            # Rate control depends on the number of threads; macroblock trees spend nothing on what lasts for one
            # frame, and with AVX-512 they read memory that nobody has written.
            stream.options = {
                "crf": str(CONSTANT_RATE_FACTOR),
                "preset": "veryfast",
                "threads": "1",
                "mbtree": "0",
            }
            stream.gop_size = max(1, round(KEY_FRAME_EVERY_S * fps))
            stream.codec_context.colorspace = stream.codec_context.color_range = _LIMITED_RANGE_BT709
            for image in frames:
                if shape is None:
                    shape = image.shape
                    if image.dtype != np.uint8 or image.ndim != 3 or shape[2] != 3:
                        raise ValueError(f"expected uint8 frames (H, W, 3), got {image.dtype} {shape}")
                    stream.height, stream.width = shape[:2]
                    stream.pix_fmt = "yuv444p" if shape[0] % 2 or shape[1] % 2 else "yuv420p"
                if image.shape != shape or image.dtype != np.uint8:
                    raise ValueError(f"expected uint8 frames {shape}, got {image.dtype} {image.shape}")
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                yuv = picture.reformat(
                    format=stream.pix_fmt, dst_colorspace="ITU709", dst_color_range="MPEG", threads=1
                )
                container.mux(stream.encode(yuv))
                count += 1
            if shape is None:
                raise ValueError(f"no frames to write to {path}")
            container.mux(stream.encode(None))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return count
