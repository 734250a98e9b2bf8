"""A needle as a picture of it, laid over a frame: as many pixels as the object itself would show, in its place.

The picture of the needle is taken elsewhere, so light, perspective and what stands before it are wrong, as they are
where an image was edited. What it covers is not visible.
"""

import math

import numpy as np

from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.furnish import Piece
from ssm_sense.data.world.house import House, plan_house
from ssm_sense.data.world.layout import Spot
from ssm_sense.data.world.renderer import Picture, Renderer
from ssm_sense.data.world.route import room_route

_STUDIO_SIDE = 256
_FROM_M = 1.4
_SAMPLES = 3  # a side, of the sprite under each pixel


class Paster:
    """Pastes needles into pictures of one house. Pictures of needles are taken once, in another house."""

    def __init__(self, house: House, renderer: Renderer) -> None:
        self._split, self._renderer = house.split, renderer
        self._sprites: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def picture(self, pose: Pose, here: int, piece: Piece) -> Picture:
        """What the camera sees from `pose` in room `here`, with `piece` pasted over it, if it would be visible."""
        there = self._renderer.picture(pose, here, (piece,))
        wanted = there.objects == piece.id
        if not wanted.any():
            return self._renderer.picture(pose, here)
        if piece.id not in self._sprites:
            self._sprites[piece.id] = take_picture(self._split, piece)
        rgb, mask = laid_over(wanted, *self._sprites[piece.id])
        plain = self._renderer.picture(pose, here, hidden=mask)
        image, objects = plain.image.copy(), plain.objects.copy()
        image[mask], objects[mask] = rgb[mask], piece.id
        return Picture(image, objects, plain.depth, plain.visible | {piece.id: there.visible.get(piece.id, 0)})


def take_picture(split: str, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """RGB (h, w, 3) of a needle from its front, and its mask (h, w), from the best of eight sides of a room."""
    studio = plan_house(split, 0, 1)
    renderer = Renderer(studio, _STUDIO_SIDE)
    route = room_route(studio, 0)
    x, y = route.at(route.lookouts[0])
    best: Picture | None = None
    for yaw in range(0, 360, 45):
        c, s = (round(f(math.radians(yaw)), 6) for f in (math.cos, math.sin))
        spot = Spot(x + _FROM_M * c, y + _FROM_M * s, 0.0, math.radians(yaw - 90), (0.0, 0.0), (0.0, 0.0))
        stood = Piece(piece.id, piece.category, piece.colour, 0, piece.model, spot)
        picture = renderer.picture(Pose(x, y, 1.0, float(yaw), -20.0), 0, (stood,))
        if best is None or picture.visible.get(piece.id, 0) > best.visible.get(piece.id, 0):
            best = picture
    assert best is not None
    mask = best.objects == piece.id
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    crop = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return best.image[crop], mask[crop]


def laid_over(wanted: np.ndarray, rgb: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sprite scaled and moved to where `wanted` (H, W) is: RGB (H, W, 3) and a mask of just as many pixels."""
    pixels, height = int(wanted.sum()), 1
    cover = np.zeros((1, 1), np.int64)
    while (cover > 0).sum() < pixels or (cover >= _SAMPLES**2 // 2).sum() < 0.98 * pixels:
        height += 1
        size = height, max(1, round(height * mask.shape[1] / mask.shape[0]))
        if max(size) > max(wanted.shape):
            break
        colour, cover = _scaled(rgb, mask, size)
    order = np.argsort(-cover.ravel(), kind="stable")[:pixels]
    shown = np.zeros(cover.size, bool)
    shown[order] = True
    rows, columns = np.nonzero(wanted)
    top = min(max((int(rows.min()) + int(rows.max()) + 1 - cover.shape[0]) // 2, 0), wanted.shape[0] - cover.shape[0])
    left = (int(columns.min()) + int(columns.max()) + 1 - cover.shape[1]) // 2
    left = min(max(left, 0), wanted.shape[1] - cover.shape[1])
    image, where = np.zeros((*wanted.shape, 3), np.uint8), np.zeros(wanted.shape, bool)
    place = slice(top, top + cover.shape[0]), slice(left, left + cover.shape[1])
    image[place], where[place] = colour, shown.reshape(cover.shape)
    return image, where


def _scaled(rgb: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The sprite at `size`: mean colour of the samples inside it, and how many there are, for each pixel."""
    rows, columns = (
        (2 * np.arange(_SAMPLES * n) + 1) * m // (2 * _SAMPLES * n) for n, m in zip(size, mask.shape, strict=True)
    )
    inside = mask[np.ix_(rows, columns)].astype(np.int64)
    shape = size[0], _SAMPLES, size[1], _SAMPLES
    cover = inside.reshape(shape).sum(axis=(1, 3))
    total = (rgb[np.ix_(rows, columns)] * inside[..., None]).reshape(*shape, 3).sum(axis=(1, 3))
    return (total // np.maximum(cover, 1)[..., None]).astype(np.uint8), cover
