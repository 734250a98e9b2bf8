"""Unit shapes as quads: corners and normals (n, 4, 3), counter-clockwise from outside. Each is made only once."""

from functools import cache

import numpy as np


@cache
def ring(sides: int) -> np.ndarray:
    """(sides, 2): points on the unit circle."""
    angle = np.arange(sides) * (2 * np.pi / sides)
    return np.round(np.stack([np.cos(angle), np.sin(angle)], axis=1), 9)


@cache
def sphere(sides: int, rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a unit sphere, which are its normals, and uv (n, 4, 2) once around and once up."""
    tilt = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    radius, height = np.round(np.cos(tilt), 9), np.round(np.sin(tilt), 9)
    circle = ring(sides)
    corners, uv = np.empty((rings, sides, 4, 3)), np.empty((rings, sides, 4, 2))
    for corner, (shift, lift) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
        turn = np.roll(circle, -shift, axis=0)
        corners[:, :, corner, :2] = turn[None] * radius[lift : lift + rings, None, None]
        corners[:, :, corner, 2] = height[lift : lift + rings, None]
        uv[:, :, corner, 0] = (np.arange(sides) + shift) / sides
        uv[:, :, corner, 1] = ((np.arange(rings) + lift) / rings)[:, None]
    return corners.reshape(-1, 4, 3), uv.reshape(-1, 4, 2)


@cache
def cube(bevelled: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corner signs and normals of a box's 6 sides, then of its 12 bevels and 8 caps if `bevelled`.

    A corner's normal tells which side of the box it lies on, so that it keeps its full reach along it. Third comes
    the index (n, 4, 2) of the two coordinates that run along each face, in an array (n, 4, 3) taken flat.
    """
    signs: list[list[list[float]]] = []
    normals: list[list[list[float]]] = []
    axes: list[tuple[int, int]] = []
    ends = (-1.0, 1.0)
    for axis in range(3):
        u, v = ((1, 2), (0, 2), (0, 1))[axis]
        for side in ends:
            corners: list[list[float]] = [[0.0] * 3 for _ in range(4)]
            for corner, (a, b) in zip(corners, ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)), strict=True):
                corner[axis], corner[u], corner[v] = side, a, b
            signs.append(corners)
            normals.append([_axis(axis, side)] * 4)
            axes.append((u, v))
    if bevelled:
        for first, second in ((0, 1), (0, 2), (1, 2)):
            along = 3 - first - second
            for a in ends:
                for b in ends:
                    low, high = _axis(along, -1.0), _axis(along, 1.0)
                    low[first] = high[first] = a
                    low[second] = high[second] = b
                    signs.append([low, high, high, low])
                    normals.append([_axis(first, a), _axis(first, a), _axis(second, b), _axis(second, b)])
                    axes.append((along, second))
        for a in ends:
            for b in ends:
                for c in ends:
                    signs.append([[a, b, c]] * 4)
                    normals.append([_axis(0, a), _axis(1, b), _axis(2, c), _axis(2, c)])
                    axes.append((0, 2))
    index = np.arange(4 * len(axes)).reshape(-1, 4, 1) * 3 + np.array(axes)[:, None, :]
    return *_outward(np.array(signs), np.array(normals)), index


def _axis(axis: int, value: float) -> list[float]:
    vector = [0.0] * 3
    vector[axis] = value
    return vector


def _outward(signs: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reverse the corners of faces that would be wound clockwise seen from outside."""
    corners = signs * np.where(np.abs(normals) > 0.5, 1.0, 0.5)
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = (facing * normals.sum(axis=1)).sum(axis=1) < 0
    signs[inward], normals[inward] = signs[inward, ::-1], normals[inward, ::-1]
    return signs, normals
