"""`ssm-sense features extract`: every video once, and one that cannot be read does not stop the others."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ssm_sense import cli
from ssm_sense.data.features import Features
from ssm_sense.data.video import VideoFile, write_video
from ssm_sense.tiny import build_tokenizer, new_siglip, save_siglip
from ssm_sense.vision.siglip import SiglipTower


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SigLIP of width 32 that sees 6 × 6 patches."""
    root = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    model = new_siglip(
        build_tokenizer(root / "tokenizer", ["room"]), hidden=32, text_length=12, image_size=48, patch_size=8
    )
    save_siglip(model, root / "siglip")
    return root / "siglip"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two videos, one of them in a folder of its own, beside what is none."""
    noise = np.random.default_rng(0)
    for name, seconds in (("a.mp4", 5), ("deep/b.mkv", 7)):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colours = noise.integers(0, 256, (seconds, 4, 4, 3), np.uint8)
        write_video(path, colours.repeat(16, axis=1).repeat(16, axis=2), 1)
    (tmp_path / "videos" / "a.json").write_text("{}")
    return tmp_path / "videos"


def extract(videos: Path, encoder: Path, *options: str) -> int:
    out = str(videos.parent / "cache")
    return cli.main(["features", "extract", "--videos", str(videos), "--encoder", str(encoder), "--out", out, *options])


def test_every_video_is_encoded_once(videos: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert extract(videos, encoder, "--grid", "3", "--layer", "-1", "--pooling", "average", "--batch", "4") == 0
    cache = videos.parent / "cache"
    assert capsys.readouterr().out == f"{cache}: 12 frames encoded; 2 videos complete, 0 failed\n"
    tower = SiglipTower(str(encoder), layer=-1, pooling="average", grid=3).load()
    features = Features(cache, tower.fingerprint)
    for name, seconds in (("a.mp4", 5), ("deep/b.mkv", 7)):
        frames = torch.from_numpy(np.stack([frame for frame, _ in VideoFile(videos / name)]))
        latents, times = features.load(videos / name, 1.0)
        assert latents.shape == (seconds, 9, 32)
        assert times.tolist() == list(range(seconds))
        torch.testing.assert_close(latents, tower.encode(frames), atol=2e-3, rtol=2e-3)
    assert extract(videos, encoder, "--grid", "3", "--layer", "-1", "--pooling", "average") == 0
    assert capsys.readouterr().out == f"{cache}: 0 frames encoded; 2 videos complete, 0 failed\n"


def test_a_video_that_cannot_be_read_fails_alone(
    videos: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (videos / "broken.mp4").write_text("not a video")
    whole = (videos / "deep" / "b.mkv").read_bytes()
    (videos / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    assert extract(videos, encoder, "--grid", "3") == 1
    shown = capsys.readouterr()
    assert shown.out.endswith(": 12 frames encoded; 2 videos complete, 2 failed\n")
    assert f"ssm-sense: {videos / 'broken.mp4'}: not a video" in shown.err
    assert f"ssm-sense: {videos / 'cut.mkv'}: damaged: only " in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fps", "0"], "--fps: expected more than 0, got 0"),
        (["--batch", "-1"], "--batch: expected more than 0, got -1"),
        (["--layer", "2"], "--layer: expected a negative number"),
        (["--videos", "nowhere"], "nowhere: no such file or folder"),
        (["--device", "toaster"], "--device toaster: "),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_line(
    videos: Path, encoder: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract(videos, encoder, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ssm-sense: {message}")
    assert error.count("\n") == 1


def test_a_folder_without_videos_is_refused(tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "videos").mkdir()
    assert extract(tmp_path / "videos", encoder) == 2
    assert capsys.readouterr().err == f"ssm-sense: {tmp_path / 'videos'}: expected videos, found none\n"
