"""Patterns of walls, floors and hard furniture. Each painter maps (rng, u, v) to the weights of `noise.Weights`."""

import numpy as np

from ssm_sense.data.world.texture.noise import Painter, Weights, cells, clouds, joint, noise, ramp, speckle


def plaster(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    mottle = clouds(rng, u, v, 3)
    return ramp(mottle, 0.35, 0.75), 0 * u, 0.93 + 0.05 * clouds(rng, u, v, 16, 2) + 0.02 * speckle(rng, u)


def stripes(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    bands = int(rng.integers(3, 6))
    part = float(rng.uniform(0.35, 0.6))
    x = u * bands - np.floor(u * bands)
    line = ramp(x, part + 0.05, part + 0.07) - ramp(x, part + 0.10, part + 0.12)
    return 1 - ramp(x, part - 0.01, part + 0.01), line, 0.94 + 0.06 * clouds(rng, u, v, 8, 3)


def pinstripes(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    bands = int(rng.integers(8, 13))
    x = u * bands - np.floor(u * bands)
    return ramp(x, 0.40, 0.46) - ramp(x, 0.54, 0.60), 0 * u, 0.95 + 0.05 * clouds(rng, u, v, 8, 3)


def damask(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    count = int(rng.integers(4, 7))
    _, _, x, y = cells(u, v, count, count, 0.5)
    dx, dy = (x - 0.5) * 2, (y - 0.5) * 2
    petals = np.abs(dx * dy) * 4 + dx * dx + dy * dy
    motif = (1 - ramp(petals, 0.45, 0.55)) * ramp(dx * dx + dy * dy, 0.02, 0.05)
    return motif, ramp(petals, 0.62, 0.66) - ramp(petals, 0.72, 0.76), 0.95 + 0.05 * clouds(rng, u, v, 8, 3)


def wall_dots(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    count = int(rng.integers(5, 9))
    column, row, x, y = cells(u, v, count, 2 * (count // 2), 0.5)
    radius = (x - 0.5) ** 2 + (y - 0.5) ** 2
    dot = 1 - ramp(radius, 0.05, 0.07)
    second = (column + row) % 2 == 0
    return dot * second, dot * ~second, 0.95 + 0.05 * clouds(rng, u, v, 8, 3)


def brick(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    across, up = int(rng.integers(4, 6)), 2 * int(rng.integers(5, 7))
    column, row, x, y = cells(u, v, across, up, 0.5)
    mortar = joint(x, y, 0.045, 0.12)
    tone = rng.random((up, across))[row, column]
    rough = clouds(rng, u, v, 16, 3)
    shade = (0.62 + 0.38 * tone) * (0.8 + 0.3 * rough)
    return mortar, (1 - mortar) * ramp(tone, 0.75, 0.8) * 0.6, shade * (1 - mortar) + mortar * (0.75 + 0.25 * rough)


def panelling(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    boards = int(rng.integers(7, 11))
    column, _, x, _ = cells(u, v, boards, 1)
    groove = 1 - ramp(np.minimum(x, 1 - x), 0.02, 0.09)
    tone = rng.random(boards)[column]
    grain = noise(rng, u, v, 64, 4)
    return tone * 0.35 + grain * 0.25, 0 * u, (0.93 + 0.07 * grain) * (1 - 0.45 * groove)


def wainscot(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    _, _, x, y = cells(u, v, int(rng.integers(2, 4)), 1)
    frame = joint(x, y, 0.12, 0.1)
    bevel = frame * (1 - joint(x, y, 0.09, 0.075))
    light = np.where((y > 0.5) == (x > 0.5), 1.0, 0.86)
    return frame * 0.5, 0 * u, (0.95 + 0.05 * clouds(rng, u, v, 8, 3)) * (1 - bevel * 0.25 * light)


def tiles(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    count = int(rng.integers(5, 8))
    column, row, x, y = cells(u, v, count, count)
    grout = joint(x, y, 0.05, 0.05)
    tone = rng.random((count, count))[row, column]
    return (1 - grout) * ramp(tone, 0.8, 0.85), grout, (0.90 + 0.10 * tone) * (0.96 + 0.04 * speckle(rng, u))


def subway(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    column, row, x, y = cells(u, v, 4, 8, 0.5)
    grout = joint(x, y, 0.03, 0.07)
    tone = rng.random((8, 4))[row, column]
    bevel = 0.08 * (y - 0.5)
    return grout, (1 - grout) * 0.25 * tone, 0.93 + bevel + 0.04 * clouds(rng, u, v, 8, 2)


def checker(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    count = 2 * int(rng.integers(1, 3))
    column, row, x, y = cells(u, v, count, count)
    grout = joint(x, y, 0.02, 0.02)
    second = (column + row) % 2 == 0
    marble = clouds(rng, u, v, 6)
    return (1 - grout) * second, grout * 0.6, (0.86 + 0.14 * marble) * (1 - 0.2 * grout)


def slabs(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    across, up = int(rng.integers(2, 4)), 2
    column, row, x, y = cells(u, v, across, up, 0.5)
    grout = joint(x, y, 0.018 * across / 2, 0.018)
    tone = rng.random((up, across))[row, column]
    vein = clouds(rng, u, v, 4)
    return ramp(vein, 0.3, 0.7) * 0.7 * (1 - grout), grout, 0.84 + 0.10 * tone + 0.06 * clouds(rng, u, v, 16, 2)


def planks(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    rows = 2 * int(rng.integers(3, 5))
    column, row, x, y = cells(u, v, 2, rows, float(rng.choice([0.5, 0.3, 0.7])))
    gap = joint(x, y, 0.006, 0.05)
    tone = rng.random((rows, 2))[row, column]
    grain = noise(rng, u, v, 6, 64) * 0.6 + noise(rng, u, v, 3, 32) * 0.4
    return 0.55 * tone + 0.45 * ramp(grain, 0.3, 0.75), 0 * u, (0.80 + 0.14 * tone + 0.06 * grain) * (1 - 0.6 * gap)


def parquet(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    count = 4
    column, row, x, y = cells(u, v, count, count)
    turned = (column + row) % 2 == 0
    across = np.where(turned, x, y) * 4
    strip = np.floor(across).astype(int)
    gap = 1 - ramp(np.minimum(across - strip, strip + 1 - across), 0.02, 0.08)
    gap = np.maximum(gap, joint(x, y, 0.02, 0.02))
    tone = rng.random((count, count, 4))[row, column, strip]
    grain = np.where(turned, noise(rng, u, v, 64, 8), noise(rng, u, v, 8, 64))
    return 0.6 * tone + 0.4 * grain, 0 * u, (0.82 + 0.12 * tone + 0.06 * grain) * (1 - 0.45 * gap)


def concrete(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    stain = ramp(clouds(rng, u, v, 2), 0.45, 0.8)
    return stain, 0 * u, 0.82 + 0.12 * clouds(rng, u, v, 8) + 0.06 * speckle(rng, u)


def terrazzo(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    chips = clouds(rng, u, v, 24, 2)
    other = clouds(rng, u, v, 20, 2)
    return (
        ramp(chips, 0.66, 0.69),
        ramp(other, 0.68, 0.71) * (1 - ramp(chips, 0.66, 0.69)),
        0.93 + 0.07 * speckle(rng, u),
    )


def wood(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    warp = noise(rng, u, v, 3, 2) * 2.5
    rings = v * int(rng.integers(7, 12)) + warp
    saw = np.abs((rings - np.floor(rings)) * 2 - 1)
    fibre = noise(rng, u, v, 6, 64)
    return 0.55 * saw + 0.35 * fibre, 0 * u, 0.86 + 0.08 * noise(rng, u, v, 3, 5) + 0.06 * fibre


def metal(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    brushed = noise(rng, u, v, 3, 64)
    return brushed, 0 * u, 0.90 + 0.10 * noise(rng, u, v, 2, 3)


def stone(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    field = clouds(rng, u, v, 3, 5)
    vein = 1 - ramp(np.abs(field - 0.5), 0.01, 0.05)
    return vein, ramp(clouds(rng, u, v, 5), 0.5, 0.8) * (1 - vein), 0.93 + 0.07 * speckle(rng, u)


def paint(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Weights:
    return 0.3 * clouds(rng, u, v, 4), 0 * u, 0.96 + 0.04 * clouds(rng, u, v, 8, 2)


SURFACES: dict[str, Painter] = {
    "plaster": plaster,
    "stripes": stripes,
    "pinstripes": pinstripes,
    "damask": damask,
    "wall dots": wall_dots,
    "brick": brick,
    "panelling": panelling,
    "wainscot": wainscot,
    "tiles": tiles,
    "subway": subway,
    "checker": checker,
    "slabs": slabs,
    "planks": planks,
    "parquet": parquet,
    "concrete": concrete,
    "terrazzo": terrazzo,
    "wood": wood,
    "metal": metal,
    "stone": stone,
    "paint": paint,
}
