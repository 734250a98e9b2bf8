"""Latents or frames: the same clips and streams, whether or not a cache has them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ssm_sense.data import features
from ssm_sense.data.clip import Clip, Question
from ssm_sense.data.features import Features, extract
from ssm_sense.data.latents import CachedClips, LatentSource, open_features
from ssm_sense.data.video import VideoFile, write_video
from ssm_sense.errors import UserError


class Pixels:
    """An encoder whose latents are the picture's corner: (n, 1, 3)."""

    def __init__(self, fingerprint: str = "pixels") -> None:
        self.fingerprint, self.seen = fingerprint, 0

    def encode(self, frames: Tensor) -> Tensor:
        self.seen += len(frames)
        return frames[:, 0, :1].float() / 8


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    """Two of them, of 11 frames."""
    paths = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for i, path in enumerate(paths):
        write_video(path, [np.full((32, 32, 3), 20 * k + i, np.uint8) for k in range(11)], 1)
    return paths


def clip_of(video: Path, **settings) -> Clip:
    return Clip(video.stem, VideoFile(video, **settings), settings.get("fps", 1.0), 11.0, (Question("?", "4", 3, "x"),))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_clip_in_the_cache_yields_latents_with_the_same_seconds(
    videos: list[Path], tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "SHARD_FRAMES", 4)
    told: list[str] = []
    extract(videos[0], Pixels(), tmp_path / "cache", dtype=dtype)
    cached = CachedClips(tmp_path / "cache", "pixels", told.append)
    videos[0].rename(tmp_path / "moved.mp4")
    live = clip_of(tmp_path / "moved.mp4")
    clip = cached(live)
    assert (clip.name, clip.questions, clip.duration_s, clip.fps) == ("moved", live.questions, 11.0, 1.0)
    for _ in range(2):  # fresh at every iteration
        views, seconds = zip(*clip.frames, strict=True)
        pictures, live_s = zip(*live.frames, strict=True)
        want = Pixels().encode(torch.from_numpy(np.stack(pictures)))
        assert torch.equal(torch.from_numpy(np.stack(views)), want.to(features.DTYPES[dtype]).float())
        assert views[0].dtype == np.float32
        assert seconds == live_s
    assert told == []


def test_what_is_not_in_the_cache_keeps_its_frames_and_says_so(videos: list[Path], tmp_path: Path) -> None:
    told: list[str] = []
    extract(videos[0], Pixels(), tmp_path / "cache")
    cached = CachedClips(tmp_path / "cache", "pixels", told.append)
    for clip in (clip_of(videos[1]), clip_of(videos[0], fps=2.0)):
        assert cached(clip) is clip
    assert told == [
        f"b at 1 frames/s is not in {tmp_path / 'cache'}; it is watched live",
        f"a at 2 frames/s is not in {tmp_path / 'cache'}; it is watched live",
    ]
    scaled, late = clip_of(videos[0], size=(8, 8)), clip_of(videos[0], start_s=2.0)
    grey = Clip("grey", [(np.zeros((4, 4, 3), np.uint8), 0.0)], 1.0, 1.0)
    assert [cached(clip) is clip for clip in (scaled, late, grey)] == [True] * 3
    assert len(told) == 2
    other = CachedClips(tmp_path / "cache", "other", told.append)
    clip = clip_of(videos[0])
    assert other(clip) is clip
    assert told[2] == f"{tmp_path / 'cache'} has no latents of this encoder, other; every video is watched live"
    with pytest.raises(UserError, match="expected a folder that"):
        CachedClips(tmp_path / "nowhere", "pixels")


def test_the_better_of_two_precisions_is_taken(videos: list[Path], tmp_path: Path) -> None:
    for dtype in ("float16", "float32"):
        extract(videos[0], Pixels(), tmp_path / "cache", dtype=dtype)
    found = open_features(tmp_path / "cache", "pixels")
    cached = None if found is None else found.find(videos[0], 1.0)
    assert cached is not None
    assert cached.entry.parent.name == "pixels-float32"


def test_a_source_computes_what_is_missing_and_keeps_it(videos: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    extract(videos[0], Pixels(), cache)
    encoders: list[Pixels] = []

    def opened() -> Pixels:
        encoders.append(Pixels())
        return encoders[-1]

    source = LatentSource(cache, "pixels", opened)
    known, _ = source.load(videos[0], 1.0)
    assert encoders == []  # what is in the cache needs no encoder
    latents, seconds = source.load(videos[1], 1.0)
    assert (len(encoders), encoders[0].seen, source.computed) == (1, 11, 1)
    assert latents.shape == known.shape == (11, 1, 3)
    assert seconds.tolist() == list(range(11))
    again, _ = LatentSource(cache).load(videos[1], 1.0)
    assert torch.equal(again, latents)
    assert source.load(videos[1], 1.0)[0].equal(latents)
    assert encoders[0].seen == 11


@pytest.mark.parametrize("folder", [None, "cache"])
def test_a_source_that_keeps_nothing_gives_the_same_numbers(
    videos: list[Path], tmp_path: Path, folder: str | None
) -> None:
    extract(videos[0], Pixels(), tmp_path / "kept")
    want, _ = Features(tmp_path / "kept").load(videos[0], 1.0)
    source = LatentSource(tmp_path / folder if folder else None, None, Pixels, keep=False)
    assert torch.equal(source.load(videos[0], 1.0)[0], want)
    assert not (tmp_path / "cache").exists()


def test_without_an_encoder_what_is_missing_is_an_error(videos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a cache of latents, a vision tower, or both"):
        LatentSource(None)
    with pytest.raises(UserError, match="expected a folder that"):
        LatentSource(tmp_path / "cache").load(videos[0], 1.0)
    extract(videos[0], Pixels(), tmp_path / "cache")
    with pytest.raises(UserError, match=r"b\.mp4: its latents at 1 frames/s are not in"):
        LatentSource(tmp_path / "cache").load(videos[1], 1.0)
    with pytest.raises(UserError, match="expected latents of the encoder other, found none"):
        LatentSource(tmp_path / "cache", "other").load(videos[0], 1.0)
    with pytest.raises(ValueError, match="dtype: expected one of"):
        LatentSource(tmp_path / "cache", dtype="int8")


@pytest.mark.parametrize("damage", ["index", "video"])
def test_damage_is_told_when_the_clip_is_watched(videos: list[Path], tmp_path: Path, damage: str) -> None:
    for video in videos:
        extract(video, Pixels(), tmp_path / "cache")
    live = clip_of(videos[0])
    cached = CachedClips(tmp_path / "cache", "pixels")
    if damage == "video":
        videos[0].unlink()
    else:
        entry = Features(tmp_path / "cache").find(videos[0], 1.0)
        assert entry is not None
        (entry.entry / "index.json").write_text("{")
    clip = cached(live)
    assert (clip.name, clip.questions, clip.duration_s) == ("a", live.questions, 11.0)
    with pytest.raises(UserError, match="damaged cache" if damage == "index" else "cannot be read"):
        list(clip.frames)
    assert len(list(cached(clip_of(videos[1])).frames)) == 11
