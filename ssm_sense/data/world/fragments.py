"""From samples to fragments: a fragment is one flat face in one pixel, and all that shading must know of it.

A row of the picture is worked on at a time, in steps that each run over all of its fragments: `gather` finds them,
`locate` finds where in the world they are, `paint` what they are made of.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

# Columns of the material table.
PATTERN, FIRST, SECOND, THIRD, EMISSION, GLOSS, FAR, SHADED, TWO_SIDED, REPEATS = 0, 1, 4, 7, 10, 11, 12, 13, 14, 15
MATERIAL_COLUMNS = 16
# Columns of the room table: the box, the lamp, the window's light (colour 0 without a window), the ambient light.
BOX, LAMP, LAMP_RGB, WINDOW, WINDOW_RGB, AMBIENT = 0, 5, 8, 11, 14, 17
ROOM_COLUMNS = 20
# Columns of a view's labels.
MATERIAL, FACE, SLOT, ROOM, CURVED = 0, 1, 2, 3, 4
# Rows of a fragment buffer: sample position, depth, uv, how fast the pattern runs, place, normal, colour, the part of
# the lamp's light that arrives, glow, shine.
SAMPLE, DEPTH, UV, SPREAD, PLACE, NORMAL, COLOUR, DIRECT, GLOW, SHINE = 0, 2, 3, 5, 6, 9, 12, 15, 16, 17
FRAGMENT_ROWS = 18
LANE, TO_UNIT = (1 << 21) - 1, 1.0 / (255 * 64 * 64)


class Surfaces(NamedTuple):
    """What the triangles of a view are made of.

    corners, normals (n, 9) and uv (n, 6) float32 · labels (n, 5) int32: row of `materials`, flat face, object slot
    (-1 for none), row of `rooms`, whether the corners' normals differ · materials, rooms: the tables above ·
    shadows (rooms, 64, 64) float32 · texels, levels: of the patterns' pool.
    """

    corners: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    labels: np.ndarray
    materials: np.ndarray
    rooms: np.ndarray
    shadows: np.ndarray
    texels: np.ndarray
    levels: np.ndarray


@njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
def gather(
    front: np.ndarray,
    labels: np.ndarray,
    triangle: np.ndarray,
    pixel: np.ndarray,
    weight: np.ndarray,
    f: np.ndarray,
) -> int:
    """Write the fragments of two rows of samples, front (2, 2W), and return how many there are.

    triangle, pixel (4W,) int32 and weight (4W,): a triangle of the face, the column of the pixel, and the part of its
    samples that show the face. The fragment's sample position is the middle of those. The first fragment of a pixel
    is that of its upper left sample.
    """
    count = 0
    samples = np.empty(4, np.int32)
    for column in range(front.shape[1] // 2):
        x = 2 * column
        samples[0], samples[1], samples[2], samples[3] = front[0, x], front[0, x + 1], front[1, x], front[1, x + 1]
        if samples[0] >= 0 and samples[0] == samples[1] == samples[2] == samples[3]:
            triangle[count], pixel[count], weight[count] = samples[0], column, 1.0
            f[SAMPLE, count], f[SAMPLE + 1, count] = x + 1.0, 1.0
            count += 1
            continue
        for k in range(4):
            if samples[k] < 0:
                continue
            face, members, sx, sy = labels[samples[k], FACE], 0, 0.0, 0.0
            triangle[count], pixel[count] = samples[k], column
            for other in range(k, 4):
                if samples[other] >= 0 and labels[samples[other], FACE] == face:
                    members += 1
                    sx += x + other % 2 + 0.5
                    sy += other // 2 + 0.5
                    samples[other] = -1
            weight[count] = 0.25 * members
            f[SAMPLE, count], f[SAMPLE + 1, count] = sx / members, sy / members
            count += 1
    return count


@njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
def locate(
    count: int,
    row: int,
    triangle: np.ndarray,
    camera: np.ndarray,
    inverse_focal: float,
    middle: float,
    planes: np.ndarray,
    normals: np.ndarray,
    labels: np.ndarray,
    f: np.ndarray,
) -> None:
    """Depth, place, normal, uv and how fast the pattern runs, for the fragments of row `row` of the picture."""
    # Unsigned, because indices that might be negative cost a comparison each and keep the compiler from vectors.
    for n in range(np.uint64(count)):
        t, sx, sy = triangle[n], f[SAMPLE, n], f[SAMPLE + 1, n] + 2 * row
        wx, wy = planes[t, 0], planes[t, 1]
        depth = 1.0 / (wx * sx + wy * sy + planes[t, 2])
        u = (planes[t, 3] * sx + planes[t, 4] * sy + planes[t, 5]) * depth
        v = (planes[t, 6] * sx + planes[t, 7] * sy + planes[t, 8]) * depth
        # How fast the pattern runs across a sample, by the quotient rule on u/depth and 1/depth; a pixel is two.
        ux, uy = planes[t, 3] - u * wx, planes[t, 4] - u * wy
        vx, vy = planes[t, 6] - v * wx, planes[t, 7] - v * wy
        along_x, along_y = ux * ux + vx * vx, uy * uy + vy * vy
        spread = max(min(along_x, along_y), 0.3 * max(along_x, along_y)) * (depth * depth * (256.0 * 256.0))
        f[DEPTH, n], f[UV, n], f[UV + 1, n], f[SPREAD, n] = depth, u, v, spread
        rx, ry = (sx - middle) * inverse_focal, (sy - middle) * inverse_focal
        for k in range(3):
            ray = camera[3, k] + rx * camera[1, k] + ry * camera[2, k]
            f[PLACE + k, n] = camera[0, k] + depth * ray
            f[NORMAL + k, n] = normals[t, k]
        if labels[t, CURVED]:
            b0 = (planes[t, 9] * sx + planes[t, 10] * sy + planes[t, 11]) * depth
            b1 = (planes[t, 12] * sx + planes[t, 13] * sy + planes[t, 14]) * depth
            b2 = 1.0 - b0 - b1
            for k in range(3):
                f[NORMAL + k, n] = b0 * normals[t, k] + b1 * normals[t, 3 + k] + b2 * normals[t, 6 + k]


@njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
def _texel(texels: np.ndarray, base: int, level: int, pattern: int, u: float, v: float) -> int:
    """Bilinear sample of one mip level in integers: three weights of 20 bits, in lanes as in `texture.pool`."""
    side = 128 >> level
    x, y = int(u * (side * 64)) + 64 * side - 32, int(v * (side * 64)) + 64 * side - 32
    fx, fy = x & 63, y & 63
    i0, j0 = (x >> 6) & (side - 1), (y >> 6) & (side - 1)
    i1, j1 = (i0 + 1) & (side - 1), (j0 + 1) & (side - 1)
    low = texels[pattern, base + j0 * side + i0] * (64 - fx) + texels[pattern, base + j0 * side + i1] * fx
    high = texels[pattern, base + j1 * side + i0] * (64 - fx) + texels[pattern, base + j1 * side + i1] * fx
    return low * (64 - fy) + high * fy


@njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
def paint(
    count: int,
    triangle: np.ndarray,
    camera: np.ndarray,
    labels: np.ndarray,
    materials: np.ndarray,
    rooms: np.ndarray,
    shadows: np.ndarray,
    texels: np.ndarray,
    levels: np.ndarray,
    f: np.ndarray,
) -> None:
    """What the materials of located fragments are: colour, glow, shine, and the part of the lamp's light they get."""
    for n in range(np.uint64(count)):
        m, r = labels[triangle[n], MATERIAL], labels[triangle[n], ROOM]
        u, v, spread = f[UV, n], f[UV + 1, n], f[SPREAD, n]
        if materials[m, TWO_SIDED] + materials[m, FAR] > 0.0:
            dx, dy, dz = f[PLACE, n] - camera[0, 0], f[PLACE + 1, n] - camera[0, 1], f[PLACE + 2, n] - camera[0, 2]
            towards = dx * f[NORMAL, n] + dy * f[NORMAL + 1, n] + dz * f[NORMAL + 2, n]
            if materials[m, FAR] > 0.0:
                # A window: the ray goes on to a picture that stands FAR metres behind the pane.
                step = materials[m, FAR] / max(-towards, 0.15 * f[DEPTH, n]) * materials[m, REPEATS]
                u += (dy * f[NORMAL, n] - dx * f[NORMAL + 1, n]) * step
                v = min(max(v + dz * step, 0.02), 0.98)
            elif towards > 0.0:
                for k in range(3):
                    f[NORMAL + k, n] = -f[NORMAL + k, n]
        u, v = u - np.floor(u), v - np.floor(v)
        level = 0
        while spread > 4.0 and level < 6:
            spread *= 0.25
            level += 1
        pattern = int(materials[m, PATTERN])
        mixed = _texel(texels, levels[level], level, pattern, u, v)
        w1, w2, w3 = float(mixed & LANE), float((mixed >> 21) & LANE), float(mixed >> 42)
        if spread > 1.0:
            blend = min((spread - 1.0) * (1.0 / 3.0), 1.0)
            mixed = _texel(texels, levels[level + 1], level + 1, pattern, u, v)
            w1 += blend * (float(mixed & LANE) - w1)
            w2 += blend * (float((mixed >> 21) & LANE) - w2)
            w3 += blend * (float(mixed >> 42) - w3)
        w1, w2, w3 = w1 * TO_UNIT, w2 * TO_UNIT, w3 * TO_UNIT
        for k in range(3):
            colour = materials[m, FIRST + k] + w1 * materials[m, SECOND + k] + w2 * materials[m, THIRD + k]
            f[COLOUR + k, n] = colour * w3
        f[DIRECT, n], f[GLOW, n], f[SHINE, n] = 1.0, materials[m, EMISSION], materials[m, GLOSS]
        if materials[m, SHADED] > 0.0:
            gx = (f[PLACE, n] - rooms[r, BOX]) / (rooms[r, BOX + 1] - rooms[r, BOX]) * 64.0 - 0.5
            gy = (f[PLACE + 1, n] - rooms[r, BOX + 2]) / (rooms[r, BOX + 3] - rooms[r, BOX + 2]) * 64.0 - 0.5
            i, j = min(max(int(np.floor(gx)), 0), 62), min(max(int(np.floor(gy)), 0), 62)
            fx, fy = min(max(gx - i, 0.0), 1.0), min(max(gy - j, 0.0), 1.0)
            low = shadows[r, j, i] * (1 - fx) + shadows[r, j, i + 1] * fx
            high = shadows[r, j + 1, i] * (1 - fx) + shadows[r, j + 1, i + 1] * fx
            f[DIRECT, n] = low * (1 - fy) + high * fy
