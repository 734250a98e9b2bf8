"""Which triangle is in front, for every sample of the picture: a z-buffer in homogeneous coordinates.

Triangles are set up as in Olano and Greer, "Triangle scan conversion using 2D homogeneous coordinates" (1997): the
edge functions come from the corners' (x w, y w, w), so nothing is clipped against the near plane. The picture is
drawn at twice its side (four samples a pixel); `shade` turns samples into colours. Everything is plain IEEE
arithmetic in a fixed order (`fastmath=False`), so the result is the same on every x86-64 machine.
"""

import numpy as np
from numba import njit

NEAR_M = 0.02
PLANE_COLUMNS = 15


@njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
def draw(
    corners: np.ndarray,
    uv: np.ndarray,
    two_sided: np.ndarray,
    first: int,
    last: int,
    camera: np.ndarray,
    focal: float,
    scissor: np.ndarray,
    nearness: np.ndarray,
    front: np.ndarray,
    planes: np.ndarray,
) -> None:
    """Draw triangles [first, last) into the sample buffers.

    corners (n, 9) and uv (n, 6) float32 · two_sided (n,) bool · camera (4, 3): position, right, down, forward ·
    focal length in samples · scissor: x0, y0, x1, y1 in samples · nearness (2H, 2W) float32: 1/depth, 0 where empty ·
    front (2H, 2W) int32: the triangle in front, -1 where empty · planes (n, 15), written for every triangle that may
    be seen: 1, u, v and the first two barycentric weights over depth, as x, y, 1 coefficients of a sample's position.
    """
    side_y, side_x = nearness.shape
    middle_x, middle_y = side_x * 0.5, side_y * 0.5
    left, top, right, bottom = scissor[0], scissor[1], scissor[2], scissor[3]
    x, y, w, edge = np.empty(3), np.empty(3), np.empty(3), np.empty(9)
    for t in range(first, last):
        for k in range(3):
            px = corners[t, 3 * k] - camera[0, 0]
            py = corners[t, 3 * k + 1] - camera[0, 1]
            pz = corners[t, 3 * k + 2] - camera[0, 2]
            depth = px * camera[3, 0] + py * camera[3, 1] + pz * camera[3, 2]
            w[k] = depth
            x[k] = focal * (px * camera[1, 0] + py * camera[1, 1] + pz * camera[1, 2]) + middle_x * depth
            y[k] = focal * (px * camera[2, 0] + py * camera[2, 1] + pz * camera[2, 2]) + middle_y * depth
        if w[0] < NEAR_M and w[1] < NEAR_M and w[2] < NEAR_M:
            continue
        if x[0] < left * w[0] and x[1] < left * w[1] and x[2] < left * w[2]:
            continue
        if x[0] > right * w[0] and x[1] > right * w[1] and x[2] > right * w[2]:
            continue
        if y[0] < top * w[0] and y[1] < top * w[1] and y[2] < top * w[2]:
            continue
        if y[0] > bottom * w[0] and y[1] > bottom * w[1] and y[2] > bottom * w[2]:
            continue
        e0x, e0y, e0c = y[1] * w[2] - y[2] * w[1], x[2] * w[1] - x[1] * w[2], x[1] * y[2] - x[2] * y[1]
        det = x[0] * e0x + y[0] * e0y + w[0] * e0c
        if det == 0.0 or (det > 0.0 and not two_sided[t]):
            continue
        scale = 1.0 / det
        e0x, e0y, e0c = e0x * scale, e0y * scale, e0c * scale
        e1x, e1y = (y[2] * w[0] - y[0] * w[2]) * scale, (x[0] * w[2] - x[2] * w[0]) * scale
        e1c = (x[2] * y[0] - x[0] * y[2]) * scale
        e2x, e2y = (y[0] * w[1] - y[1] * w[0]) * scale, (x[1] * w[0] - x[0] * w[1]) * scale
        e2c = (x[0] * y[1] - x[1] * y[0]) * scale
        low, high = top, bottom
        if w[0] > NEAR_M and w[1] > NEAR_M and w[2] > NEAR_M:
            y0, y1, y2 = y[0] / w[0], y[1] / w[1], y[2] / w[2]
            low = max(low, int(np.floor(min(y0, y1, y2))))
            high = min(high, int(np.ceil(max(y0, y1, y2))) + 1)
        slope_x, slope_y, offset = e0x + e1x + e2x, e0y + e1y + e2y, e0c + e1c + e2c
        planes[t, 0], planes[t, 1], planes[t, 2] = slope_x, slope_y, offset
        for k in range(2):
            a, b, c = uv[t, k], uv[t, 2 + k], uv[t, 4 + k]
            planes[t, 3 + 3 * k] = e0x * a + e1x * b + e2x * c
            planes[t, 4 + 3 * k] = e0y * a + e1y * b + e2y * c
            planes[t, 5 + 3 * k] = e0c * a + e1c * b + e2c * c
        planes[t, 9], planes[t, 10], planes[t, 11] = e0x, e0y, e0c
        planes[t, 12], planes[t, 13], planes[t, 14] = e1x, e1y, e1c
        edge[0], edge[1], edge[2] = e0x, e1x, e2x
        edge[3], edge[4], edge[5] = e0y, e1y, e2y
        edge[6], edge[7], edge[8] = e0c, e1c, e2c
        for row in range(low, high):
            yc = row + 0.5
            start, stop = left + 0.5, right - 0.5
            for k in range(3):
                a = edge[k]
                value = edge[3 + k] * yc + edge[6 + k]
                if a > 0.0:
                    start = max(start, -value / a)
                elif a < 0.0:
                    stop = min(stop, -value / a)
                elif value < 0.0:
                    stop = start - 1.0
            # The slack makes neighbours overlap by a hair where rounding would leave a hole between them.
            begin = int(np.ceil(start - 0.5 - 1e-7))
            end = int(np.floor(stop - 0.5 + 1e-7)) + 1
            base = slope_y * yc + offset + slope_x * 0.5
            for column in range(max(begin, left), min(end, right)):
                near = np.float32(base + slope_x * column)
                if near > nearness[row, column]:
                    nearness[row, column] = near
                    front[row, column] = t


@njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
def count_samples(front: np.ndarray, piece: np.ndarray, counts: np.ndarray) -> None:
    """Add to counts[p] the samples whose front triangle belongs to piece p; piece (n,) int32, -1 for none."""
    for row in range(front.shape[0]):
        for column in range(front.shape[1]):
            t = front[row, column]
            if t >= 0 and piece[t] >= 0:
                counts[piece[t]] += 1
