"""Streams for training: from a cache, from the vision tower, or from both, without knowing which."""

from pathlib import Path

import pytest
import torch

from ssm_sense.data.latents import LatentSource
from ssm_sense.errors import UserError
from ssm_sense.lit.data import StreamData, load_streams
from ssm_sense.vision.siglip import SiglipTower


def tower(work: Path) -> SiglipTower:
    return SiglipTower(str(work / "siglip"), layer=-1, pooling="average", grid=2)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("cached", [True, False])
def test_what_the_cache_lacks_is_seen_now(work: Path, tmp_path: Path, keep: bool, cached: bool) -> None:
    want = load_streams(work / "videos", work / "features")
    data = StreamData(str(tmp_path / "cache") if cached else None, train=str(work / "videos"), keep=keep)
    data.vision = tower(work)
    found = data.streams("train")
    assert len(found) == len(want) == 3
    for one, other in zip(found, want, strict=True):
        torch.testing.assert_close(one.latents, other.latents, rtol=2e-3, atol=2e-3)
        assert one.truth == other.truth
    assert (tmp_path / "cache").exists() == (keep and cached)
    if keep and cached:
        again = load_streams(work / "videos", LatentSource(tmp_path / "cache"))
        assert all(torch.equal(one.latents, other.latents) for one, other in zip(found, again, strict=True))


def test_what_the_cache_has_needs_no_weights(work: Path) -> None:
    data = StreamData(str(work / "features"), train=str(work / "videos"))
    data.vision = tower(work)
    assert len(data.streams("train")) == 3
    assert data.vision.model is None


def test_latents_of_another_tower_are_not_taken_for_its_own(work: Path) -> None:
    data = StreamData(str(work / "features"), train=str(work / "videos"), keep=False)
    data.vision = SiglipTower(str(work / "siglip"), layer=-2, pooling="average", grid=2)
    other = load_streams(work / "videos", work / "features")
    assert not torch.allclose(data.streams("train")[0].latents, other[0].latents, atol=1e-2)


def test_without_a_tower_what_is_missing_is_an_error(work: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a cache of latents, a vision tower, or both"):
        StreamData(train=str(work / "videos")).streams("train")
    with pytest.raises(UserError, match="expected a folder that"):
        StreamData(str(tmp_path / "cache"), train=str(work / "videos")).streams("train")
    with pytest.raises(UserError, match="expected rendered videos with their truth"):
        load_streams(tmp_path, work / "features")
