"""`ssm-sense features extract`: every video once, and one that cannot be read does not stop the others."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ssm_sense import cli
from ssm_sense.data import features
from ssm_sense.data.features import Features
from ssm_sense.data.video import VideoFile, write_video
from ssm_sense.tiny import build_tokenizer, new_siglip, save_siglip
from ssm_sense.vision.siglip import SiglipTower
from ssm_sense.vision.siglip_text import SiglipTextTower


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


def test_what_a_killed_rendering_left_half_written_is_no_video(
    videos: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (videos / ".a.123.mp4").write_bytes((videos / "a.mp4").read_bytes()[:100])
    assert extract(videos, encoder, "--grid", "3", "--layer", "-1", "--pooling", "average") == 0
    assert capsys.readouterr().out.endswith("2 videos complete, 0 failed\n")


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
        (["--fps", "0"], "--fps: expected 0.0001 to 1000 frames a second, got 0"),
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


def test_several_workers_make_the_same_cache(
    videos: Path, encoder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (videos / "broken.mp4").write_text("not a video")
    (videos / "copy.mp4").write_bytes((videos / "a.mp4").read_bytes())
    options, heard = ["--encoder", str(encoder), "--grid", "3"], signal.getsignal(signal.SIGINT)
    for out, workers in (("one", "1"), ("several", "2")):
        arguments = ["--videos", str(videos), "--out", str(tmp_path / out), *options, "--workers", workers]
        assert cli.main(["features", "extract", *arguments]) == 1
        shown = capsys.readouterr()
        assert "3 videos complete, 1 failed" in shown.out
        assert "broken.mp4: not a video" in shown.err
        assert signal.getsignal(signal.SIGINT) is heard, "whoever started the tests may have had interrupts ignored"
    files = {p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*")}
    assert files == {p.relative_to(tmp_path / "several") for p in (tmp_path / "several").rglob("*.*")}
    (entry,) = (tmp_path / "one").iterdir()
    for video in ("a.mp4", "deep/b.mkv"):
        one, several = (
            Features(tmp_path / out, entry.name[:-8]).load(videos / video, 1.0) for out in ("one", "several")
        )
        torch.testing.assert_close(one, several, atol=2e-3, rtol=2e-3)


def test_a_killed_extraction_is_resumed(
    videos: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at any moment, it leaves whole files, and the next call makes of them what an undisturbed one makes."""
    picture = np.random.default_rng(1).integers(0, 256, (48, 48, 3), np.uint8)
    write_video(videos / "long.mp4", (np.roll(picture, i, axis=0) for i in range(400)), 1)
    arguments = ["features", "extract", "--videos", str(videos / "long.mp4"), "--encoder", str(encoder)]
    arguments += ["--grid", "3", "--batch", "4", "--out"]
    script = (
        "import sys; from ssm_sense.data import features; features.SHARD_FRAMES = 16; from ssm_sense import cli;"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    killed = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", script, *arguments, str(killed)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(killed.rglob("00003.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    shards = {path: path.read_bytes() for path in killed.rglob("0*.safetensors")}
    assert 4 <= len(shards) < 25

    monkeypatch.setattr(features, "SHARD_FRAMES", 16)
    encoded = [cli.main([*arguments, str(tmp_path / out)]) for out in ("killed", "whole")]
    assert encoded == [0, 0]
    assert {path: path.read_bytes() for path in shards} == shards
    (entry,) = killed.iterdir()
    whole, resumed = (
        Features(tmp_path / out, entry.name[:-8]).load(videos / "long.mp4", 1.0) for out in ("whole", "killed")
    )
    assert len(whole[1]) == 400
    torch.testing.assert_close(resumed, whole, atol=2e-3, rtol=2e-3)


def test_pooled_embeddings_as_nosense_watches(videos: Path, encoder: Path) -> None:
    assert extract(videos, encoder, "--pooled") == 0
    tower = SiglipTextTower(str(encoder)).load()
    frames = torch.from_numpy(np.stack([frame for frame, _ in VideoFile(videos / "a.mp4")]))
    latents, _ = Features(videos.parent / "cache", tower.fingerprint).load(videos / "a.mp4", 1.0)
    assert latents.shape == (5, 1, 32)
    assert torch.allclose(latents, tower.encode(frames), atol=1e-3)


def test_a_models_own_tower_with_its_own_settings(
    videos: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its latents are those that the model would look for in the cache."""
    model, cache = tmp_path / "model", tmp_path / "cache"
    shutil.copytree(encoder, model / "vision")
    (model / "config.yaml").write_text("model: {}\nvision: {init_args: {layer: -1, pooling: average, grid: 2}}\n")
    flags = ["features", "extract", "--videos", str(videos), "--out", str(cache), "--model"]
    assert cli.main([*flags, str(model)]) == 0
    tower = SiglipTower(str(model / "vision"), layer=-1, pooling="average", grid=2)
    assert Features(cache, tower.fingerprint).find(videos / "a.mp4", 1.0) is not None
    (model / "config.yaml").write_text("vision: tower")
    assert cli.main([*flags, str(model)]) == cli.USER_ERROR_STATUS
    assert cli.main([*flags, str(videos)]) == cli.USER_ERROR_STATUS
    assert capsys.readouterr().err.count("expected a model folder with a config.yaml") == 2
