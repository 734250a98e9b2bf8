"""decord, where it has wheels, shows the same pictures as PyAV at the same times."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ssm_sense.data.decord_file import DecordFile
from ssm_sense.data.video import DamagedVideo, VideoFile
from ssm_sense.errors import UserError

pytest.importorskip("decord", reason="decord has wheels for x86-64 Linux and Windows only")


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.webm"])
@pytest.mark.parametrize("fps", [1.0, 7.0, 30.0])
def test_the_pictures_are_those_of_pyav(films: Any, name: str, fps: float) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = films.make(name, 100, codec=codec)
    for start_s in (0.0, 1.3):
        ours, theirs = (list(kind(path, fps, start_s=start_s)) for kind in (VideoFile, DecordFile))
        assert [t_s for _, t_s in theirs] == [t_s for _, t_s in ours]
        assert [films.number(frame) for frame, _ in theirs] == [films.number(frame) for frame, _ in ours]
        assert {frame.shape for frame, _ in theirs} == {(64, 96, 3)}


def test_a_variable_rate_is_followed(films: Any) -> None:
    times_ms = np.cumsum(np.random.default_rng(0).integers(5, 300, 100)).tolist()
    path = films.make("vfr.mp4", 100, times_ms=times_ms)
    ours, theirs = ([films.number(frame) for frame, _ in kind(path, 7.0)] for kind in (VideoFile, DecordFile))
    assert theirs == ours


@pytest.mark.parametrize("turned", [0, 90, 180])
def test_frames_stand_upright_with_square_pixels(films: Any, turned: int) -> None:
    path = films.make("turned.mp4", 10, turned=turned, pixel_aspect=Fraction(2), pixels="yuv444p")
    for size in (None, (48, 40)):
        (ours, _), *_ = VideoFile(path, size=size)
        (theirs, _), *_ = DecordFile(path, size=size)
        assert theirs.shape == ours.shape
        assert np.abs(theirs.astype(int) - ours).mean() < 15


def test_a_file_that_is_cut_off_ends_with_the_same_error(films: Any) -> None:
    path = films.make("cut.mkv", 200)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DamagedVideo, match=r"cut\.mkv: damaged: only "):
        list(DecordFile(path))


def test_what_is_no_video_is_refused_at_the_door(films: Any) -> None:
    path = films.folder / "film.mp4"
    path.write_text("not a video")
    with pytest.raises(UserError, match=r"film\.mp4: not a video"):
        DecordFile(path)
