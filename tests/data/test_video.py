"""A video file gives, at every sample, the picture on show then: upright, square, and never a wrong one."""

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ssm_sense.data.video import DamagedVideo, VideoFile

RATES = [1.0, 0.3, 7.0, 30.0]


def shown(films: Any, path: Path, fps: float, **options: Any) -> list[int]:
    """The numbers of the pictures that are yielded; their times must be those of the samples."""
    video = VideoFile(path, fps, **options)
    numbers = []
    for k, (frame, t_s) in enumerate(video):
        assert t_s == pytest.approx(video.start_s + k / fps, abs=1e-9)
        assert frame.dtype == np.uint8
        assert frame.shape == (*video.size, 3)
        numbers.append(films.number(frame))
    return numbers


def due(begins_ms: list[int], end_ms: float, fps: float, start_s: float = 0.0) -> list[int]:
    """The numbers of the pictures on show at the samples, from when each begins."""
    count = next(k for k in itertools.count() if (start_s + k / fps) * 1000 >= end_ms - 1e-6)
    times_ms = [(start_s + k / fps) * 1000 + 0.5 for k in range(count)]
    return [int(np.searchsorted(begins_ms, t, side="right")) - 1 for t in times_ms]


ENCODINGS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"bf": "3", "b-pyramid": "normal"},
    "long_group.mp4": {"group": 250, "bf": "8"},
    "open_group.mkv": {"x264-params": "open-gop=1:bframes=3"},
    "h264.ts": {"bf": "2"},
    "h264.flv": {},
    "h264.avi": {"bf": "2"},
    "hevc.mov": {"codec": "libx265", "x265-params": "log-level=none:open-gop=1"},
    "vp9.webm": {"codec": "libvpx-vp9", "deadline": "realtime", "cpu-used": "8"},
    "mpeg4.avi": {"codec": "mpeg4", "bf": "2"},
    "mpeg2.ts": {"codec": "mpeg2video", "bf": "2"},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_sample_shows_its_picture(films: Any, name: str) -> None:
    path = films.make(name, 100, **ENCODINGS[name])
    assert VideoFile(path).duration_s == pytest.approx(100 / 30, abs=0.002)
    for fps in RATES:
        assert shown(films, path, fps) == due([round(i * 1000 / 30) for i in range(100)], 100_000 / 30, fps)


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv", "vfr.ts"])
def test_a_variable_rate_is_followed_by_its_timestamps(films: Any, name: str) -> None:
    times_ms = np.cumsum(np.random.default_rng(0).integers(5, 900, 100)).tolist()
    path = films.make(name, 100, times_ms=times_ms, bf="3")
    begins_ms = [t - times_ms[0] for t in times_ms]
    for fps in RATES:
        got = shown(films, path, fps)
        want = due(begins_ms, begins_ms[-1], fps)
        assert got[: len(want)] == want
        assert set(got[len(want) :]) <= {99}  # how long the last picture stays is for the container to say


def moved(path: Path, name: str, begin_s: int, **options: str) -> Path:
    """The packets of a film in another file, from a second of its clock on."""
    target = path.with_name(name)
    with av.open(str(path)) as source, av.open(str(target), "w", options=options) as container:
        track = source.streams.video[0]
        stream = container.add_stream_from_template(track)
        for packet in source.demux(track):
            if packet.dts is not None and packet.pts is not None and track.time_base:
                packet.pts += int(begin_s / track.time_base)
                packet.dts += int(begin_s / track.time_base)
                packet.stream = stream
                container.mux(packet)
    return target


FRAGMENTED = "frag_keyframe+default_base_moof+frag_discont"


@pytest.mark.parametrize(
    ("name", "movflags"),
    [
        *[(f"late.{kind}", "") for kind in ("mkv", "mp4", "mov", "ts", "flv")],
        *[("late.mp4", f"{FRAGMENTED}+{kind}") for kind in ("empty_moov", "delay_moov", "empty_moov+dash", "cmaf")],
    ],
)
def test_a_film_that_begins_late_is_as_long_as_its_pictures(films: Any, name: str, movflags: str) -> None:
    options = {"avoid_negative_ts": "disabled"} | ({"movflags": movflags} if movflags else {})
    path = moved(films.make("film.mp4", 100, bf="2"), name, 600, **options)
    assert VideoFile(path).duration_s == pytest.approx(100 / 30, abs=0.1)
    assert shown(films, path, 7.0) == due([round(i * 1000 / 30) for i in range(100)], 100_000 / 30, 7.0)


def test_a_film_that_begins_late_is_still_known_to_be_cut_off(films: Any) -> None:
    path = films.make("late.mkv", 200, rate=10, times_ms=range(5000, 25_000, 100))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DamagedVideo, match=r"of 20\.0 s could be read"):
        list(VideoFile(path))


