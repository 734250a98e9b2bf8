"""The doors of live sources: which names are of such, and how each is opened."""

import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer

NETWORK = {
    "rtsp": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
    "rtsps": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
    "rtmp": "rtmp,rtmps,tcp,tls",
    "http": "http,https,httpproxy,tcp,tls,crypto",
    "https": "http,https,httpproxy,tcp,tls,crypto",
    "udp": "udp",
    "tcp": "tcp",
}
"""Schemes, each with the protocols that FFmpeg may use for it: a playlist must not make it read files."""
CAMERA = "/dev/video"
STDIN = "-"


class Lost(Exception):
    """The source cannot be read any more, or not yet."""


def is_live(source: str) -> bool:
    """Whether a source is one of those that come as they come, rather than a file."""
    scheme, separator, _ = source.partition("://")
    if separator:
        return scheme.lower() in NETWORK
    if source == STDIN or source.startswith(CAMERA):
        return True
    path = Path(source)
    return path.exists() and stat.S_ISFIFO(path.stat().st_mode)


def open_live(source: str, format: str | None, timeout_s: float) -> "InputContainer":
    """Open a source that `is_live`.

    format: FFmpeg's name of it, None to tell it from the content. timeout_s: for opening, and for each read.
    Raises Lost where it cannot be opened.
    """
    import av

    scheme = source.partition("://")[0].lower()
    place: Any = source
    options: dict[str, str] = {}
    if scheme in NETWORK and "://" in source:
        options["protocol_whitelist"] = NETWORK[scheme]
        if scheme.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"  # over UDP, lost packets are lost pictures
    elif source == STDIN:
        place = sys.stdin.buffer
    elif source.startswith(CAMERA):
        format = format or "v4l2"
    else:
        place = open(source, "rb")  # noqa: SIM115 (the container reads it until it is closed itself)
    try:
        return av.open(place, format=format, options=options, timeout=(timeout_s, timeout_s), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Lost(getattr(error, "strerror", None) or str(error)) from error
