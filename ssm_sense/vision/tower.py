"""The contract between whatever sees and whatever remembers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class VisionTower(nn.Module, ABC):
    """A frozen image encoder.

    grid: side of the square of spatial tokens; S = grid².
    """

    grid: int

    @property
    @abstractmethod
    def width(self) -> int:
        """V, the width of the latents."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Names everything that decides the latents of a frame, so that cached features can be told apart."""

    @abstractmethod
    def encode(self, frames: Tensor) -> Tensor:
        """Frames uint8 RGB (n, H, W, 3) to latents float32 (n, S, V), without gradient."""
