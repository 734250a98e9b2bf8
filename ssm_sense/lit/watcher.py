"""Latents of pictures and videos, encoded as they are wanted or out of a cache."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ssm_sense.data.features import Features
from ssm_sense.data.picture import read_picture
from ssm_sense.lit.conversations import Medium
from ssm_sense.vision.tower import VisionTower

STILL_FRAMES = 2
"""A picture is watched for so long, for what predicts the next frame must have one."""


class Watcher:
    """Gives the latents of media: of pictures by encoding them, of videos likewise or out of a cache.

    Args:
        media: folder.
        vision: loaded, on the device that is to encode.
        features: cache that must hold every video at ``fps``; None encodes them as their turn comes.
        fps: frames a second of video.
    """

    def __init__(self, media: Path, vision: VisionTower, features: Features | None, fps: float) -> None:
        self.media, self.vision, self.features, self.fps = media, vision, features, fps

    def still(self, medium: Medium, t_s: float | None = None) -> tuple[Tensor, Tensor]:
        """A picture, or a video's frame at a second (its last by default), held for `STILL_FRAMES`."""
        if medium.is_video:
            latents, seconds = self.video(medium, 1, t_s)
        else:
            latents, seconds = self._encode([read_picture(self.media / medium.path)]), torch.zeros(1).double()
        held = torch.arange(STILL_FRAMES, dtype=torch.float64) / self.fps
        return latents[-1:].repeat(STILL_FRAMES, 1, 1), seconds[-1:] + held

    def length(self, medium: Medium, end_s: float | None) -> int:
        """How many frames a video has up to a second, or in all."""
        if self.features is not None:
            return len(self._up_to(self.features.load(self.media / medium.path, self.fps)[1], end_s))
        from ssm_sense.data.video import VideoFile

        duration_s = VideoFile(self.media / medium.path, self.fps).duration_s
        whole = max(1, math.ceil(duration_s * self.fps - 1e-6))
        return whole if end_s is None else min(whole, math.floor(end_s * self.fps + 1e-6) + 1)

    def video(self, medium: Medium, frames: int, end_s: float | None) -> tuple[Tensor, Tensor]:
        """So many frames, evenly spread up to a second, the last there included: latents (T, S, V), seconds (T,)."""
        if self.features is not None:
            latents, seconds = self.features.load(self.media / medium.path, self.fps)
            chosen = spread(len(self._up_to(seconds, end_s)), frames)
            return latents[chosen], seconds[chosen]
        from ssm_sense.data.video import VideoFile

        chosen = spread(self.length(medium, end_s), frames)
        wanted, shown = set(chosen), []
        for i, (frame, t_s) in enumerate(VideoFile(self.media / medium.path, self.fps)):
            if i in wanted:
                shown.append((frame, t_s))
            if i >= chosen[-1]:
                break
        latents = self._encode([frame for frame, _ in shown])
        # A file that ends before it said has fewer; the last stands in for them.
        places = [min(sorted(wanted).index(i), len(shown) - 1) for i in chosen]
        return latents[places], torch.tensor([shown[place][1] for place in places], dtype=torch.float64)

    @staticmethod
    def _up_to(seconds: Tensor, end_s: float | None) -> Tensor:
        return seconds if end_s is None else seconds[: max(1, int((seconds <= end_s + 1e-6).sum()))]

    def _encode(self, frames: Sequence[np.ndarray]) -> Tensor:
        return self.vision.encode(torch.from_numpy(np.stack(frames))).cpu()


def spread(length: int, frames: int) -> list[int]:
    """So many of the indices below ``length``, evenly spread, the last included, and the first where there are two."""
    if frames == 1:
        return [length - 1]
    return [round(i) for i in np.linspace(0, length - 1, frames)]
