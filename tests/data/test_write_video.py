"""A written video is whole or absent, the same bytes wherever it is written, and reads back as it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ssm_sense.data.video import VideoFile, write_video


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (63, 97)])
def test_what_is_written_reads_back(films: Any, name: str, height: int, width: int) -> None:
    pictures = [films.picture(i, height, width) for i in range(30)]
    path = films.folder / name
    assert write_video(path, iter(pictures), 10) == 30
    video = VideoFile(path, 10)
    assert (video.size, video.duration_s) == ((height, width), pytest.approx(3.0, abs=0.002))
    for i, (frame, t_s) in enumerate(video):
        assert t_s == pytest.approx(i / 10)
        assert films.number(frame) == i
        # Brightness alone: even sizes keep colour at half the resolution.
        assert np.abs((frame - pictures[i].astype(int)) @ (0.2126, 0.7152, 0.0722)).mean() < 3


@pytest.mark.parametrize("fps", [1, 24, 30000 / 1001, 0.5])
def test_the_rate_is_kept(films: Any, fps: float) -> None:
    path = films.folder / "film.mp4"
    write_video(path, (films.picture(i) for i in range(20)), fps)
    assert [films.number(frame) for frame, _ in VideoFile(path, fps)] == list(range(20))
    assert VideoFile(path).duration_s == pytest.approx(20 / fps, abs=0.002)


def test_colours_survive_and_are_declared(tmp_path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 150, 100)]
    path = tmp_path / "film.mp4"
    write_video(path, (np.full((64, 64, 3), colour, np.uint8) for colour in colours), 1)
    for (frame, _), colour in zip(VideoFile(path), colours, strict=True):
        assert np.abs(frame[32, 32].astype(int) - colour).max() <= 3
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_range) == (1, 1)


def test_the_same_frames_give_the_same_bytes(films: Any) -> None:
    """Whatever lay in memory before: encoders have been seen to read what they did not write."""
    dice = np.random.default_rng(0)

    def frames() -> Iterator[np.ndarray]:
        for i in range(60):
            junk = [dice.integers(0, 256, size, np.uint8) for size in (500, 6144, 9216, 20000)]
            del junk
            yield films.picture(i)

    path = films.folder / "film.mp4"
    written = set()
    for _ in range(8):
        write_video(path, frames(), 24)
        written.add(path.read_bytes())
    assert len(written) == 1
    assert b" threads=1 " in path.read_bytes()


def test_frames_are_taken_one_by_one(films: Any) -> None:
    """A generator of an hour of frames must not be gathered first: the encoder holds back only its look-ahead."""
    alive: list[Any] = []

    class Frame(np.ndarray):
        def __del__(self) -> None:
            alive.remove(id(self))

    def frames() -> Iterator[np.ndarray]:
        for i in range(200):
            frame = films.picture(i).view(Frame)
            alive.append(id(frame))
            assert len(alive) <= 3
            yield frame

    assert write_video(films.folder / "film.mp4", frames(), 24) == 200


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([np.zeros((64, 64, 3), np.float32)], "uint8"),
        ([np.zeros((64, 64), np.uint8)], r"\(H, W, 3\)"),
        ([np.zeros((64, 64, 4), np.uint8)], r"\(H, W, 3\)"),
        ([np.zeros((64, 64, 3), np.uint8), np.zeros((64, 32, 3), np.uint8)], r"\(64, 64, 3\), got uint8 \(64, 32, 3\)"),
    ],
)
def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, frames: list[np.ndarray], message: str) -> None:
    path = tmp_path / "film.mp4"
    path.write_text("before")
    with pytest.raises(ValueError, match=message):
        write_video(path, frames, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]
    assert path.read_text() == "before"


def test_an_interrupt_leaves_nothing(films: Any) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield from (films.picture(i) for i in range(50))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(films.folder / "film.mp4", frames(), 24)
    assert list(films.folder.iterdir()) == []
