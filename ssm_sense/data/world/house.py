"""The plan of a house: rooms and the doorways between them, as numbers only.

Rooms stand in rows that are walked boustrophedon, each joined by a doorway to the one before. The plan is drawn room
by room from the seed, so a longer house begins with the shorter one. Furniture and surfaces are made later, by
`furnish` and `shell`, for the rooms that come into view.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ssm_sense.data.world.names import DOOR, HEIGHT, ROOM, ROOM_KINDS, random_stream

WALL_M = 0.14
DOOR_WIDTH_M = 0.95
DOOR_HEIGHT_M = 2.08
_HALF_SPINE_M = 0.95  # every room of a row covers the row's middle this far to both sides, so that doors line up

# kind: width range (along the row), depth range, in metres
_SIZES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "kitchen": ((3.4, 4.6), (3.4, 4.8)),
    "bedroom": ((3.6, 4.8), (3.6, 4.8)),
    "bathroom": ((2.9, 3.6), (3.0, 3.8)),
    "living room": ((4.4, 5.8), (4.2, 5.4)),
    "dining room": ((4.0, 5.2), (3.8, 5.0)),
    "study": ((3.2, 4.2), (3.4, 4.4)),
    "hallway": ((3.6, 5.4), (2.1, 2.6)),
    "nursery": ((3.4, 4.4), (3.4, 4.6)),
    "laundry room": ((3.0, 3.8), (3.0, 4.0)),
    "gym": ((4.2, 5.6), (4.0, 5.2)),
    "library": ((3.8, 5.2), (3.8, 5.0)),
    "garage": ((4.6, 5.8), (4.4, 5.4)),
    "music room": ((3.8, 5.0), (3.8, 5.0)),
    "workshop": ((4.0, 5.2), (4.0, 5.0)),
}
_ROW_DEPTH_M = 5.6


@dataclass(frozen=True)
class Door:
    """An opening of width [low, high] in the wall between rooms `a` and `b` (= a + 1).

    across: the axis (0 = x, 1 = y) that the wall stands across; at: the middle of the wall on that axis.
    """

    a: int
    b: int
    across: int
    at: float
    low: float
    high: float

    @property
    def centre(self) -> tuple[float, float]:
        """x, y in the middle of the opening."""
        middle = (self.low + self.high) / 2
        return (self.at, middle) if self.across == 0 else (middle, self.at)


@dataclass(frozen=True)
class Room:
    """A box of air: low corner (x0, y0), high corner (x1, y1), height, all metres; floor at z = 0."""

    index: int
    kind: str
    x0: float
    y0: float
    x1: float
    y1: float
    height: float
    doors: tuple[Door, ...]

    def contains(self, x: float, y: float, margin_m: float = 0.0) -> bool:
        """Whether x, y lies in the room, at least `margin_m` from its walls."""
        return self.x0 + margin_m <= x <= self.x1 - margin_m and self.y0 + margin_m <= y <= self.y1 - margin_m

    def distance(self, x: float, y: float) -> float:
        """Metres from x, y to the room, 0 inside."""
        return max(self.x0 - x, 0.0, x - self.x1) + max(self.y0 - y, 0.0, y - self.y1)


@dataclass(frozen=True)
class Crowd:
    """How many countable things stand in which room, where it is not left to the house's own rates.

    times: room index -> factor on the rates, 1 for the others. category: of which there are exactly `numbers` (room
    index -> how many), as far as they find a place, and none in other rooms; "" for none such.
    """

    times: Mapping[int, float]
    category: str = ""
    numbers: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class House:
    """Rooms in the order in which they are walked; room i is joined to i - 1 and i + 1.

    Compared by identity, so that caches of what is built from a house need not look through its rooms.
    """

    split: str
    seed: int
    rooms: tuple[Room, ...]
    crowd: Crowd | None = None

    def room_at(self, x: float, y: float, near: int) -> int:
        """Index of the room at x, y, among room `near` and its neighbours; in a doorway, the closer one."""
        around = [near, *(d.a + d.b - near for d in self.rooms[near].doors)]
        return min(around, key=lambda index: self.rooms[index].distance(x, y))


def plan_house(split: str, seed: int, rooms: int) -> House:
    """The first `rooms` rooms of house `seed` of `split`."""
    if rooms < 1:
        raise ValueError(f"a house needs at least 1 room; got {rooms}")
    boxes = _boxes(split, seed, rooms)
    doors = [_door(split, seed, i, boxes[i][1], boxes[i + 1][1]) for i in range(rooms - 1)]
    return House(
        split,
        seed,
        tuple(
            Room(i, kind, *box, height, tuple(doors[max(i - 1, 0) : i + 1]))
            for i, (kind, box, height) in enumerate(boxes)
        ),
    )


def _boxes(split: str, seed: int, rooms: int) -> list[tuple[str, tuple[float, float, float, float], float]]:
    """Kind, (x0, y0, x1, y1) and height of each room."""
    made: list[tuple[str, tuple[float, float, float, float], float]] = []
    height = round(float(random_stream(split, seed, HEIGHT).uniform(2.5, 2.9)), 3)
    direction, edge, bottom, left_in_row, first_in_row = 1.0, 0.0, 0.0, 0, True
    recent: list[str] = []
    for index in range(rooms):
        rng = random_stream(split, seed, ROOM, index)
        if left_in_row == 0:
            if index > 0:
                direction, bottom, first_in_row = -direction, bottom + _ROW_DEPTH_M + WALL_M, True
            left_in_row = int(rng.integers(3, 7))
        last_in_row = left_in_row == 1
        kind = _kind(rng, recent, ends_row=first_in_row or last_in_row)
        width, depth = (round(float(rng.uniform(*span)), 3) for span in _SIZES[kind])
        y0, y1 = _depth_span(rng, depth, bottom, touch_low=first_in_row and index > 0, touch_high=last_in_row)
        x0, x1 = (edge, edge + width) if direction > 0 else (edge - width, edge)
        made.append((kind, (round(x0, 3), y0, round(x1, 3), y1), height))
        edge = x1 if direction > 0 else x0
        if not last_in_row:
            edge += direction * WALL_M
        left_in_row, first_in_row = left_in_row - 1, False
        recent = [kind, *recent[:3]]
    return made


def _kind(rng: np.random.Generator, recent: list[str], ends_row: bool) -> str:
    """A kind unlike the last few; a hallway is too shallow to end a row."""
    choices = [k for k in ROOM_KINDS if k not in recent and not (ends_row and k == "hallway")]
    return choices[int(rng.integers(len(choices)))]


def _depth_span(
    rng: np.random.Generator, depth: float, bottom: float, touch_low: bool, touch_high: bool
) -> tuple[float, float]:
    """y0, y1 of a room: covers the row's middle, and reaches the row's edge where a door leads to another row."""
    middle = bottom + _ROW_DEPTH_M / 2
    if touch_low or touch_high:
        depth = max(depth, _ROW_DEPTH_M / 2 + _HALF_SPINE_M)
    if touch_low and touch_high:
        depth = _ROW_DEPTH_M
    lowest = max(bottom, middle + _HALF_SPINE_M - depth)
    highest = min(bottom + _ROW_DEPTH_M - depth, middle - _HALF_SPINE_M)
    y0 = bottom if touch_low else bottom + _ROW_DEPTH_M - depth if touch_high else float(rng.uniform(lowest, highest))
    return round(y0, 3), round(y0 + depth, 3)


def _door(
    split: str,
    seed: int,
    index: int,
    a: tuple[float, float, float, float],
    b: tuple[float, float, float, float],
) -> Door:
    """The doorway between the boxes of rooms `index` and `index + 1`, somewhere along the wall they share."""
    rng = random_stream(split, seed, DOOR, index)
    across = 1 if b[1] >= a[3] else 0
    at = (a[3] + b[1]) / 2 if across else (a[2] + b[0]) / 2 if b[0] >= a[2] else (b[2] + a[0]) / 2
    along = 1 - across
    low, high = max(a[along], b[along]) + 0.25, min(a[along + 2], b[along + 2]) - 0.25 - DOOR_WIDTH_M
    start = round(float(rng.uniform(low, high)), 3)
    return Door(index, index + 1, across, round(at, 4), start, round(start + DOOR_WIDTH_M, 3))
