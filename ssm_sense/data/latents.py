"""Latents or frames: who asks for a clip or a stream need not know whether its latents were computed before.

CachedClips    clips to watch: cached latents in place of frames, for the videos that a cache has
LatentSource   whole streams to train on: cached latents, and those that are missing computed now
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, runtime_checkable

from torch import Tensor

from ssm_sense.data.clip import Clip, LostFrames
from ssm_sense.data.features import DTYPES, Encoder, Features, extract
from ssm_sense.errors import UserError


@runtime_checkable
class FileFrames(Protocol):
    """The frames of a video file, as `VideoFile` reads them."""

    path: Path
    fps: float
    as_stored: bool


class CachedClips:
    """Gives clips the latents that a cache has of their videos; those that it lacks keep their frames.

    cache: folder that `ssm-sense features extract` wrote. fingerprint: of the encoder that the latents must be of.
    tell: told of each clip that keeps its frames, and why.

    A video is known by its content, so that it may have been moved since; one that was changed is not in the cache.
    One whose latents are damaged, or that cannot be read, is a clip that raises when it is watched.
    Raises UserError where there is no such folder.
    """

    def __init__(self, cache: Path, fingerprint: str, tell: Callable[[str], object] = lambda why: None) -> None:
        self.cache, self.fingerprint, self.tell = cache, fingerprint, tell
        self.features = open_features(cache, fingerprint)
        if self.features is None:
            tell(f"{cache} has no latents of this encoder, {fingerprint}; every video is watched live")

    def __call__(self, clip: Clip) -> Clip:
        """The clip, with latents where they are there."""
        frames = clip.frames
        if self.features is None or not isinstance(frames, FileFrames) or not frames.as_stored:
            return clip
        try:
            cached = self.features.find(frames.path, frames.fps)
        except UserError as error:
            return replace(clip, frames=LostFrames(error))
        if cached is None:
            self.tell(f"{clip.name} at {frames.fps:g} frames/s is not in {self.cache}; it is watched live")
            return clip
        return replace(clip, frames=cached)


def open_features(cache: Path, fingerprint: str | None) -> Features | None:
    """What a cache has of an encoder, or of its only one; None where it has nothing of it.

    Raises UserError where there is no such folder, or the latents of several encoders and no fingerprint.
    """
    if not cache.is_dir():
        raise UserError(f"{cache}: expected a folder that `ssm-sense features extract` wrote")
    there = fingerprint is None or any((cache / f"{fingerprint}-{dtype}").is_dir() for dtype in DTYPES)
    return Features(cache, fingerprint) if there else None


def demand_features(cache: Path, fingerprint: str | None) -> Features:
    """As `open_features`; raises UserError also where the cache has nothing of the encoder."""
    found = open_features(cache, fingerprint)
    if found is None:
        raise UserError(f"{cache}: expected latents of the encoder {fingerprint}, found none")
    return found


class LatentSource:
    """The latents of whole videos: from a cache where they are there, else from an encoder, and into the cache then.

    Args:
        cache: folder, made if missing and an encoder is given; None computes everything.
        fingerprint: of the encoder whose latents are wanted; may be left out where the cache is of one encoder.
        open_encoder: gives the encoder when first something is missing; without it, that is an error.
        keep: whether what was computed goes into the cache.
        dtype: in which it is stored, "float16" or "float32"; what is not kept is rounded alike.
    """

    def __init__(
        self,
        cache: Path | None,
        fingerprint: str | None = None,
        open_encoder: Callable[[], Encoder] | None = None,
        keep: bool = True,
        dtype: str = "float16",
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
        if cache is None and open_encoder is None:
            raise UserError("expected a cache of latents, a vision tower, or both; got neither")
        self.cache, self.fingerprint, self.open_encoder = cache, fingerprint, open_encoder
        self.keep, self.dtype = keep and cache is not None, dtype
        self.computed = 0
        """How many videos were not in the cache."""

    def load(self, video: Path, fps: float) -> tuple[Tensor, Tensor]:
        """The latents float32 (T, S, V) of a video at `fps`, and the seconds (T,) of its frames in float64.

        Raises UserError where they are missing and there is no encoder, and for a damaged video or cache.
        """
        there = self._cached()
        if there is not None and (self.open_encoder is None or there.find(video, fps) is not None):
            return there.load(video, fps)
        self.computed += 1
        if self.keep and self.cache is not None:
            return self._compute(video, fps, self.cache)
        with TemporaryDirectory() as scratch:
            return self._compute(video, fps, Path(scratch))

    def _cached(self) -> Features | None:
        """What the cache has of the encoder. Raises UserError where it has nothing and there is no encoder."""
        if self.cache is None or (self.open_encoder is not None and not self.cache.is_dir()):
            return None
        fingerprint = self.fingerprint
        if fingerprint is None and self.open_encoder is not None:
            fingerprint = self._encoder.fingerprint
        return (demand_features if self.open_encoder is None else open_features)(self.cache, fingerprint)

    def _compute(self, video: Path, fps: float, folder: Path) -> tuple[Tensor, Tensor]:
        extract(video, self._encoder, folder, fps, self.dtype)
        return Features(folder, self._encoder.fingerprint, self.dtype).load(video, fps)

    @cached_property
    def _encoder(self) -> Encoder:
        assert self.open_encoder is not None
        return self.open_encoder()
