"""Procedural patterns: what a surface is made of, without its colours.

A pattern is a tileable square of three weights per texel: how much of the material's second colour, how much of its
third, and a brightness. Colours come from the material, so a few patterns give any number of surfaces.
`pool(split)` holds every pattern of a split with its mip levels in one array for the rasteriser.

Row 0 of a pattern is its bottom: v grows upwards. Only +, -, *, / and comparisons reach the texels, so that every
machine draws the same bytes.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from ssm_sense.data.world.names import PATTERN, random_stream
from ssm_sense.data.world.texture.fabrics import FABRICS
from ssm_sense.data.world.texture.noise import Painter
from ssm_sense.data.world.texture.pictures import PICTURES
from ssm_sense.data.world.texture.surfaces import SURFACES

SIDE = 128
LEVELS = 8  # 128, 64, ..., 1
VARIANTS = 3
PAINTERS: dict[str, Painter] = {**SURFACES, **FABRICS, **PICTURES}


@dataclass(frozen=True)
class Pool:
    """Patterns of one split: texels int64 (patterns, sum of squared sides), and each level's first texel.

    A texel packs its three weights, 0..255 each, into lanes of 21 bits, so that the rasteriser blends them at once.
    """

    texels: np.ndarray
    offsets: np.ndarray
    names: tuple[str, ...]

    def index(self, name: str, variant: int) -> int:
        """Row of `texels` that holds a variant of pattern `name`."""
        if name not in self.names:
            raise ValueError(f"pattern must be one of {', '.join(self.names)}; got {name!r}")
        return self.names.index(name) * VARIANTS + variant % VARIANTS


@cache
def pool(split: str) -> Pool:
    """All patterns of `split`, painted once per process (about half a second)."""
    axis = (np.arange(SIDE) + 0.5) / SIDE
    u, v = np.meshgrid(axis, axis)
    chains = []
    for number, painter in enumerate(PAINTERS.values()):
        for variant in range(VARIANTS):
            weights = painter(random_stream(split, 0, PATTERN, number, variant), u, v)
            base = np.stack([np.broadcast_to(w, u.shape) for w in weights], axis=-1)
            chains.append(_mip_chain(np.clip(base, 0.0, 1.0)))
    sides = [SIDE >> level for level in range(LEVELS)]
    offsets = np.cumsum([0] + [side * side for side in sides])[:-1].astype(np.int64)
    lanes = np.stack(chains).astype(np.int64)
    return Pool(lanes[..., 0] | lanes[..., 1] << 21 | lanes[..., 2] << 42, offsets, tuple(PAINTERS))


def _mip_chain(base: np.ndarray) -> np.ndarray:
    """float (SIDE, SIDE, 3) -> uint8 (texels of all levels, 3) by repeated 2x2 means."""
    levels = []
    image = base
    for _ in range(LEVELS):
        levels.append(np.floor(image * 255 + 0.5).astype(np.uint8).reshape(-1, 3))
        if len(image) > 1:
            image = (image[0::2, 0::2] + image[1::2, 0::2] + image[0::2, 1::2] + image[1::2, 1::2]) * 0.25
    return np.concatenate(levels)