def test_mkvmerge_declares_a_length_and_no_end(films: Any) -> None:
    path = films.make("late.mkv", 40, rate=10, times_ms=range(3000, 7000, 100))
    content = path.read_bytes()
    app = content[content.index(b"Lavf") :].split(b"WA")[0]
    content = content.replace(b"ENCODER", b"XNCODER").replace(app, b"libmatroska".ljust(len(app)))
    path.write_bytes(content.replace(b"00:00:07.", b"00:00:04."))
    assert VideoFile(path).duration_s == 4


def test_an_ntsc_rate_has_no_drift(films: Any) -> None:
    path = films.make("ntsc.mp4", 400, rate=Fraction(30000, 1001))
    begins_ms = [i * 1001 / 30 for i in range(400)]
    assert shown(films, path, 1.0) == due(begins_ms, 400 * 1001 / 30, 1.0)
    assert shown(films, path, 30000 / 1001) == list(range(400))


def test_at_its_own_rate_each_picture_comes_once(films: Any) -> None:
    """Also where the container rounds times to milliseconds."""
    for name in ("own.mp4", "own.mkv"):
        assert shown(films, films.make(name, 60, rate=24), 24.0) == list(range(60))


def test_a_rate_above_its_own_repeats_pictures(films: Any) -> None:
    path = films.make("slow.mp4", 3, rate=1)
    assert shown(films, path, 4.0) == [0] * 4 + [1] * 4 + [2] * 4


def test_one_frame_a_second_shows_what_lasts_one_second(films: Any) -> None:
    """Recall hides a needle in a single frame of a video of 1 frame/s: no sample may miss it."""
    for name in ("recall.mp4", "recall.mkv"):
        assert shown(films, films.make(name, 40, rate=1, group=10), 1.0) == list(range(40))


def test_iterating_starts_afresh(films: Any) -> None:
    video = VideoFile(films.make("again.mp4", 60), 10.0)
    first = iter(video)
    ahead = [films.number(next(first)[0]) for _ in range(5)]
    both = [films.number(frame) for frame, _ in video]
    assert ahead == both[:5]
    assert both == [films.number(frame) for frame, _ in video]
    assert ahead + [films.number(frame) for frame, _ in first] == both


@pytest.mark.parametrize("start_s", [0.0, 0.7, 2.0, 3.3, 50.0])
@pytest.mark.parametrize("name", ["start.mp4", "start.ts"])
def test_a_start_keeps_the_clock_of_the_file(films: Any, name: str, start_s: float) -> None:
    path = films.make(name, 100, bf="3")
    for fps in (1.0, 7.0):
        begins_ms = [round(i * 1000 / 30) for i in range(100)]
        assert shown(films, path, fps, start_s=start_s) == due(begins_ms, 100_000 / 30, fps, start_s)


def test_threads_change_nothing(films: Any) -> None:
    path = films.make("threads.mp4", 100, bf="3")
    one, three = (list(VideoFile(path, 7.0, threads=n)) for n in (1, 3))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(one, three, strict=True))


def test_what_is_not_decoded_changes_no_pixel(films: Any) -> None:
    path = films.make("pixels.mp4", 150, group=20, bf="3")
    video = VideoFile(path, 3.0)
    with av.open(str(path)) as container:
        every = [video._present(picture) for picture in container.decode(video=0)]
    frames = [frame for frame, _ in video]
    assert len(frames) == 15
    assert all(np.array_equal(frame, every[10 * k]) for k, frame in enumerate(frames))


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_frames_stand_upright(films: Any, turned: int) -> None:
    """What a player turns by so many degrees comes out turned."""
    upright = films.picture(5)
    stored = np.rot90(upright, -turned // 90)
    (frame, _), *_ = VideoFile(films.make("turned.mp4", [stored] * 3, turned=turned, pixels="yuv444p"))
    assert frame.shape == upright.shape
    assert np.abs(frame.astype(int) - upright).mean() < 6


def test_mirrored_frames_are_mirrored_back(films: Any) -> None:
    """As front cameras store them: a display matrix that flips columns."""
    one = 1 << 16
    matrix = [-one, 0, 0, 0, one, 0, films.width * one, 0, 1 << 30]
    upright = films.picture(5)
    (frame, _), *_ = VideoFile(films.make("selfie.mp4", [upright[:, ::-1]] * 3, matrix=matrix, pixels="yuv444p"))
    assert np.abs(frame.astype(int) - upright).mean() < 6


@pytest.mark.parametrize(("aspect", "width"), [(Fraction(2), 192), (Fraction(1, 2), 48), (Fraction(16, 15), 102)])
def test_pixels_are_made_square(films: Any, aspect: Fraction, width: int) -> None:
    path = films.make("wide.mp4", [films.picture(5)] * 3, pixel_aspect=aspect, pixels="yuv444p")
    video = VideoFile(path)
    (frame, _), *_ = video
    assert video.size == frame.shape[:2] == (64, width)
    narrow = frame[:, np.round(np.linspace(0.5, 95.5, 96) * width / 96 - 0.5).astype(int)]
    assert np.abs(narrow.astype(int) - films.picture(5)).mean() < 25


def test_turned_pixels_are_made_square_before_turning(films: Any) -> None:
    assert VideoFile(films.make("both.mp4", 3, pixel_aspect=Fraction(2), turned=90)).size == (192, 64)


@pytest.mark.parametrize("turned", [0, 90])
def test_a_size_that_is_asked_for_is_given(films: Any, turned: int) -> None:
    video = VideoFile(films.make("sized.mp4", 3, pixel_aspect=Fraction(2), turned=turned), size=(33, 47))
    assert video.size == (33, 47)
    assert [frame.shape for frame, _ in video] == [(33, 47, 3)]


@pytest.mark.parametrize(("height", "width"), [(63, 97), (64, 97), (9, 91)])
def test_odd_sizes(films: Any, height: int, width: int) -> None:
    pictures = [films.picture(i, height, width) for i in range(30)]
    path = films.make("odd.mkv", pictures, pixels="yuv444p")
    assert VideoFile(path).size == (height, width)
    assert shown(films, path, 10.0) == list(range(0, 30, 3))


@pytest.mark.parametrize("size", [None, (64, 256), (32, 128)])
def test_greys_stay_as_bright_as_they_are(films: Any, size: tuple[int, int] | None) -> None:
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (64, 256, 3))
    (frame, _), *_ = VideoFile(films.make("ramp.mp4", [ramp] * 3, crf="1"), size=size)
    want = ramp[: frame.shape[0]].reshape(*frame.shape[:2], -1, 3).mean(2)
    assert abs((frame - want).mean()) < 0.6


