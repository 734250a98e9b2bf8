"""From packets to the pictures that a sparse sampling shows, decoding as little as it can.

Reading packets is cheap and decoding them is dear. At 1 frame/s of a 30 frames/s file most pictures are never
looked at, so packets are read a little ahead, and two kinds are not decoded: whole groups of pictures that end
before the next sample is due, and pictures to which no other refers and which no sample shows. Neither guesses:
a packet is passed over only when one that takes its place has already been read, so variable frame rates and
wrong durations cannot make the outcome differ from that of decoding everything. The one exception is streams that
refresh bit by bit instead of having key pictures, which may show an earlier picture where decoding began anew.
"""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    import av
    from av.video.codeccontext import VideoCodecContext

LOOK_AHEAD_PACKETS = 256
LOOK_AHEAD_BYTES = 16 << 20
ROUNDING_S = Fraction(1, 2000)
"""Matroska and others round times to a millisecond: a picture due at a sample may carry half of one more."""


LOWEST_FPS, HIGHEST_FPS = Fraction(1, 10_000), 1000
"""Rates to watch at. Beyond the highest, a second of video would be thousands of copies of the same pictures."""


def frame_rate(fps: float, name: str = "fps") -> Fraction:
    """The rate in frames a second as an exact fraction.

    Raises UserError, under ``name``, for one that is not `LOWEST_FPS` to `HIGHEST_FPS`.
    """
    if not LOWEST_FPS <= fps <= HIGHEST_FPS:
        raise UserError(f"{name}: expected {float(LOWEST_FPS)} to {HIGHEST_FPS} frames a second, got {fps:g}")
    return Fraction(fps).limit_denominator(100_000)


class Schedule:
    """Samples at start_s + k / fps, counted in a stream's own ticks so that comparisons are exact.

    zero: the tick at which the stream's time begins.
    due: the number of the next sample to be served; whoever serves it adds one.
    """

    def __init__(self, start_s: Fraction, fps: Fraction, tick_s: Fraction, zero: int) -> None:
        first, step = (start_s + ROUNDING_S) / tick_s + zero, 1 / (fps * tick_s)
        self._denominator = first.denominator * step.denominator
        self._first = first.numerator * step.denominator
        self._step = step.numerator * first.denominator
        self.due = 0

    def last_tick(self, k: int) -> int:
        """Sample k shows the last picture that begins at or before this tick."""
        return (self._first + k * self._step) // self._denominator

    def first_showing(self, tick: int) -> int:
        """The first sample still to be served at which a picture that begins at `tick` has begun."""
        return max(self.due, -((self._first - tick * self._denominator) // self._step))


def decode_shown(
    packets: Iterator["av.Packet"], codec: "VideoCodecContext", schedule: Schedule
) -> Iterator["av.VideoFrame | None"]:
    """Yield decoded pictures in order of time: all that a sample still due shows, and some others.

    packets: of one stream, in decoding order.
    schedule: its `due` may grow while pictures are taken.
    None stands for a packet that could not be decoded.
    """
    import av

    for packet, restarts, shown in _needed(packets, schedule):
        if restarts:
            codec.flush_buffers()
        codec.skip_frame = "DEFAULT" if shown else "NONREF"
        try:
            yield from codec.decode(packet)
        except av.FFmpegError:
            yield None
    try:
        yield from codec.decode(None)
    except av.FFmpegError:
        yield None


def _needed(packets: Iterator["av.Packet"], schedule: Schedule) -> Iterator[tuple["av.Packet", bool, bool]]:
    """Yield (packet, whether packets before it were left out, whether a sample may show its picture)."""
    window: deque[av.Packet] = deque()
    groups: deque[tuple[int, int]] = deque()  # the number of the packet that begins each, and its tick
    read = taken = window_bytes = 0
    exhausted = False
    while True:
        while not exhausted and len(window) < LOOK_AHEAD_PACKETS and window_bytes < LOOK_AHEAD_BYTES:
            packet = next(packets, None)
            if packet is None:
                exhausted = True
                break
            if packet.is_keyframe and packet.pts is not None:
                groups.append((read, packet.pts))
            window.append(packet)
            window_bytes += packet.size
            read += 1
        if not window:
            return
        begin = taken
        while groups and groups[0][1] <= schedule.last_tick(schedule.due):
            begin, _ = groups.popleft()
        restarts = begin > taken
        while taken < begin:
            window_bytes -= window.popleft().size
            taken += 1
        packet = window.popleft()
        window_bytes -= packet.size
        taken += 1
        yield packet, restarts, _may_show(packet, window, schedule)


def _may_show(packet: "av.Packet", ahead: "deque[av.Packet]", schedule: Schedule) -> bool:
    """False if, at the first sample for which the picture has begun, one of those `ahead` has replaced it."""
    if packet.pts is None:
        return True
    limit = schedule.last_tick(schedule.first_showing(packet.pts))
    return not any(other.pts is not None and packet.pts < other.pts <= limit for other in ahead)
