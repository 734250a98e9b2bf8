"""Videos as cameras and encoders make them, whose every picture says which one it is."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

BITS = 10


class Films:
    """Makes videos in a folder; where `write_video` is kind, these are what makes reading hard."""

    height, width = 64, 96

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def picture(self, number: int, height: int = height, width: int = width) -> np.ndarray:
        """Moving blocks, with `number` in binary along the top: a white square for a one."""
        y, x = np.mgrid[:height, :width]
        grey = (((x + 3 * number) // 8 + (y + number) // 8) % 5 * 40).astype(np.uint8)
        for bit in range(BITS):
            grey[:8, bit * 9 : bit * 9 + 8] = 255 * (number >> bit & 1)
        return np.stack([grey, grey, 255 - grey], axis=-1)

    def number(self, frame: np.ndarray) -> int:
        """What `picture` wrote into a frame."""
        return sum((int(frame[4, bit * 9 + 4, 0]) > 128) << bit for bit in range(BITS))

    def make(
        self,
        name: str,
        pictures: int | Sequence[np.ndarray],
        *,
        codec: str = "libx264",
        rate: Fraction | int = 30,
        times_ms: Sequence[int] | None = None,
        group: int = 12,
        pixels: str = "yuv420p",
        pixel_aspect: Fraction | None = None,
        turned: float | None = None,
        matrix: Sequence[int] | None = None,
        sound_s: float = 0.0,
        faststart: bool = False,
        **options: str,
    ) -> Path:
        """Encode numbered pictures, or those given.

        times_ms: when each begins; evenly at `rate` if None. group: pictures from one key picture to the next.
        turned: degrees, counter-clockwise, by which players turn it; matrix: or the whole display matrix.
        sound_s: length of a silent sound track beside it. options: of the encoder.
        """
        if isinstance(pictures, int):
            pictures = [self.picture(i) for i in range(pictures)]
        path = self.folder / name
        with av.open(str(path), "w", options={"movflags": "faststart"} if faststart else {}) as container:
            stream: Any = container.add_stream(codec, rate=rate)
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt, stream.gop_size, stream.options = pixels, group, options
            if times_ms is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            if pixel_aspect is not None:
                stream.codec_context.sample_aspect_ratio = pixel_aspect
            if turned is not None:
                stream.set_display_rotation(turned)
            if matrix is not None:
                stream.set_display_matrix(matrix)
            if sound_s:
                sound: Any = container.add_stream("aac", rate=16000)
                silence = np.zeros((1, int(16000 * sound_s)), np.float32)
                samples = av.AudioFrame.from_ndarray(silence, "fltp", "mono")
                samples.sample_rate = 16000
                container.mux(sound.encode(samples))
                container.mux(sound.encode(None))
            for i, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                if times_ms is not None:
                    frame.pts, frame.time_base = times_ms[i], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path


def days(path: Path, pictures: int, step_s: int) -> Path:
    """A transport stream of one small picture every so many seconds, whose timestamps begin anew after 26.5 hours."""
    with av.open(str(path), "w", options={"mpegts_copyts": "1"}) as container:
        stream: Any = container.add_stream("mpeg2video", rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = 16, 32, "yuv420p", 1
        frames = (av.VideoFrame.from_ndarray(np.full((16, 32, 3), n, np.uint8), "rgb24") for n in range(pictures))
        packets = [packet for frame in (*frames, None) for packet in stream.encode(frame)]
        for number, packet in enumerate(packets):
            packet.pts = packet.dts = (10 + number * step_s) * 90_000
            packet.time_base = Fraction(1, 90_000)
            container.mux(packet)
    return path


@pytest.fixture
def film_of_days(tmp_path: Path) -> Path:
    """200 pictures, of greys 0, 1, ..., one every 1,000 s: 55 hours, in which timestamps begin anew twice."""
    return days(tmp_path / "days.ts", 200, 1000)


@pytest.fixture
def films(tmp_path: Path) -> Films:
    return Films(tmp_path)