def test_a_size_that_changes_on_the_way_does_not_change_the_frames(films: Any) -> None:
    pictures = [films.picture(i) for i in range(25)]
    doubled = [picture.repeat(2, axis=0).repeat(2, axis=1) for picture in pictures]
    parts = [films.make("small.h264", pictures), films.make("large.h264", doubled)]
    path = films.folder / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert VideoFile(path).size == (64, 96)
    assert shown(films, path, 30.0) == [*range(25), *range(25)]


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv420p10le"])
def test_colours(films: Any, pixels: str) -> None:
    """Of limited and full range, and of ten bits."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 150, 100), (0, 0, 0), (255, 255, 255)]
    codec = "mjpeg" if pixels == "yuvj420p" else "libx264"
    pictures = [np.full((64, 64, 3), colour, np.uint8) for colour in colours]
    path = films.make("colours.mkv", pictures, rate=1, pixels=pixels, codec=codec)
    for (frame, _), colour in zip(VideoFile(path), colours, strict=True):
        assert np.abs(frame[32, 32].astype(int) - colour).max() <= 6


def test_sound_counts_for_nothing(films: Any) -> None:
    """Neither its packets nor its length, whether it is longer or shorter than the pictures."""
    for name, sound_s in itertools.product(("sound.mp4", "sound.mkv", "sound.ts"), (0.5, 4.0)):
        path = films.make(name, 60, sound_s=sound_s)
        assert VideoFile(path).duration_s == pytest.approx(2.0, abs=0.002)
        assert shown(films, path, 10.0) == list(range(0, 60, 3))


def test_a_file_without_timestamps_runs_at_its_nominal_rate(films: Any) -> None:
    path = films.make("raw.h264", 60, bf="2")
    assert VideoFile(path).duration_s == pytest.approx(2.0, abs=0.002)
    assert shown(films, path, 10.0) == list(range(0, 60, 3))


def test_a_transport_stream_of_days_is_read_to_its_end(film_of_days: Path) -> None:
    video = VideoFile(film_of_days, 0.001)
    frames = list(video)
    assert [t_s for _, t_s in frames] == [1000.0 * n for n in range(200)]
    assert [float(frame.mean()) for frame, _ in frames] == pytest.approx(list(range(200)), abs=2)
    late = list(VideoFile(film_of_days, 0.001, start_s=150_000))
    assert [t_s for _, t_s in late] == [1000.0 * n for n in range(150, 200)]


def test_without_a_declared_length_the_packets_are_measured(films: Any) -> None:
    path = films.make("live.mkv", 60, sound_s=4.0)
    content = path.read_bytes()
    assert content.count(b"DURATION") == 2
    path.write_bytes(content.replace(b"DURATION", b"XURATION"))
    assert VideoFile(path).duration_s == pytest.approx(2.0, abs=0.002)
    assert shown(films, path, 10.0) == list(range(0, 60, 3))


@pytest.mark.parametrize(
    ("fps", "start_s"), [(0, 0), (-1, 0), (1e-9, 0), (1e9, 0), (float("nan"), 0), (float("inf"), 0), (1, -1)]
)
def test_impossible_rates_and_starts_are_refused(films: Any, fps: float, start_s: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        VideoFile(films.make("any.mp4", 3), fps, start_s=start_s)
