"""Patterns that show something: paintings, the view from a window, screens, book spines, a clock's face."""

import numpy as np

from ssm_sense.data.world.texture.noise import Painter, Weights, cells, clouds, noise, ramp, speckle


def _ridge(rng: np.random.Generator, u: np.ndarray, level: float, height: float) -> np.ndarray:
    line = np.zeros_like(u)
    for octave in range(4):
        line += noise(rng, u, 0 * u, 4 << octave, 1) * 0.5**octave
    return level + height * (line / 1.875 - 0.5)


def landscape(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    far = 1 - ramp(v - _ridge(rng, u, float(rng.uniform(0.5, 0.65)), 0.3), 0.0, 0.02)
    near = 1 - ramp(v - _ridge(rng, u, float(rng.uniform(0.2, 0.35)), 0.25), 0.0, 0.02)
    x, y = rng.uniform(0.2, 0.8), rng.uniform(0.72, 0.88)
    sun = 1 - ramp((u - x) ** 2 + (v - y) ** 2, 0.006, 0.008)
    brush = 0.75 + 0.25 * clouds(rng, u, v, 8, 3)
    return np.clip(far - near, 0, 1) * 0.9 + 0 * sun, np.clip(near + sun * (1 - far), 0, 1), brush


def abstract(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    first, second = 0 * u, 0 * u
    shade = np.full_like(u, 0.9)
    for _ in range(int(rng.integers(6, 10))):
        x, y = rng.uniform(-0.1, 0.8, 2)
        w, h = rng.uniform(0.15, 0.5, 2)
        inside = (u > x) & (u < x + w) & (v > y) & (v < y + h)
        pick = rng.integers(0, 4)
        first = np.where(inside, float(pick == 0), first)
        second = np.where(inside, float(pick == 1), second)
        shade = np.where(inside, 0.25 if pick == 2 else rng.uniform(0.7, 1.0), shade)
    return first, second, shade * (0.9 + 0.1 * clouds(rng, u, v, 12, 2))


def portrait(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    x = u - 0.5 - float(rng.uniform(-0.06, 0.06))
    face = 1 - ramp((x / 0.17) ** 2 + ((v - 0.60) / 0.22) ** 2, 0.9, 1.1)
    hair = (1 - ramp((x / 0.23) ** 2 + ((v - 0.66) / 0.26) ** 2, 0.9, 1.1)) * (1 - face * (v < 0.7))
    body = 1 - ramp((x / 0.40) ** 2 + ((v - 0.02) / 0.38) ** 2, 0.9, 1.1)
    first = np.clip(body * (1 - face), 0, 1)
    second = np.clip(face * (1 - hair), 0, 1)
    return first, second, (0.75 + 0.25 * clouds(rng, u, v, 6)) * (1 - 0.75 * hair)


def circles(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    first, second = 0 * u, 0 * u
    for _ in range(int(rng.integers(4, 8))):
        x, y = rng.uniform(0.1, 0.9, 2)
        radius = rng.uniform(0.06, 0.24) ** 2
        disc = 1 - ramp((u - x) ** 2 + (v - y) ** 2, radius * 0.95, radius * 1.05)
        if rng.random() < 0.5:
            first, second = first * (1 - disc) + disc, second * (1 - disc)
        else:
            first, second = first * (1 - disc), second * (1 - disc) + disc
    return first, second, 0.88 + 0.12 * clouds(rng, u, v, 12, 2)


def outdoors(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    """Sky (first colour), trees and grass (second), houses (third); meant for a view of some metres."""
    ridge = _ridge(rng, u, 0.52, 0.16) + 0.03 * noise(rng, u, v, 32, 32)
    trees = 1 - ramp(v - ridge, 0.0, 0.015)
    left = rng.uniform(0.05, 0.6)
    wall = (u > left) & (u < left + 0.24) & (v > 0.34) & (v < 0.60)
    roof = (v >= 0.60) & (v < 0.60 + (0.15 - np.abs(u - left - 0.12)) * 0.8) & (np.abs(u - left - 0.12) < 0.15)
    _, _, x, y = cells((u - left) / 0.24, (v - 0.34) / 0.26, 3, 2)
    pane = wall & (np.abs(x - 0.5) < 0.22) & (np.abs(y - 0.5) < 0.28)
    grass = ramp(0.30 - v, 0.0, 0.02)
    house = (wall | roof) * (1 - grass)
    cloud = ramp(clouds(rng, u, v, 3), 0.5, 0.75) * (v > 0.5)
    foliage = 0.45 + 0.4 * clouds(rng, u, v, 16, 3)
    shade = np.where(house > 0, np.where(pane, 0.35, np.where(roof, 0.6, 0.95)), foliage + 0.25 * grass)
    sky = (1 - trees) * (1 - house)
    return np.clip(trees + grass, 0, 1) * (1 - house), house, shade * (1 - sky) + sky * (0.84 + 0.16 * cloud)


def desktop(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    first, shade = 0 * u, 0.75 + 0.25 * v
    for _ in range(3):
        x, y = rng.uniform(0.05, 0.5, 2)
        w, h = rng.uniform(0.3, 0.45), rng.uniform(0.3, 0.4)
        inside = (u > x) & (u < x + w) & (v > y) & (v < y + h)
        bar = inside & (v > y + h - 0.05)
        text = inside & ~bar & (np.floor(v * 40) % 2 == 0) & (noise(rng, u, v, 24, 20) > 0.4) & (u < x + w - 0.05)
        first = np.where(inside, 1.0, first)
        shade = np.where(inside, np.where(bar | text, 0.35, 1.0), shade)
    return first, (v < 0.06) * 1.0 * (1 - first), shade


def broadcast(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    first, second, shade = portrait(rng, u, v)
    banner = v < 0.18
    ticker = banner & (noise(rng, u, v, 32, 12) > 0.45) & (v > 0.05) & (v < 0.13)
    return np.where(banner, 1.0, first), np.where(banner, 0.0, second), np.where(ticker, 0.4, np.maximum(shade, 0.35))


def books(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    """One shelf of spines; brightness 0 above a short book shows the dark back of the shelf."""
    count = int(rng.integers(14, 20))
    edges = np.concatenate([[0.0], np.cumsum(rng.uniform(0.5, 1.5, count))])
    edges /= edges[-1]
    index = np.clip(np.searchsorted(edges, u, side="right") - 1, 0, count - 1)
    top = rng.uniform(0.62, 0.94, count)[index]
    x = (u - edges[index]) / (edges[index + 1] - edges[index])
    weights = rng.random((count, 2))
    weights = np.where(weights.sum(axis=1, keepdims=True) > 1, 1 - weights, weights)
    tone = rng.uniform(0.45, 1.0, count)[index]
    label = (np.abs(v - 0.62 * top) < 0.05) | (np.abs(v - 0.2 * top) < 0.02)
    spine = (1 - 0.5 * (1 - ramp(np.minimum(x, 1 - x), 0.05, 0.3))) * tone
    shade = np.where(v < top, np.where(label & (x > 0.15) & (x < 0.85), 1.0, spine), 0.06)
    return weights[index, 0], weights[index, 1], shade


def dial(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    """A clock: twelve marks and two hands (second colour) on a face."""
    x, y = u - 0.5, v - 0.5
    dark = 0 * u
    for hour in range(12):
        # Directions in twelfths from a table, so that no libm is asked.
        c, s = _TWELFTHS[hour]
        along, across = x * c + y * s, np.abs(-x * s + y * c)
        dark = np.maximum(dark, (np.abs(along - 0.39) < 0.05) & (across < 0.015))
    for length, width in ((0.24, 0.022), (0.34, 0.014)):
        c, s = _TWELFTHS[int(rng.integers(0, 12))]
        along, across = x * c + y * s, np.abs(-x * s + y * c)
        dark = np.maximum(dark, (along > -0.03) & (along < length) & (across < width))
    return dark * 1.0, 0 * u, 0.95 + 0.05 * speckle(rng, u)


_HALF_ROOT_3 = 0.8660254
_TWELFTHS = tuple(
    (round(c, 7), round(s, 7))
    for c, s in (
        (1.0, 0.0),
        (_HALF_ROOT_3, 0.5),
        (0.5, _HALF_ROOT_3),
        (0.0, 1.0),
        (-0.5, _HALF_ROOT_3),
        (-_HALF_ROOT_3, 0.5),
        (-1.0, 0.0),
        (-_HALF_ROOT_3, -0.5),
        (-0.5, -_HALF_ROOT_3),
        (0.0, -1.0),
        (0.5, -_HALF_ROOT_3),
        (_HALF_ROOT_3, -0.5),
    )
)

PICTURES: dict[str, Painter] = {
    "landscape": landscape,
    "abstract": abstract,
    "portrait": portrait,
    "circles": circles,
    "outdoors": outdoors,
    "desktop": desktop,
    "broadcast": broadcast,
    "books": books,
    "dial": dial,
}
