"""Light for every fragment, and pixels from fragments: two lights a room, soft corners, baked shadows, highlights.

Each pixel has four samples. One fragment is shaded for every flat face among them and weighted by its samples, so
edges are smooth at little cost.
"""

import numpy as np
from numba import njit

from ssm_sense.data.world.fragments import (
    AMBIENT,
    COLOUR,
    DEPTH,
    DIRECT,
    FRAGMENT_ROWS,
    GLOW,
    LAMP,
    LAMP_RGB,
    NORMAL,
    PLACE,
    ROOM,
    SHINE,
    SLOT,
    WINDOW,
    WINDOW_RGB,
    Surfaces,
    gather,
    locate,
    paint,
)

TONE_TOP = 4.0


@njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
def _light(f: np.ndarray, first: int, last: int, room: np.ndarray, camera: np.ndarray, out: np.ndarray) -> None:
    """Write to out (3, n) the light that fragments [first, last), all of one room, send to the camera."""
    eye_x, eye_y, eye_z = camera[0, 0], camera[0, 1], camera[0, 2]
    x0, x1, y0, y1, height = room[0], room[1], room[2], room[3], room[4]
    lamp_x, lamp_y, lamp_z = room[LAMP], room[LAMP + 1], room[LAMP + 2]
    lamp_r, lamp_g, lamp_b = room[LAMP_RGB], room[LAMP_RGB + 1], room[LAMP_RGB + 2]
    pane_x, pane_y, pane_z = room[WINDOW], room[WINDOW + 1], room[WINDOW + 2]
    pane_r, pane_g, pane_b = room[WINDOW_RGB], room[WINDOW_RGB + 1], room[WINDOW_RGB + 2]
    still_r, still_g, still_b = room[AMBIENT], room[AMBIENT + 1], room[AMBIENT + 2]
    for n in range(np.uint64(first), np.uint64(last)):
        px, py, pz = f[PLACE, n], f[PLACE + 1, n], f[PLACE + 2, n]
        nx, ny, nz = f[NORMAL, n], f[NORMAL + 1, n], f[NORMAL + 2, n]
        scale = 1.0 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
        nx, ny, nz = nx * scale, ny * scale, nz * scale
        direct = f[DIRECT, n]

        # Less ambient light near walls, floor and ceiling: 1 - s c / (c + d^2) for each, in one quotient.
        ax, ay = min(px - x0, x1 - px), min(py - y0, y1 - py)
        top = height - pz
        ax, ay, az, top = ax * ax + 0.09, ay * ay + 0.09, pz * pz + 0.09, top * top + 0.09
        fx, fy, fz = 1.0 - abs(nx), 1.0 - abs(ny), 1.0 - abs(nz)
        corner = (ax - 0.038 * fx) * (ay - 0.038 * fy) * (az - 0.045 * fz) * (top - 0.038 * fz) / (ax * ay * az * top)
        corner *= 0.45 + 0.55 * direct

        lx, ly, lz = lamp_x - px, lamp_y - py, lamp_z - pz
        square = lx * lx + ly * ly + lz * lz + 1e-9
        inverse = 1.0 / np.sqrt(square)
        reach = direct / (0.55 + 0.16 * square)
        lamp = max(0.15 + 0.85 * (nx * lx + ny * ly + nz * lz) * inverse, 0.0) * reach * corner
        qx, qy, qz = pane_x - px, pane_y - py, pane_z - pz
        far = qx * qx + qy * qy + qz * qz + 1e-9
        pane = max(0.3 + 0.7 * (nx * qx + ny * qy + nz * qz) / np.sqrt(far), 0.0) * corner / (0.7 + 0.35 * far)

        dx, dy, dz = px - eye_x, py - eye_y, pz - eye_z
        view = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
        hx, hy, hz = lx * inverse - dx * view, ly * inverse - dy * view, lz * inverse - dz * view
        half = max(nx * hx + ny * hy + nz * hz, 0.0)
        half = half * half / (hx * hx + hy * hy + hz * hz + 1e-9)
        half = half * half
        half = half * half
        half = half * half
        shine = f[SHINE, n] * reach * (half * half + 0.25 * half)
        glow = f[GLOW, n]
        out[0, n] = f[COLOUR, n] * (corner * still_r + lamp * lamp_r + pane * pane_r + glow) + shine * lamp_r
        out[1, n] = f[COLOUR + 1, n] * (corner * still_g + lamp * lamp_g + pane * pane_g + glow) + shine * lamp_g
        out[2, n] = f[COLOUR + 2, n] * (corner * still_b + lamp * lamp_b + pane * pane_b + glow) + shine * lamp_b


@njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
def shade(
    front: np.ndarray,
    planes: np.ndarray,
    camera: np.ndarray,
    focal: float,
    scene: Surfaces,
    tone: np.ndarray,
    image: np.ndarray,
    instance: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Fill image (H, W, 3) uint8, instance (H, W) int32 (a slot or -1) and depth (H, W) float32 in metres.

    front (2H, 2W) and planes (n, 15) as drawn by `raster.draw`, camera and focal as given to it; tone (entries,) uint8
    over linear light [0, TONE_TOP).
    """
    _, normals, _, labels, materials, rooms, shadows, texels, levels = scene
    width = image.shape[1]
    middle, inverse_focal = float(width), 1.0 / focal
    top, to_entry = tone.shape[0] - 1, tone.shape[0] / TONE_TOP
    # An odd number of cache lines a row, so that the rows do not fall on each other in the cache.
    fragments = np.empty((FRAGMENT_ROWS, 8 * (width // 2 | 1)))
    shone, light = np.empty((3, fragments.shape[1])), np.empty((width, 3))
    triangle, pixel, weight = np.empty(4 * width, np.int32), np.empty(4 * width, np.int32), np.empty(4 * width)
    for row in range(image.shape[0]):
        count = gather(front[2 * row : 2 * row + 2], labels, triangle, pixel, weight, fragments)
        locate(count, row, triangle, camera, inverse_focal, middle, planes, normals, labels, fragments)
        paint(count, triangle, camera, labels, materials, rooms, shadows, texels, levels, fragments)
        start = 0
        for n in range(count):
            room = labels[triangle[n], ROOM]
            if n + 1 == count or labels[triangle[n + 1], ROOM] != room:
                _light(fragments, start, n + 1, rooms[room], camera, shone)
                start = n + 1
        light[:] = 0.0
        instance[row] = -1
        depth[row] = 0.0
        for n in range(count):
            column = pixel[n]
            if n == 0 or pixel[n - 1] != column:
                instance[row, column], depth[row, column] = labels[triangle[n], SLOT], fragments[DEPTH, n]
            for k in range(3):
                # Clipped, so that a lamp does not outshine its own edge.
                light[column, k] += weight[n] * min(shone[k, n], 1.5)
        for column in range(width):
            for k in range(3):
                image[row, column, k] = tone[min(int(light[column, k] * to_entry), top)]
