"""Hides needles: odd objects that stand in a room for a single frame, beside a landmark that is in view."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ssm_sense.data.world.camera import FOCAL, Pose
from ssm_sense.data.world.controls import UNCHANGED, Controls
from ssm_sense.data.world.furnish import Piece, furnish
from ssm_sense.data.world.furniture.catalogue import needle_maker
from ssm_sense.data.world.house import House
from ssm_sense.data.world.layout import Layout, Spot
from ssm_sense.data.world.look import Look
from ssm_sense.data.world.names import LANDMARKS, NEEDLES
from ssm_sense.data.world.renderer import Renderer
from ssm_sense.data.world.route import room_route

NEEDLE_ID = 1_000_000_000  # ids of needles start here, above those of any furniture
PER_NEEDLE = 4
_NEEDLE_PIXELS, _LANDMARK_PIXELS = 500, 900  # at 224 x 224
_NEAREST_M = 0.9
_TRIES = 80
_SPARE_SLOTS = 1.4
"""Where many needles crowd a stream, some slots show no landmark that fits."""


@dataclass(frozen=True)
class Appearance:
    """Needle `piece` (its category is the needle's name) stands in `frames` frames from `frame` beside `landmark`."""

    frame: int
    piece: Piece
    landmark: Piece
    frames: int = 1


def hide_needles(
    house: House,
    shots: Sequence[tuple[Pose, int]],
    count: int,
    rng: np.random.Generator,
    controls: Controls = UNCHANGED,
    avoid: Container[int] = (),
) -> tuple[Appearance, ...]:
    """Up to `count` appearances over the frames `shots`, spread over the stream, in order of time.

    Each needle appears `PER_NEEDLE` times, or more often where there are more than the needles have room for; each
    time beside another category of landmark, until those are used up. Fewer come back where the stream shows too few
    landmarks clearly.

    controls: for how many frames each stays, and whether all look alike. avoid: frames in which none begins.
    """
    frames = controls.needle_frames
    names = [NEEDLES[i] for i in rng.permutation(len(NEEDLES))[: -(-count // PER_NEEDLE)]]
    crowded = count > PER_NEEDLE * len(names)
    slots = int(_SPARE_SLOTS * count) if crowded else count
    often = max(PER_NEEDLE, -(-slots // len(names)))
    order = [str(name) for name in rng.permutation((names * often)[:slots])]
    search = _Search(house, shots, rng, controls, avoid)
    found: list[Appearance] = []
    edges = [round(i * len(shots) / max(slots, 1)) for i in range(slots + 1)]
    for name, first, last in zip(order, edges[:-1], edges[1:], strict=True):
        used = {a.landmark.category for a in found if a.piece.category == name}
        margin = (last - first) // 6
        # Clear of the neighbours if possible; else anywhere in the slot, or after the last appearance.
        after = found[-1].frame + frames if found else 0
        places = [(first + margin, last - margin, used), (max(first, after), last, used), (after, last, used)]
        if crowded:
            places = [(after, last, used), (after, last, set[str]())]
        for low, high, beside in places:
            appearance = search.within(name, low, high, beside, NEEDLE_ID + len(found))
            if appearance is not None:
                found.append(appearance)
                break
    kept = sorted(int(i) for i in rng.permutation(len(found))[:count])
    return tuple(found[i] for i in kept)


class _Search:
    """Looks for a frame, a landmark in it and a place beside it where the needle is seen well."""

    def __init__(
        self,
        house: House,
        shots: Sequence[tuple[Pose, int]],
        rng: np.random.Generator,
        controls: Controls,
        avoid: Container[int],
    ) -> None:
        self._house, self._shots, self._rng, self._avoid = house, shots, rng, avoid
        self._frames, self._looks = controls.needle_frames, controls.needle_looks
        self._renderer = Renderer(house, 112)
        # The same few frames are tried over and over where needles crowd a stream.
        self._seen = cache(lambda frame: self._renderer.visible(*self._shots[frame]))
        self._around = cache(lambda here: (furnish(house, here), room_route(house, here).points))

    def within(self, name: str, low: int, high: int, used: set[str], number: int) -> Appearance | None:
        """An appearance in frames [low, high), beside a landmark whose category is not in `used`."""
        high -= self._frames - 1
        if high <= low:
            return None
        model = needle_maker(name, self._looks)(Look(self._rng, self._house.split))
        for frame in self._rng.integers(low, high, _TRIES):
            if int(frame) in self._avoid:
                continue
            pose, here = self._shots[int(frame)]
            visible = self._seen(int(frame))
            pieces, route = self._around(here)
            layout = Layout(self._house.rooms[here], route, self._rng)
            layout.occupy([p.spot for p in pieces if p.spot.z == 0.0 and p.category != "rug"])
            marks = [p for p in pieces if p.category in LANDMARKS and p.category not in used]
            marks = [p for p in marks if visible.get(p.id, 0) >= _LANDMARK_PIXELS and p.spot.z == 0.0]
            for index in self._rng.permutation(len(marks)):
                mark = marks[index]
                spot = layout.beside(model, mark.spot)
                if spot is None or not _well_in_view(pose, spot.x, spot.y):
                    continue
                rivals = [p for p in pieces if p.category in LANDMARKS and p.id != mark.id and p.spot.z == 0.0]
                if any(_gap(spot, p.spot) < _gap(spot, mark.spot) + 0.25 for p in rivals):
                    continue
                piece = Piece(number, name, model.colour, here, model, spot)
                seen = self._renderer.visible(pose, here, (piece,))
                if seen.get(number, 0) >= _NEEDLE_PIXELS and seen.get(mark.id, 0) >= _LANDMARK_PIXELS // 2:
                    return Appearance(int(frame), piece, mark, self._frames)
        return None


def _well_in_view(pose: Pose, x: float, y: float) -> bool:
    """Whether something knee-high at x, y is not too close and away from the picture's edges."""
    camera = pose.matrix()
    offset = np.array([x, y, 0.4]) - camera[0]
    right, down, depth = (float((camera[k] * offset).sum()) for k in (1, 2, 3))
    reach = 0.4 * depth / FOCAL
    return depth > _NEAREST_M and abs(right) < reach and abs(down) < reach


def _gap(a: Spot, b: Spot) -> float:
    """Metres between two footprints along the axis on which they are further apart."""
    dx = max(a.low[0] - b.high[0], b.low[0] - a.high[0], 0.0)
    dy = max(a.low[1] - b.high[1], b.low[1] - a.high[1], 0.0)
    return max(dx, dy)
