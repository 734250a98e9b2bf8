"""Sources that never end: cameras and streams by RTSP or HTTP, pipes, /dev/video*, read as they come.

What a file would show at a time, these show at that time of their own clock, by the same rule as `video.VideoFile`.
What goes wrong on the way, gaps, damaged packets, lost connections, is told to whoever asked, and survived.
"""

import logging
import math
from collections.abc import Callable, Iterator

from ssm_sense.data.clip import Frame
from ssm_sense.data.decode import frame_rate
from ssm_sense.data.live_source import NETWORK, is_live
from ssm_sense.data.live_watch import Trouble, Watch
from ssm_sense.data.video import VideoFile
from ssm_sense.errors import UserError

log = logging.getLogger(__name__)


class LiveVideo:
    """The frames of a live source at a chosen rate, by its own clock; memory stays flat.

    Iterating opens the source and yields (uint8 RGB (H, W, 3), seconds since its first picture), a multiple of 1 / fps
    each. Where pictures are missing, the last one stays on show, but not across a gap longer than `gap_s`. A source
    that is lost is opened again, after waits that grow to 10 s, and its seconds go on as the wall clock did. A stream
    that declares how long it is, or a pipe, ends where it ends; of the former, what is sent again is passed over.

    source: a URL (rtsp, rtmp, http, https, udp, tcp), a device such as /dev/video0, a named pipe, or "-" for stdin.
    fps: frames to yield per second of the source, .0001 to 1,000.
    size: (H, W) to scale to, the aspect not kept; None for its own.
    attempts: how often in a row to open it again, without a picture, before giving up. timeout_s: for opening, and for
        each read.
    format: FFmpeg's name of it, where it cannot be told from the content, as of most raw streams.
    on_trouble: is told of everything that goes wrong; by default it is logged.

    Raises UserError for a source of another kind, and when iterating, if it cannot be opened, is lost for good, or
    holds no video that can be decoded.
    """

    duration_s = math.inf

    def __init__(
        self,
        source: str,
        fps: float = 1.0,
        size: tuple[int, int] | None = None,
        attempts: int = 5,
        timeout_s: float = 10.0,
        gap_s: float = 3.0,
        format: str | None = None,
        on_trouble: Callable[[Trouble], None] | None = None,
    ) -> None:
        frame_rate(fps)
        if not is_live(source):
            raise UserError(f"{source}: expected a URL ({', '.join(NETWORK)}), a camera, a pipe or -")
        self.source, self.fps, self.size = source, fps, size
        self.attempts, self.timeout_s, self.gap_s, self.format = attempts, timeout_s, gap_s, format
        self._tell = on_trouble or _log

    def __iter__(self) -> Iterator[Frame]:
        return Watch(self, self._tell).frames()


def open_source(source: str, fps: float = 1.0, size: tuple[int, int] | None = None) -> VideoFile | LiveVideo:
    """A file or a live source, whichever the name is of; both yield frames with their seconds."""
    return LiveVideo(source, fps, size) if is_live(source) else VideoFile(source, fps, size)


def _log(trouble: Trouble) -> None:
    log.warning("at %.1f s: %s: %s", trouble.t_s, trouble.kind, trouble.detail)
