"""Poses in, pictures out: the one place where house, camera, rasteriser and shading meet."""

from dataclasses import dataclass

import numpy as np

from ssm_sense.data.world import fragments, raster, shade
from ssm_sense.data.world.camera import FOCAL, Pose, visible_rooms
from ssm_sense.data.world.furnish import Piece
from ssm_sense.data.world.house import House
from ssm_sense.data.world.palette import tone_curve
from ssm_sense.data.world.scene import View, join

REFERENCE_SIDE = 224  # visible pixels are counted as if the picture had this side


@dataclass(frozen=True)
class Picture:
    """image (H, W, 3) uint8 RGB; objects (H, W) int64, an object id or -1; depth (H, W) float32, metres.

    Where a pixel shows several faces, objects and depth are those of its upper left sample. visible: object id ->
    pixels at `REFERENCE_SIDE`, counted by samples.
    """

    image: np.ndarray
    objects: np.ndarray
    depth: np.ndarray
    visible: dict[int, int]


class Renderer:
    """Renders square pictures of one house. Holds only buffers: the same pose gives the same picture."""

    def __init__(self, house: House, size: int) -> None:
        if size < 16 or size % 2:
            raise ValueError(f"size must be an even number of pixels, 16 or more; got {size}")
        self._house, self._size = house, size
        self._nearness = np.empty((2 * size, 2 * size), np.float32)
        self._front = np.empty((2 * size, 2 * size), np.int32)
        self._planes = np.empty((0, raster.PLANE_COLUMNS))

    def picture(
        self, pose: Pose, here: int, extra: tuple[Piece, ...] = (), hidden: np.ndarray | None = None
    ) -> Picture:
        """What the camera sees from `pose` in room `here`; `extra` pieces stand there for this picture only.

        hidden: bool (H, W), pixels that will be covered, in which nothing counts as visible.
        """
        view = self._draw(pose, here, extra)
        size = self._size
        image, depth = np.empty((size, size, 3), np.uint8), np.empty((size, size), np.float32)
        instance = np.empty((size, size), np.int32)
        camera, focal = pose.matrix(), FOCAL * 2 * size
        shade.shade(self._front, self._planes, camera, focal, view.surfaces, tone_curve(), image, instance, depth)
        objects = np.where(instance >= 0, np.append(view.ids, -1)[instance], -1)
        if hidden is not None:
            self._front[np.repeat(np.repeat(hidden, 2, axis=0), 2, axis=1)] = -1
        return Picture(image, objects, depth, self._visible(view))

    def visible(self, pose: Pose, here: int, extra: tuple[Piece, ...] = ()) -> dict[int, int]:
        """Object id -> visible pixels, without shading anything (about a third of the time of `picture`)."""
        return self._visible(self._draw(pose, here, extra))

    def _draw(self, pose: Pose, here: int, extra: tuple[Piece, ...]) -> View:
        samples = 2 * self._size
        seen = visible_rooms(self._house, here, pose, samples)
        around = {here, *(d.a + d.b - here for d in self._house.rooms[here].doors), *seen}
        view = join(self._house, tuple(sorted(around)), extra)
        corners, uv = view.surfaces.corners, view.surfaces.uv
        if len(self._planes) < len(corners):
            self._planes = np.empty((len(corners), raster.PLANE_COLUMNS))
        self._nearness.fill(0.0)
        self._front.fill(-1)
        camera, focal = pose.matrix(), FOCAL * samples
        for index, rectangle in seen.items():
            first, last = view.spans[index]
            scissor = np.array(rectangle)
            raster.draw(
                corners, uv, view.two_sided, first, last, camera, focal, scissor, self._nearness, self._front,
                self._planes,
            )  # fmt: skip
        return view

    def _visible(self, view: View) -> dict[int, int]:
        counts = np.zeros(len(view.ids), np.int64)
        raster.count_samples(self._front, view.surfaces.labels[:, fragments.SLOT], counts)
        scale = (REFERENCE_SIDE / (2 * self._size)) ** 2
        pixels = np.floor(counts * scale + 0.5).astype(np.int64)
        return {int(view.ids[i]): int(pixels[i]) for i in np.flatnonzero(pixels)}
