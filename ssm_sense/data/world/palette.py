"""Named colours as shades of linear light, disjoint between the splits.

Every colour name owns 32 shades spread over its hue, saturation and value. Even ones belong to `train`, the odd
ones to `val` and `test` in turn, so a model tested on `red` has never seen that red.
"""

import colorsys
from functools import cache

import numpy as np

from ssm_sense.data.world.names import COLOURS, split_index

Rgb = tuple[float, float, float]

# name: hue, saturation, value, each a range in [0, 1] of the sRGB-encoded HSV cone
RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-0.02, 0.015), (0.72, 0.92), (0.60, 0.86)),
    "orange": ((0.055, 0.085), (0.75, 0.95), (0.80, 0.97)),
    "yellow": ((0.125, 0.155), (0.62, 0.88), (0.85, 0.98)),
    "green": ((0.27, 0.39), (0.50, 0.80), (0.36, 0.68)),
    "teal": ((0.47, 0.52), (0.55, 0.85), (0.42, 0.68)),
    "blue": ((0.575, 0.64), (0.58, 0.85), (0.48, 0.82)),
    "purple": ((0.73, 0.79), (0.42, 0.68), (0.42, 0.68)),
    "pink": ((0.90, 0.96), (0.30, 0.52), (0.86, 0.97)),
    "brown": ((0.045, 0.085), (0.48, 0.68), (0.30, 0.50)),
    "beige": ((0.085, 0.12), (0.16, 0.32), (0.76, 0.90)),
    "black": ((0.0, 1.0), (0.0, 0.12), (0.09, 0.17)),
    "gray": ((0.0, 1.0), (0.0, 0.06), (0.42, 0.62)),
    "white": ((0.05, 0.16), (0.0, 0.06), (0.90, 0.98)),
}
SHADES = 32


@cache
def shades(name: str, split: str) -> tuple[Rgb, ...]:
    """The linear-light RGB shades of colour `name` that `split` may use."""
    if name not in RANGES:
        raise ValueError(f"colour must be one of {', '.join(COLOURS)}; got {name!r}")
    wanted = split_index(split)
    return tuple(_shade(name, i) for i in range(SHADES) if (0, 1, 0, 2)[i % 4] == wanted)


def _shade(name: str, index: int) -> Rgb:
    hue, saturation, value = RANGES[name]
    # An additive (golden-ratio family) lattice spreads the shades evenly over the three ranges.
    parts = [(0.5 + index * step) % 1.0 for step in (0.8191725, 0.6710436, 0.5497005)]
    encoded = colorsys.hsv_to_rgb(
        (hue[0] + parts[0] * (hue[1] - hue[0])) % 1.0,
        saturation[0] + parts[1] * (saturation[1] - saturation[0]),
        value[0] + parts[2] * (value[1] - value[0]),
    )
    red, green, blue = (linear(channel) for channel in encoded)
    return red, green, blue


def linear(encoded: float) -> float:
    """One sRGB-encoded channel in [0, 1] as linear light, rounded so that every libm agrees."""
    light = encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4
    return round(light, 7)


def mix(first: Rgb, second: Rgb, part: float) -> Rgb:
    """`first` with `part` in [0, 1] of it replaced by `second`."""
    red, green, blue = (a + part * (b - a) for a, b in zip(first, second, strict=True))
    return red, green, blue


def scaled(colour: Rgb, factor: float) -> Rgb:
    """`colour` made lighter or darker by `factor`."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


@cache
def tone_curve(entries: int = 4096, top: float = 4.0) -> np.ndarray:
    """uint8 (entries,): linear light in [0, top) to an sRGB byte, with a soft shoulder above 0.7."""
    light = (np.arange(entries) + 0.5) * (top / entries)
    over = np.maximum(light - 0.7, 0.0)
    rolled = np.where(light <= 0.7, light, 0.7 + 0.3 * over / (over + 0.3))
    encoded = np.where(rolled <= 0.0031308, rolled * 12.92, 1.055 * rolled ** (1 / 2.4) - 0.055)
    return np.clip(np.round(encoded * 255), 0, 255).astype(np.uint8)
