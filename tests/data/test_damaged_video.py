"""Whatever a file holds, reading it ends: with its frames, or with one clear error that names it."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from ssm_sense.data import video
from ssm_sense.data.video import DamagedVideo, VideoFile
from ssm_sense.errors import UserError


def read(films: Any, path: Path, fps: float = 10.0) -> tuple[list[int], Exception | None]:
    """The numbers of the pictures that are yielded, and what is raised after them."""
    numbers: list[int] = []
    try:
        numbers.extend(films.number(frame) for frame, _ in VideoFile(path, fps))
    except UserError as error:
        return numbers, error
    return numbers, None


@pytest.mark.parametrize("content", [b"", b"not a video, whatever it is called\n" * 50, bytes(5000)])
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.txt", "film"])
def test_what_is_no_video_is_refused_at_the_door(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        VideoFile(path)
    assert str(raised.value).startswith((f"{path}: not a video that can be read: ", f"{path}: holds no video"))
    assert ("the file is empty" in str(raised.value)) == (content == b"")


def test_what_is_no_file_is_refused_at_the_door(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.mp4: no such file"):
        VideoFile(tmp_path / "missing.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UserError, match=r"folder\.mp4: expected a video file"):
        VideoFile(tmp_path / "folder.mp4")
    with pytest.raises(UserError, match="expected a video file"):
        VideoFile("/dev/zero")
    with pytest.raises(UserError, match=r"http:/example\.org/film\.mp4: no such file"):
        VideoFile("http://example.org/film.mp4")


def test_sound_alone_and_pictures_alone_are_no_video(films: Any) -> None:
    import wave

    from PIL import Image

    with wave.open(str(films.folder / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    for name in ("still.png", "still.jpg"):
        Image.fromarray(films.picture(1)).save(films.folder / name)
    for name in ("sound.wav", "still.png", "still.jpg"):
        with pytest.raises(UserError, match=f"{name}: holds no video, by its content"):
            VideoFile(films.folder / name)


def test_a_playlist_cannot_make_us_open_an_address(films: Any) -> None:
    path = films.folder / "film.mp4"
    path.write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/film.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(UserError, match="not a video that can be read"):
        VideoFile(path)


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
@pytest.mark.parametrize("share", [0.4, 0.7])
def test_a_file_that_is_cut_off_gives_what_it_holds_and_then_an_error(films: Any, name: str, share: float) -> None:
    path = films.make(name, 200, faststart=name.endswith("mp4"), bf="3")
    whole, error = read(films, path)
    assert error is None
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    numbers, error = read(films, path)
    assert isinstance(error, DamagedVideo)
    assert str(error).startswith(f"{path}: damaged: only ")
    assert len(numbers) > 15
    assert numbers[:-1] == whole[: len(numbers) - 1]
    assert error.read_s == pytest.approx(len(numbers) / 10, abs=0.15)
    assert error.read_s < VideoFile(path).duration_s - 1


def test_a_file_without_its_table_of_contents_is_refused(films: Any) -> None:
    """As a recording that was never closed: MP4 writes it at the end."""
    path = films.make("cut.mp4", 100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"cut\.mp4: not a video that can be read"):
        VideoFile(path)


@pytest.mark.parametrize("name", ["hole.mp4", "hole.mkv", "hole.ts"])
def test_a_hole_in_the_middle_is_passed_over(films: Any, name: str) -> None:
    path = films.make(name, 300)
    whole, _ = read(films, path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = b"\xff" * 1500
    path.write_bytes(content)
    # Matroska and MPEG-TS find their own way back, and nothing that does not decode is left to be told of.
    told = "damaged and passed over" if name.endswith("mp4") else None
    with pytest.warns(UserWarning, match=told) if told else nullcontext():
        numbers, error = read(films, path)
    assert error is None
    assert len(numbers) == len(whole)
    assert numbers[:30] == whole[:30]
    assert numbers[-30:] == whole[-30:]


def test_a_leap_in_the_timestamps_is_damage_and_not_an_endless_picture(films: Any, monkeypatch: Any) -> None:
    times_ms = [40 * i + (10_000 if i >= 50 else 0) for i in range(100)]
    path = films.make("leap.mkv", 100, times_ms=times_ms)
    held, error = read(films, path)
    assert error is None
    assert len(held) == 140
    monkeypatch.setattr(video, "LONGEST_HOLD_S", 5)
    numbers, error = read(films, path)
    assert isinstance(error, DamagedVideo)
    assert numbers == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27, 30, 32, 35, 37, 40, 42, 45, 47]


@pytest.mark.parametrize(("fps", "start_s"), [(1.0, 12.0), (0.125, 0.0), (0.125, 12.0)])
def test_a_late_start_and_a_low_rate_are_no_leap(films: Any, monkeypatch: Any, fps: float, start_s: float) -> None:
    """An hour is much for one picture to be on show, and nothing for pictures that nobody asked to see."""
    path = films.make("long.mp4", 600, group=15)
    wanted = [round(30 * t_s) for _, t_s in VideoFile(path, fps, start_s=start_s)]
    assert len(wanted) == {1.0: 8, 0.125: 3 if start_s == 0 else 1}[fps]
    monkeypatch.setattr(video, "LONGEST_HOLD_S", 5)
    assert [films.number(frame) for frame, _ in VideoFile(path, fps, start_s=start_s)] == wanted


def test_pictures_too_large_to_be_true_are_refused(films: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(video, "MOST_PIXELS", 64 * 96 - 1)
    with pytest.raises(UserError, match=r"large\.mp4: expected at most 6143 pixels, got \(64, 96\)"):
        VideoFile(films.make("large.mp4", 3))


FUZZ = """
import random, resource, sys, warnings
from pathlib import Path
from ssm_sense.data.video import VideoFile
from ssm_sense.errors import UserError

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
warnings.simplefilter("ignore")
folder, count = Path(sys.argv[1]), int(sys.argv[2])
sources = [path.read_bytes() for path in sorted(folder.glob("source*.mp4"))]
read = refused = 0
for seed in range(count):
    dice = random.Random(seed)
    content = bytearray(sources[seed % len(sources)])
    place = dice.randrange(len(content))
    if seed % 5 == 0:
        del content[place:]
    elif seed % 5 == 1:
        for _ in range(dice.randrange(1, 50)):
            content[dice.randrange(len(content))] = dice.randrange(256)
    elif seed % 5 == 2:
        del content[place : place + dice.randrange(1, 2000)]
    elif seed % 5 == 3:
        content[place:place] = dice.randbytes(dice.randrange(1, 500))
    else:
        tables = content.rfind(b"moov")
        for _ in range(dice.randrange(1, 12)):
            content[dice.randrange(tables, min(len(content), tables + 3000))] = dice.choice([0, 127, 128, 255])
    path = folder / f"{seed}.mp4"
    path.write_bytes(content)
    print(seed, file=sys.stderr)
    try:
        frames = sum(1 for _ in VideoFile(path, 4.0, threads=1 + seed % 2))
        assert frames
        read += 1
    except UserError as error:
        assert str(error).startswith(str(path))
        refused += 1
    path.unlink()
print(read, refused)
"""


def test_no_damage_crashes_or_hangs(films: Any, tmp_path: Path) -> None:
    """In a process of its own: a crash of a native library must fail this test and not end the run."""
    films.make("source0.mp4", 100, bf="3")
    films.make("source1.mp4", 60, sound_s=1.0, faststart=True)
    films.make("source2.mp4", 60, times_ms=[i * i * 2 + 10 * i for i in range(60)], turned=90)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", FUZZ, str(tmp_path), "200"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.split() == [str(seed) for seed in range(200)], "the libraries must keep quiet"
    read_count, refused = map(int, done.stdout.split())
    assert read_count + refused == 200
    assert min(read_count, refused) > 40
