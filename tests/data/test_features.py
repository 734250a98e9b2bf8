"""The cache of latents: whole or absent, resumed to the shard, never served for another video, rate or encoder."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ssm_sense.data import features
from ssm_sense.data.features import DTYPES, Features, extract
from ssm_sense.data.video import VideoFile, write_video
from ssm_sense.errors import UserError


class Means:
    """An encoder whose latents are the mean colours of the four quarters: (n, 4, 3)."""

    fingerprint = "means"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def encode(self, frames: Tensor) -> Tensor:
        self.calls.append(len(frames))
        h, w = frames.shape[1] // 2, frames.shape[2] // 2
        quarters = frames.float().unflatten(1, (2, h)).unflatten(3, (2, w))
        return quarters.mean((2, 4)).flatten(1, 2)


def colours(count: int) -> Iterator[np.ndarray]:
    """Frames of 32 × 32 whose quarters have colours of their own."""
    noise = np.random.default_rng(0)
    for _ in range(count):
        yield np.kron(noise.integers(0, 256, (2, 2, 3)), np.ones((16, 16, 1))).astype(np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "walk.mp4"
    write_video(path, colours(23), 1)
    return path


@pytest.fixture
def short_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SHARD_FRAMES", 8)


def expected(video: Path, fps: float = 1.0) -> tuple[Tensor, Tensor]:
    frames, seconds = zip(*VideoFile(video, fps), strict=True)
    return Means().encode(torch.from_numpy(np.stack(frames))), torch.tensor(seconds, dtype=torch.float64)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 0.0), ("float16", 0.07)])
@pytest.mark.parametrize("batch_frames", [1, 5, 32])
def test_what_is_loaded_is_what_the_encoder_gave(
    video: Path, tmp_path: Path, dtype: str, error: float, batch_frames: int, short_shards: None
) -> None:
    told: list[int] = []
    cache = tmp_path / "cache"
    assert extract(video, Means(), cache, dtype=dtype, batch_frames=batch_frames, on_frames=told.append) == 23
    latents, seconds = Features(cache).load(video, 1.0)
    want, times = expected(video)
    assert latents.dtype == torch.float32
    assert latents.shape == (23, 4, 3)
    assert (latents - want).abs().max() <= error
    assert torch.equal(seconds, times)
    assert sum(told) == 23
    assert Features(cache).load(video, 1.0, torch.float16)[0].dtype == torch.float16


def test_a_second_call_encodes_nothing(video: Path, tmp_path: Path) -> None:
    extract(video, Means(), tmp_path / "cache")
    encoder, told = Means(), []
    assert extract(video, encoder, tmp_path / "cache", on_frames=told.append) == 0
    assert encoder.calls == []
    assert told == [23]


@pytest.mark.parametrize("shards_done", [0, 1, 2])
def test_an_interrupted_call_is_resumed_to_the_shard_and_leaves_the_same_files(
    video: Path, tmp_path: Path, shards_done: int, short_shards: None
) -> None:
    class Interrupted(Means):
        def encode(self, frames: Tensor) -> Tensor:
            if len(self.calls) == 2 * shards_done + 1:
                raise KeyboardInterrupt
            return super().encode(frames)

    extract(video, Means(), tmp_path / "whole", batch_frames=4)
    with pytest.raises(KeyboardInterrupt):
        extract(video, Interrupted(), tmp_path / "cache", batch_frames=4)
    with pytest.raises(UserError, match="not in"):
        Features(tmp_path / "cache").load(video, 1.0)
    told: list[int] = []
    assert extract(video, Means(), tmp_path / "cache", batch_frames=4, on_frames=told.append) == 23 - 8 * shards_done
    assert sum(told) == 23
    whole, resumed = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "whole", tmp_path / "cache")
    )
    assert len(whole) == 4
    assert resumed == whole


def test_a_last_shard_without_its_index_is_made_again(video: Path, tmp_path: Path, short_shards: None) -> None:
    extract(video, Means(), tmp_path / "cache")
    (index,) = (tmp_path / "cache").rglob("index.json")
    index.unlink()
    assert extract(video, Means(), tmp_path / "cache") == 7
    assert len(Features(tmp_path / "cache").load(video, 1.0)[0]) == 23


def test_the_key_is_content_rate_and_encoder(video: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    extract(video, Means(), cache)
    copy = tmp_path / "elsewhere.mp4"
    copy.write_bytes(video.read_bytes())
    assert len(Features(cache).load(copy, 1.0)[0]) == 23
    with pytest.raises(UserError, match="at 2 frames/s are not in"):
        Features(cache).load(video, 2.0)
    write_video(video, [np.zeros((32, 32, 3), np.uint8)] * 3, 1)
    with pytest.raises(UserError, match="extract them first"):
        Features(cache).load(video, 1.0)
    other = Means()
    other.fingerprint = "others"
    extract(video, other, cache)
    with pytest.raises(UserError, match="means-float16, others-float16"):
        Features(cache)
    assert len(Features(cache, encoder="others").load(video, 1.0)[0]) == 3
    extract(video, other, cache, dtype="float32")
    assert len(Features(cache, encoder="others", dtype="float32").load(video, 1.0)[0]) == 3


def test_a_video_is_read_in_float32_where_it_is_there_and_else_in_float16(video: Path, tmp_path: Path) -> None:
    both, half = video, tmp_path / "half.mp4"
    write_video(half, [np.full((32, 32, 3), 91, np.uint8)] * 3, 1)
    for path, dtypes in ((both, DTYPES), (half, ["float16"])):
        for dtype in dtypes:
            extract(path, Means(), tmp_path / "cache", dtype=dtype)
    features = Features(tmp_path / "cache")
    read = [next(found.shards())[0].dtype for path in (both, half) if (found := features.find(path, 1.0)) is not None]
    assert read == [torch.float32, torch.float16]
    whole = Features(tmp_path / "cache", dtype="float32").load(both, 1.0)[0]
    assert torch.equal(features.load(both, 1.0)[0], whole)
    with pytest.raises(UserError, match=r"means-float32 or .*means-float16; extract"):
        features.load(both, 2.0)


@pytest.mark.parametrize("damage", ["shard missing", "shard cut", "index cut", "index empty"])
def test_a_damaged_cache_is_one_clear_error(video: Path, tmp_path: Path, damage: str, short_shards: None) -> None:
    extract(video, Means(), tmp_path / "cache")
    (index,) = (tmp_path / "cache").rglob("index.json")
    shard = index.with_name("00001.safetensors")
    if damage == "shard missing":
        shard.unlink()
    elif damage == "shard cut":
        shard.write_bytes(shard.read_bytes()[:-9])
    elif damage == "index cut":
        index.write_text(index.read_text()[:-4])
    else:
        index.write_text("{}")
    with pytest.raises(UserError, match="damaged cache"):
        Features(tmp_path / "cache").load(video, 1.0)


def test_a_video_that_ends_too_early_gets_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "walk.mkv"
    write_video(path, colours(24), 1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="damaged"):
        extract(path, Means(), tmp_path / "cache")
    with pytest.raises(UserError, match="extract them first"):
        Features(tmp_path / "cache").load(path, 1.0)


def test_latents_that_half_precision_cannot_hold_are_refused(video: Path, tmp_path: Path) -> None:
    class Loud(Means):
        def encode(self, frames: Tensor) -> Tensor:
            return super().encode(frames) * 1e4

    with pytest.raises(UserError, match="float32"):
        extract(video, Loud(), tmp_path / "cache")
    assert extract(video, Loud(), tmp_path / "cache", dtype="float32") == 23


def test_memory_does_not_grow_with_the_video(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_shards: None
) -> None:
    """Frames are taken from the video only a batch ahead of the encoder."""
    taken = []

    class Counted(VideoFile):
        def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
            for frame in super().__iter__():
                taken.append(frame[1])
                yield frame

    class Checking(Means):
        def encode(self, frames: Tensor) -> Tensor:
            assert len(taken) <= sum(self.calls) + 3 * 4
            return super().encode(frames)

    monkeypatch.setattr("ssm_sense.data.video.VideoFile", Counted)
    assert extract(video, Checking(), tmp_path / "cache", batch_frames=4) == 23


@pytest.mark.parametrize("name", ["missing", "file"])
def test_no_cache_is_a_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="features extract"):
        Features(tmp_path / name)


def test_loading_needs_no_video_library(video: Path, tmp_path: Path) -> None:
    extract(video, Means(), tmp_path / "cache")
    code = (
        "import sys; from pathlib import Path; from ssm_sense.data.features import Features\n"
        f"latents, _ = Features(Path({str(tmp_path / 'cache')!r})).load(Path({str(video)!r}), 1.0)\n"
        "print(len(latents), [m for m in ('numba', 'av', 'decord') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["23", "[]\n"]
