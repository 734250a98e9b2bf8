"""One pass over a live source: its clock, the next frame that is due, and the picture on show."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ssm_sense.data.clip import Frame
from ssm_sense.data.decode import ROUNDING_S, frame_rate
from ssm_sense.data.live_source import CAMERA, Lost, open_live
from ssm_sense.data.picture import Presentation
from ssm_sense.data.track import MOST_PIXELS, declared_s, demux
from ssm_sense.data.unwrap import Unwrapped
from ssm_sense.errors import UserError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from ssm_sense.data.live import LiveVideo

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
ERRORS_IN_A_ROW = 50
"""After so many packets in a row that cannot be read, the connection is taken for lost."""
SHORTEST_GAP_S = 0.25
"""What is shorter, or shorter than three pictures last, is not told."""
BACKWARD_S = 1.0
"""A clock that goes back further was set anew."""


@dataclass(frozen=True)
class Trouble:
    """What went wrong at `t_s` seconds of the stream.

    kind: "gap", pictures are missing for a while; "corrupt", packets did not decode; "clock", times began anew; "lost",
    the connection or device is gone; "reconnected", it is back.
    """

    t_s: float
    kind: str
    detail: str


def _length_s(container: "InputContainer", stream: "VideoStream", begin_s: Fraction) -> float | None:
    """How long a source lasts from its first picture on, in seconds, if it declares that."""
    if container.duration is None:
        return None
    video_s = declared_s(container, stream, begin_s)
    return container.duration / 1e6 if video_s is None else float(video_s)


class Watch:
    """One pass over a live source: its clock, the next frame that is due, and the picture on show."""

    def __init__(self, live: "LiveVideo", tell: Callable[[Trouble], None]) -> None:
        self._live, self._tell = live, tell
        self._fps = frame_rate(live.fps)
        self._due = 0
        self._zero: Fraction | None = None  # the source's time at which its first picture began
        self._whole_s: float | None = None  # its length from there on, where it declares one
        self._held: tuple[np.ndarray, Fraction] | None = None  # the picture on show, and when it began, in seconds
        self._seen_at = time.monotonic()
        self._untimed: tuple[Fraction, float] | None = None  # what pictures without times are timed from, by the wall
        self._tries = 0  # attempts since the last picture
        self._ends = 0  # times that the stream ended since then, rather than broke
        self._size = live.size
        self._corrupt = 0
        self._usual_s = 0.0  # from one picture to the next, as the source declares

    def frames(self) -> Iterator[Frame]:
        live = self._live
        opened_before = False
        while True:
            why = "the stream ended"
            try:
                with open_live(live.source, live.format, live.timeout_s) as container:
                    if opened_before:
                        self._report("reconnected", f"after {self._tries} attempts")
                    opened_before = True
                    yield from self._watch(container)
                    self._ends += 1
            except Lost as lost:
                why = str(lost)
            if not opened_before:
                raise UserError(f"{live.source}: cannot be opened: {why}")
            if self._is_pipe() or self._is_over():
                yield from self._last()
                return
            if self._tries >= live.attempts:
                yield from self._last()
                raise UserError(f"{live.source}: lost after {self._now_s():.1f} s: {why}")
            if self._tries == 0:
                self._report("lost", why)
            time.sleep(min(FIRST_WAIT_S * 2**self._tries, LONGEST_WAIT_S))
            self._tries += 1

    def _is_pipe(self) -> bool:
        return "://" not in self._live.source and not self._live.source.startswith(CAMERA)

    def _is_over(self) -> bool:
        """Whether a source that declares its length has come to its end: near it, or where it ended before as well."""
        return self._whole_s is not None and (self._now_s() + self._live.gap_s >= self._whole_s or self._ends > 1)

    def _now_s(self) -> float:
        return float(self._held[1]) if self._held else 0.0

    def _report(self, kind: str, detail: str) -> None:
        self._tell(Trouble(self._now_s(), kind, detail))

    def _watch(self, container: "InputContainer") -> Iterator[Frame]:
        """Frames of one connection, until it ends or breaks."""
        if not container.streams.video:
            raise Lost("holds no video")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise UserError(f"{self._live.source}: holds no video that can be decoded")
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        stream.thread_type = "SLICE"  # threads by frame would hold back as many pictures as there are threads
        self._usual_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
        unwrapped = Unwrapped(container.format.name, stream.time_base or Fraction(1))
        self._untimed = None
        present: Presentation | None = None
        # What declares its length begins anew with the times that it had, anything else with times of its own.
        behind = self._held is not None and self._whole_s is not None and self._zero is not None
        anchored = self._held is None or behind
        for picture in self._pictures(container):
            if present is None:
                present = Presentation(picture, stream.codec_context.sample_aspect_ratio or Fraction(1), self._size)
                self._size = present.size
                if math.prod(present.size) > MOST_PIXELS:
                    raise Lost(f"declares {present.size} pixels")
            time_s = None if picture.pts is None else unwrapped(picture.pts) * (stream.time_base or Fraction(0))
            begins = self._clock(time_s, anchored, behind)
            if self._held is None:
                self._whole_s = _length_s(container, stream, self._zero or Fraction(0))
            anchored, behind = anchored or time_s is not None, behind and begins is None
            if begins is None:
                continue
            if self._held is None or begins > self._held[1]:  # The one on show, sent again, gets nobody further.
                self._tries = self._ends = 0
            yield from self._show(begins)
            self._held = present(picture), begins
            self._seen_at = time.monotonic()

    def _clock(self, time_s: Fraction | None, anchored: bool, behind: bool = False) -> Fraction | None:
        """Seconds of the stream at which a picture begins; None for one that is older than the one on show.

        time_s: by the source's own clock, which the first pictures of an RTSP stream do not tell. anchored: whether
        that clock goes on from the pictures before. behind: whether what was shown before is being sent again.
        """
        if self._held is None:
            self._zero = time_s
            return Fraction(0)
        on_show, usual = self._held[1], Fraction(self._usual_s).limit_denominator(1000)
        wall = max(Fraction(time.monotonic() - self._seen_at).limit_denominator(1000), usual)
        if time_s is None:
            if behind:
                return None
            return on_show + usual if anchored and usual else self._by_the_wall(on_show)
        if self._zero is None:
            self._zero = time_s - on_show - usual
        begins = time_s - self._zero
        if not anchored or (begins < on_show - Fraction(BACKWARD_S) and not behind):
            if anchored:
                self._report("clock", f"times went back by {float(on_show - begins):.1f} s")
            self._zero = time_s - on_show - wall
            return on_show + wall
        return begins if begins >= on_show else None

    def _by_the_wall(self, on_show: Fraction) -> Fraction:
        """Seconds of the stream now, counted from the first picture of this connection that had no time.

        Added up from picture to picture they would run ahead, or behind by what is done with the frames in between.
        """
        if self._untimed is None:
            self._untimed = on_show, self._seen_at
        began, began_at = self._untimed
        return max(on_show, began + Fraction(time.monotonic() - began_at).limit_denominator(1000))

    def _show(self, until: Fraction) -> Iterator[Frame]:
        """The frames that are due before a picture begins, all of the one on show; none across a gap."""
        if self._held is None:
            return
        image, began = self._held
        if until - began > max(SHORTEST_GAP_S, 3 * self._usual_s):
            self._report("gap", f"no pictures for {float(until - began):.2f} s")
        if until - began > self._live.gap_s:
            # What was on show is shown for one more frame at most, then nothing is known.
            yield from self._due_before(min(until, began + 1 / self._fps), image)
            self._due = max(self._due, math.ceil((until - ROUNDING_S) * self._fps))
            return
        yield from self._due_before(until, image)

    def _due_before(self, until: Fraction, image: np.ndarray) -> Iterator[Frame]:
        while self._due / self._fps + ROUNDING_S < until:
            yield image, float(self._due / self._fps)
            self._due += 1

    def _last(self) -> Iterator[Frame]:
        """The frame that the last picture is still due for."""
        if self._held is not None:
            image, began = self._held
            yield from self._due_before(began + ROUNDING_S + Fraction(1, 1_000_000), image)

    def _pictures(self, container: "InputContainer") -> Iterator["av.VideoFrame"]:
        """Decoded pictures of the first video stream; what does not decode is counted and passed over.

        Raises Lost once what came before the connection broke has been yielded.
        """
        import av

        stream = container.streams.video[0]
        failed = 0
        lost: Lost | None = None
        packets = demux(container, stream)
        while lost is None and (pictures := self._next(packets)) is not None:
            if isinstance(pictures, Lost):
                lost = pictures
            elif isinstance(pictures, str):
                failed += 1
                self._corrupted(pictures)
                if failed > ERRORS_IN_A_ROW:
                    lost = Lost(f"{failed} packets in a row could not be read")
            else:
                failed = 0
                yield from pictures
        # Where a connection breaks, the decoder still holds the last pictures that came.
        with suppress(av.FFmpegError):
            yield from stream.codec_context.decode(None)
        if lost is not None:
            raise lost

    def _next(self, packets: Iterator["av.Packet"]) -> "list[av.VideoFrame] | str | Lost | None":
        """Pictures of the next packet, or what is wrong with it, or that there is no next one; None at the end."""
        import av

        try:
            packet = next(packets, None)
            if packet is None:
                return None
            if packet.is_corrupt:
                self._corrupted("a packet is marked as damaged")
            pictures = [picture for picture in packet.decode() if isinstance(picture, av.VideoFrame)]
            if any(picture.is_corrupt for picture in pictures):
                self._corrupted("a picture is damaged")
            return pictures
        except (av.error.ExitError, av.error.TimeoutError):
            return Lost(f"nothing came for {self._live.timeout_s:g} s")
        except av.error.EOFError:
            return None
        except av.error.InvalidDataError as error:
            return str(error)
        except (av.FFmpegError, OSError) as error:
            return Lost(getattr(error, "strerror", None) or str(error))

    def _corrupted(self, detail: str) -> None:
        """Tell of damage, but of a storm of it only now and then."""
        self._corrupt += 1
        if self._corrupt & (self._corrupt - 1) == 0:
            self._report("corrupt", f"{detail} ({self._corrupt} so far)")
