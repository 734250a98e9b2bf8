"""Free space in a room: finds places for furniture that touch neither each other, nor the walk, nor the doors."""

from dataclasses import dataclass

import numpy as np

from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.house import Room

_QUARTER = 1.5707963
_TURNS = (_QUARTER, -_QUARTER, 2 * _QUARTER, 0.0)  # by wall side: x0, x1, y0, y1; the front looks into the room
WALK_CLEARANCE_M = 0.40
_GAP_M = 0.03


@dataclass(frozen=True)
class Spot:
    """A place: x, y, z of the model's origin, its turn about z, and its footprint on the floor."""

    x: float
    y: float
    z: float
    turn: float
    low: tuple[float, float]
    high: tuple[float, float]


class Layout:
    """Keeps track of what stands where in one room while it is being furnished."""

    def __init__(self, room: Room, walk: np.ndarray, rng: np.random.Generator) -> None:
        self._room, self._walk, self._rng = room, walk, rng
        self._taken: list[Spot] = []
        self._hung: list[tuple[int, float, float, float, float]] = []  # wall side, from, to, lowest z, highest z
        for door in room.doors:
            low_side = door.at < (room.x0 if door.across == 0 else room.y0)
            side = 2 * door.across + (0 if low_side else 1)
            self._hung.append((side, door.low - 0.16, door.high + 0.16, 0.0, 2.4))

    def occupy(self, spots: list[Spot]) -> None:
        """Take note of what already stands in the room."""
        self._taken += spots

    def against_wall(self, model: Model, tries: int = 30) -> Spot | None:
        """A place on the floor with the back to a wall."""
        for _ in range(tries):
            side = int(self._rng.integers(4))
            spot = self._wall_spot(model, side, 0.0)
            if spot and self._free(spot) and self._wall_free(side, spot, 0.0, model.height):
                self._take(spot, side, model.height)
                return spot
        return None

    def hung(self, model: Model, middle_m: float, tries: int = 30) -> Spot | None:
        """A place on a wall, the middle of the model at height `middle_m`."""
        for _ in range(tries):
            side = int(self._rng.integers(4))
            spot = self._wall_spot(model, side, middle_m)
            low, high = middle_m - model.height / 2, middle_m + model.height / 2
            if spot and high < self._room.height - 0.1 and self._wall_free(side, spot, low, high):
                start, stop = self._span(side, spot)
                self._hung.append((side, start - 0.08, stop + 0.08, low - 0.08, high + 0.08))
                return spot
        return None

    def free_standing(self, model: Model, tries: int = 60) -> Spot | None:
        """A place on the floor, mostly near a wall, turned any way."""
        room, reach = self._room, max(model.width, model.depth)
        for _ in range(tries):
            turn = round(float(self._rng.uniform(-3.1416, 3.1416)), 4)
            half = self._turned_half(model, turn)
            x = self._between(room.x0 + half[0] + 0.05, room.x1 - half[0] - 0.05)
            y = self._between(room.y0 + half[1] + 0.05, room.y1 - half[1] - 0.05)
            if self._rng.random() < 0.75:
                nudge = float(self._rng.uniform(0.05, 0.2 + 0.3 * reach))
                side = int(self._rng.integers(4))
                x = (room.x0 + half[0] + nudge, room.x1 - half[0] - nudge, x, x)[side]
                y = (y, y, room.y0 + half[1] + nudge, room.y1 - half[1] - nudge)[side]
            spot = self._spot(x, y, turn, half)
            if self._free(spot):
                self._taken.append(spot)
                return spot
        return None

    def at_table(self, model: Model, table: Spot, table_model: Model) -> Spot | None:
        """A place for a chair that faces a side of `table`, its seat a little under it."""
        order = [int(i) for i in self._rng.permutation(6)]
        long = table_model.width > 1.0
        for index in order if long else order[:4]:
            c, s = round(float(np.cos(table.turn)), 6), round(float(np.sin(table.turn)), 6)
            reach_y = table_model.depth / 2 + model.depth * 0.22
            reach_x = table_model.width / 2 + model.depth * 0.22
            shift = table_model.width / 4 if long else 0.0
            local = (
                (-shift, -reach_y, _QUARTER * 2),
                (shift, reach_y, 0.0),
                (-reach_x, 0.0, _QUARTER),
                (reach_x, 0.0, -_QUARTER),
                (shift, -reach_y, _QUARTER * 2),
                (-shift, reach_y, 0.0),
            )[index]
            wobble = float(self._rng.uniform(-0.15, 0.15))
            turn = round(table.turn + local[2] + wobble, 4)
            x, y = table.x + c * local[0] - s * local[1], table.y + s * local[0] + c * local[1]
            spot = self._spot(x, y, turn, self._turned_half(model, turn))
            if self._free(spot, beside=table):
                self._taken.append(spot)
                return spot
        return None

    def _between(self, low: float, high: float) -> float:
        """A number in [low, high); where something just fits, rounding may have put `high` below `low`."""
        return float(self._rng.uniform(low, max(low, high)))

    def under_foot(self, model: Model, tries: int = 20) -> Spot | None:
        """A place for a rug: anywhere on the floor, square to the walls."""
        room = self._room
        for _ in range(tries):
            turn = (0.0, _QUARTER)[int(self._rng.integers(2))]
            half = (model.width / 2, model.depth / 2) if turn == 0.0 else (model.depth / 2, model.width / 2)
            if 2 * half[0] > room.x1 - room.x0 - 0.3 or 2 * half[1] > room.y1 - room.y0 - 0.3:
                continue
            x = self._between(room.x0 + half[0] + 0.15, room.x1 - half[0] - 0.15)
            y = self._between(room.y0 + half[1] + 0.15, room.y1 - half[1] - 0.15)
            return self._spot(x, y, turn, half)
        return None

    def beside(self, model: Model, landmark: Spot) -> Spot | None:
        """A place on the floor within half a metre of `landmark`, turned towards the room; nothing is taken."""
        room = self._room
        middle = (room.x0 + room.x1) / 2, (room.y0 + room.y1) / 2
        half = (model.width / 2, model.depth / 2)
        reach = max(half)
        for _ in range(30):
            side = int(self._rng.integers(4))
            gap = reach + float(self._rng.uniform(0.04, 0.3))
            x = float(self._rng.uniform(landmark.low[0] - 0.1, landmark.high[0] + 0.1))
            y = float(self._rng.uniform(landmark.low[1] - 0.1, landmark.high[1] + 0.1))
            x = (landmark.low[0] - gap, landmark.high[0] + gap, x, x)[side]
            y = (y, y, landmark.low[1] - gap, landmark.high[1] + gap)[side]
            turn = _QUARTER * (0 if abs(y - middle[1]) < abs(x - middle[0]) else 1)
            spot = self._spot(x, y, turn, (reach, reach))
            if self._inside(spot) and not any(_overlap(spot, other, 0.0) for other in self._taken):
                return spot
        return None

    def _wall_spot(self, model: Model, side: int, z: float) -> Spot | None:
        room = self._room
        low, high = (room.y0, room.y1) if side < 2 else (room.x0, room.x1)
        room_left = high - low - model.width - 0.08
        if room_left <= 0:
            return None
        along = low + 0.04 + model.width / 2 + float(self._rng.uniform(0.0, room_left))
        off = model.depth / 2 + 0.018 if z == 0.0 else 0.001
        x = (room.x0 + off, room.x1 - off, along, along)[side]
        y = (along, along, room.y0 + off, room.y1 - off)[side]
        half = (model.depth / 2, model.width / 2) if side < 2 else (model.width / 2, model.depth / 2)
        spot = self._spot(x, y, _TURNS[side], half)
        return Spot(spot.x, spot.y, z, spot.turn, spot.low, spot.high)

    def _spot(self, x: float, y: float, turn: float, half: tuple[float, float]) -> Spot:
        x, y = round(x, 3), round(y, 3)
        return Spot(x, y, 0.0, turn, (x - half[0], y - half[1]), (x + half[0], y + half[1]))

    @staticmethod
    def _turned_half(model: Model, turn: float) -> tuple[float, float]:
        c, s = abs(round(float(np.cos(turn)), 6)), abs(round(float(np.sin(turn)), 6))
        return (c * model.width + s * model.depth) / 2, (s * model.width + c * model.depth) / 2

    def _inside(self, spot: Spot) -> bool:
        room = self._room
        return spot.low[0] > room.x0 and spot.low[1] > room.y0 and spot.high[0] < room.x1 and spot.high[1] < room.y1

    def _free(self, spot: Spot, beside: Spot | None = None) -> bool:
        """Inside the room, clear of the walk and of everything taken but `beside`."""
        if not self._inside(spot):
            return False
        if any(_overlap(spot, other, _GAP_M) for other in self._taken if other is not beside):
            return False
        x, y = self._walk[:, 0], self._walk[:, 1]
        dx = np.maximum(np.maximum(spot.low[0] - x, x - spot.high[0]), 0.0)
        dy = np.maximum(np.maximum(spot.low[1] - y, y - spot.high[1]), 0.0)
        return bool(np.all(dx * dx + dy * dy > WALK_CLEARANCE_M**2))

    def _span(self, side: int, spot: Spot) -> tuple[float, float]:
        axis = 1 if side < 2 else 0
        return spot.low[axis], spot.high[axis]

    def _wall_free(self, side: int, spot: Spot, low: float, high: float) -> bool:
        start, stop = self._span(side, spot)
        return not any(
            side == s and start < b and stop > a and low < z1 and high > z0 for s, a, b, z0, z1 in self._hung
        )

    def _take(self, spot: Spot, side: int, height: float) -> None:
        self._taken.append(spot)
        start, stop = self._span(side, spot)
        self._hung.append((side, start - 0.05, stop + 0.05, 0.0, height + 0.05))


def _overlap(a: Spot, b: Spot, gap: float) -> bool:
    return (
        a.low[0] < b.high[0] + gap
        and a.high[0] > b.low[0] - gap
        and a.low[1] < b.high[1] + gap
        and a.high[1] > b.low[1] - gap
    )
