"""Patterns of soft things: carpets, rugs, upholstery, leaves, wicker, cardboard."""

import numpy as np

from ssm_sense.data.world.texture.noise import Painter, Weights, cells, clouds, joint, noise, ramp, speckle


def carpet(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    tuft = speckle(rng, u)
    return 0.5 * tuft + 0.5 * clouds(rng, u, v, 3), 0 * u, 0.78 + 0.14 * noise(rng, u, v, 64, 64) + 0.08 * tuft


def weave(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    column, row, x, y = cells(u, v, 32, 32)
    over = (column + row) % 2 == 0
    bulge = np.where(over, y * (1 - y), x * (1 - x)) * 4
    return 0.35 * over + 0.2 * clouds(rng, u, v, 4), 0 * u, 0.80 + 0.16 * bulge + 0.04 * speckle(rng, u)


def leather(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    crease = np.abs(clouds(rng, u, v, 10, 3) - 0.5)
    return 0.5 * clouds(rng, u, v, 3), 0 * u, 0.82 + 0.18 * ramp(crease, 0.0, 0.06)


def plaid(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    count = int(rng.integers(3, 6))
    x, y = u * count - np.floor(u * count), v * count - np.floor(v * count)
    band_x, band_y = ramp(x, 0.55, 0.57), ramp(y, 0.55, 0.57)
    line = np.maximum(ramp(x, 0.22, 0.24) - ramp(x, 0.28, 0.30), ramp(y, 0.22, 0.24) - ramp(y, 0.28, 0.30))
    return (band_x + band_y) * 0.5 * (1 - line), line, 0.88 + 0.12 * noise(rng, u, v, 64, 64)


def polka(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    count = 2 * int(rng.integers(2, 5))
    _, _, x, y = cells(u, v, count, count, 0.5)
    radius = (x - 0.5) ** 2 + (y - 0.5) ** 2
    return 1 - ramp(radius, 0.055, 0.075), 0 * u, 0.90 + 0.10 * noise(rng, u, v, 64, 64)


def bands(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    count = int(rng.integers(3, 7))
    y = v * count - np.floor(v * count)
    thin = ramp(y, 0.62, 0.64) - ramp(y, 0.72, 0.74)
    return 1 - ramp(y, 0.48, 0.50), thin, 0.88 + 0.12 * noise(rng, u, v, 64, 64)


def _pile(rng: np.random.Generator, u: np.ndarray) -> np.ndarray:
    return 0.80 + 0.20 * speckle(rng, u)


def rug_frames(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    inset = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) * 2
    rings = np.floor(inset * int(rng.integers(4, 8)))
    return rings % 2 == 1, (rings % 4 == 2) * 0.9, _pile(rng, u)


def rug_medallion(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    dx, dy = np.abs(u - 0.5) * 2, np.abs(v - 0.5) * 2
    inset = 1 - np.maximum(dx, dy)
    border = ramp(inset, 0.05, 0.06) - ramp(inset, 0.16, 0.17)
    diamond = dx + dy
    centre = 1 - ramp(diamond, 0.45, 0.47)
    eye = 1 - ramp(dx * dx + dy * dy, 0.04, 0.05)
    count = int(rng.integers(6, 11))
    _, _, x, y = cells(u, v, count, count, 0.5)
    sprinkle = (1 - ramp(np.abs(x - 0.5) + np.abs(y - 0.5), 0.10, 0.16)) * (1 - centre) * ramp(inset, 0.19, 0.2)
    first = np.clip(border + centre - eye, 0, 1)
    return first, np.clip(eye + sprinkle, 0, 1) * (1 - border), _pile(rng, u)


def rug_diamonds(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    count = int(rng.integers(3, 6))
    column, row, x, y = cells(u, v, count, count)
    distance = np.abs(x - 0.5) + np.abs(y - 0.5)
    inside = 1 - ramp(distance, 0.42, 0.45)
    core = 1 - ramp(distance, 0.18, 0.21)
    return inside - core, core * ((column + row) % 2 == 0), _pile(rng, u)


def rug_stripes(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    count = int(rng.integers(5, 12))
    kind = rng.integers(0, 3, count)[np.minimum((u * count).astype(int), count - 1)]
    return kind == 1, kind == 2, _pile(rng, u)


def leaf(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    rib = 1 - ramp(np.abs(u - 0.5), 0.02, 0.07)
    slant = v * 8 + np.abs(u - 0.5) * 6
    vein = 1 - ramp(np.abs(slant - np.floor(slant) - 0.5), 0.05, 0.15)
    return np.clip(rib + 0.4 * vein, 0, 1), 0 * u, 0.80 + 0.20 * clouds(rng, u, v, 4, 3)


def wicker(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    column, row, x, y = cells(u, v, 12, 16)
    over = (column + row) % 2 == 0
    bulge = np.where(over, x * (1 - x), y * (1 - y)) * 4
    return 0.4 * over, 0 * u, 0.45 + 0.5 * bulge + 0.05 * speckle(rng, u)


def cardboard(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    tape = 1 - ramp(np.abs(u - 0.5), 0.07, 0.08)
    flute = noise(rng, u, v, 4, 64)
    edge = joint(u, v, 0.02, 0.02)
    return 0.3 * flute * (1 - tape), tape, (0.92 + 0.08 * flute) * (1 - 0.2 * edge)


FABRICS: dict[str, Painter] = {
    "carpet": carpet,
    "weave": weave,
    "leather": leather,
    "plaid": plaid,
    "polka": polka,
    "bands": bands,
    "rug frames": rug_frames,
    "rug medallion": rug_medallion,
    "rug diamonds": rug_diamonds,
    "rug stripes": rug_stripes,
    "leaf": leaf,
    "wicker": wicker,
    "cardboard": cardboard,
}
