"""Where the camera walks through a room: from the door it comes in by, past places to look around, to the next door.

The route is drawn before the furniture, which keeps clear of it, so no path has to be searched.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ssm_sense.data.world.house import WALL_M, Door, House, Room
from ssm_sense.data.world.names import ROUTE, random_stream

_STEP_INSIDE_M = 0.6


@dataclass(frozen=True)
class Route:
    """points (n, 2): x, y in metres; along (n,): metres walked; lookouts: metres at which one stops to look."""

    points: np.ndarray
    along: np.ndarray
    lookouts: tuple[float, ...]

    @property
    def length_m(self) -> float:
        return float(self.along[-1])

    @cached_property
    def _legs(self) -> tuple[list[float], list[list[float]]]:
        return self.along.tolist(), self.points.tolist()

    def at(self, walked_m: float) -> tuple[float, float]:
        """x, y after `walked_m` metres."""
        along, points = self._legs
        leg = min(max(bisect_right(along, walked_m), 1), len(along) - 1)
        part = min(max((walked_m - along[leg - 1]) / max(along[leg] - along[leg - 1], 1e-9), 0.0), 1.0)
        (x0, y0), (x1, y1) = points[leg - 1], points[leg]
        return x0 + part * (x1 - x0), y0 + part * (y1 - y0)


def room_route(house: House, index: int) -> Route:
    """The way through room `index` of `house`, from the middle of its entry to the middle of its exit."""
    room = house.rooms[index]
    rng = random_stream(house.split, house.seed, ROUTE, index)
    before = [door for door in room.doors if door.b == index]
    after = [door for door in room.doors if door.a == index]
    stops = _stops(room, rng)
    way: list[tuple[float, float]] = []
    if before:
        way += [before[0].centre, _inside(room, before[0])]
        stops.sort(key=lambda p: (p[0] - way[-1][0]) ** 2 + (p[1] - way[-1][1]) ** 2)
    way += stops
    if after:
        way += [_inside(room, after[0]), after[0].centre]
    points = _rounded(np.array(way))
    steps = points[1:] - points[:-1]
    along = np.concatenate([[0.0], np.cumsum(np.sqrt(steps[:, 0] ** 2 + steps[:, 1] ** 2))])
    nearest = [int(np.argmin(((points - np.array(stop)) ** 2).sum(axis=1))) for stop in stops]
    return Route(points, along, tuple(sorted(float(along[i]) for i in nearest)))


def _stops(room: Room, rng: np.random.Generator) -> list[tuple[float, float]]:
    """One or two places well inside the room, apart from each other."""
    width, depth = room.x1 - room.x0, room.y1 - room.y0
    margin_x, margin_y = min(1.25, 0.46 * width), min(1.25, 0.46 * depth)
    count = 2 if width * depth > 14 or max(width, depth) > 4.6 else 1
    stops: list[tuple[float, float]] = []
    for _ in range(40):
        x = round(float(rng.uniform(room.x0 + margin_x, room.x1 - margin_x)), 3)
        y = round(float(rng.uniform(room.y0 + margin_y, room.y1 - margin_y)), 3)
        if all((x - a) ** 2 + (y - b) ** 2 > 1.2**2 for a, b in stops):
            stops.append((x, y))
        if len(stops) == count:
            break
    return stops


def _inside(room: Room, door: Door) -> tuple[float, float]:
    """The point in front of the middle of a door, a step into the room."""
    x, y = door.centre
    step = WALL_M / 2 + _STEP_INSIDE_M
    if door.across == 0:
        return (x + step if x < room.x0 else x - step), y
    return x, (y + step if y < room.y0 else y - step)


def _rounded(points: np.ndarray, passes: int = 4) -> np.ndarray:
    """Chaikin's corner cutting: (n, 2) -> a smooth polyline with the same ends."""
    for _ in range(passes if len(points) > 2 else 0):
        near, far = 0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]
        points = np.concatenate([points[:1], np.stack([near, far], axis=1).reshape(-1, 2), points[-1:]])
    return points
