"""What happens to a finished picture: another mixed into it, a flash, another exposure. In whole numbers, so that every
machine makes the same pixels."""

from dataclasses import dataclass

import numpy as np

from ssm_sense.data.world.names import DECOY, random_stream
from ssm_sense.data.world.script import Script

FLASH_S = 0.12
_FLASH = 180
_EXPOSURES = (118, 470)
"""Gains in 256ths, about a stop down and a stop up, of which a stream has one."""
_CHANCE = 0.7
_SHORTEST_S = 6.0


@dataclass(frozen=True)
class Light:
    """gain: factor on the picture, in 256ths; white: part of white mixed in, in 256ths."""

    gain: int = 256
    white: int = 0

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8 in, uint8 out, of the same shape."""
        levels = np.minimum(np.arange(256) * self.gain // 256, 255)
        return ((levels * (256 - self.white) + 255 * self.white + 128) // 256).astype(np.uint8)[image]


def mixed(image: np.ndarray, other: np.ndarray, part: int) -> np.ndarray:
    """`part` 256ths of `other`, the rest `image`; uint8."""
    return ((image.astype(np.uint32) * (256 - part) + other.astype(np.uint32) * part + 128) // 256).astype(np.uint8)


def light_decoys(script: Script, kind: str, fps: int, split: str, seed: int) -> tuple[dict[int, Light], list[int]]:
    """The frames under another light, and those at which a flash, or a step of the exposure, begins.

    Decoys are in the middle of stays of 6 seconds or more, in 7 of 10. An exposure lasts until the next step.
    """
    rooms = [room for _, room in script.shots]
    starts = [0, *(i for i in range(1, len(rooms)) if rooms[i] != rooms[i - 1])]
    rng = random_stream(split, seed, DECOY)
    exposure = _EXPOSURES[int(rng.integers(2))]
    begun = []
    for first, last in zip(starts, [*starts[1:], len(rooms)], strict=True):
        middle, wanted = float(rng.uniform(0.35, 0.65)), rng.random() < _CHANCE
        if wanted and last - first >= _SHORTEST_S * fps:
            begun.append(first + round(middle * (last - first)))
    if kind == "flash":
        long = max(1, round(FLASH_S * fps))
        return {frame: Light(white=_FLASH) for at in begun for frame in range(at, min(at + long, len(rooms)))}, begun
    edges = [*begun, len(rooms)]
    dark = [range(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return {frame: Light(gain=exposure) for span in dark for frame in span}, begun
