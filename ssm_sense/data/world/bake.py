"""Soft shadows on a floor: every triangle of the furniture is cast from the ceiling lamp onto z = 0 once per room."""

import numpy as np
from numba import njit

GRID = 64


@njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
def _cast(corners: np.ndarray, lamp: np.ndarray, box: np.ndarray, grid: np.ndarray) -> None:
    size = grid.shape[0]
    scale_x, scale_y = size / (box[1] - box[0]), size / (box[3] - box[2])
    x, y = np.empty(3), np.empty(3)
    for t in range(corners.shape[0]):
        above = False
        for k in range(3):
            z = corners[t, 3 * k + 2]
            if z > lamp[2] - 0.15:
                above = True
                break
            stretch = lamp[2] / (lamp[2] - z)
            x[k] = (lamp[0] + (corners[t, 3 * k] - lamp[0]) * stretch - box[0]) * scale_x
            y[k] = (lamp[1] + (corners[t, 3 * k + 1] - lamp[1]) * stretch - box[2]) * scale_y
        if above:
            continue
        area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
        if area == 0.0:
            continue
        sign = 1.0 if area > 0 else -1.0
        for j in range(max(0, int(min(y[0], y[1], y[2]) - 0.5)), min(size, int(max(y[0], y[1], y[2]) + 1.5))):
            for i in range(max(0, int(min(x[0], x[1], x[2]) - 0.5)), min(size, int(max(x[0], x[1], x[2]) + 1.5))):
                inside = True
                for k in range(3):
                    n = (k + 1) % 3
                    edge = (x[n] - x[k]) * (j + 0.5 - y[k]) - (y[n] - y[k]) * (i + 0.5 - x[k])
                    if edge * sign < 0.0:
                        inside = False
                if inside:
                    grid[j, i] = 0.0


def floor_light(
    corners: np.ndarray, lamp: tuple[float, float, float], box: tuple[float, float, float, float]
) -> np.ndarray:
    """float32 (GRID, GRID) over the floor x0, x1, y0, y1: the part of the lamp's light that arrives, in [0, 1].

    corners (n, 9): triangles of what stands in the room.
    """
    grid = np.ones((GRID, GRID))
    _cast(corners, np.array(lamp), np.array(box), grid)
    for _ in range(2):
        padded = np.pad(grid, 1, mode="edge")
        rows = (padded[:-2] + padded[1:-1] * 2 + padded[2:]) * 0.25
        grid = (rows[:, :-2] + rows[:, 1:-1] * 2 + rows[:, 2:]) * 0.25
    return grid.astype(np.float32)
