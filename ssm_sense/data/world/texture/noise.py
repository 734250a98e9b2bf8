"""Tileable noise and grids over the unit square, the raw material of every pattern.

Only +, -, *, / and comparisons reach a texel, so that every machine draws the same bytes.
"""

from collections.abc import Callable

import numpy as np

Weights = tuple[np.ndarray, np.ndarray, np.ndarray]  # second colour, third colour, brightness; each (side, side)
Painter = Callable[[np.random.Generator, np.ndarray, np.ndarray], Weights]


def noise(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, cells_u: int, cells_v: int) -> np.ndarray:
    """Tileable value noise in [0, 1] with `cells_u` x `cells_v` lattice cells over the unit square."""
    lattice = rng.random((cells_v, cells_u))
    x, y = u * cells_u, v * cells_v
    i, j = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - i, y - j
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    i0, i1, j0, j1 = i % cells_u, (i + 1) % cells_u, j % cells_v, (j + 1) % cells_v
    low = lattice[j0, i0] * (1 - fx) + lattice[j0, i1] * fx
    high = lattice[j1, i0] * (1 - fx) + lattice[j1, i1] * fx
    return low * (1 - fy) + high * fy


def clouds(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, cells: int, octaves: int = 4) -> np.ndarray:
    """Fractal noise in [0, 1]: octaves of `noise`, each half as strong and twice as fine."""
    total = np.zeros_like(u)
    for octave in range(octaves):
        total += noise(rng, u, v, cells << octave, cells << octave) * 0.5**octave
    return total / (2 - 0.5 ** (octaves - 1))


def speckle(rng: np.random.Generator, u: np.ndarray) -> np.ndarray:
    """White noise in [0, 1], one value per texel."""
    return rng.random(u.shape)


def ramp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth step between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def cells(u: np.ndarray, v: np.ndarray, across: int, up: int, stagger: float = 0.0) -> tuple[np.ndarray, ...]:
    """A grid of bricks: (column, row, x, y) per texel, x and y in [0, 1) inside the brick."""
    row = np.floor(v * up).astype(int)
    shifted = u * across + (row % 2) * stagger
    column = np.floor(shifted).astype(int) % across
    return column, row, shifted - np.floor(shifted), v * up - row


def joint(x: np.ndarray, y: np.ndarray, width_x: float, width_y: float) -> np.ndarray:
    """1 in the joint along the edges of a cell, 0 inside it; widths are parts of the cell."""
    edge_x, edge_y = np.minimum(x, 1 - x), np.minimum(y, 1 - y)
    return 1 - ramp(edge_x, width_x * 0.5, width_x) * ramp(edge_y, width_y * 0.5, width_y)
