"""How a person with a camera moves along the routes of a house: walking, stopping, turning, swaying.

The walk is simulated at `TICKS_PER_S` and draws its habits room by room, so a longer walk begins with the shorter one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.house import House
from ssm_sense.data.world.names import PACE, PERSON, random_stream
from ssm_sense.data.world.route import Route, room_route

TICKS_PER_S = 24
WALK_M_PER_S = (1.0, 1.4)
PANS = {"slow": 0.4, "natural": 1.0, "fast": 2.2}
"""Factors on how fast the head turns and how far it comes in the same time; where the feet are does not change."""
_TICK_S = 1.0 / TICKS_PER_S
_STEP_LENGTH_M = 0.72
_PUSH_M_PER_S2 = 1.8


@dataclass
class _Head:
    """Direction of view in degrees, its rate, and where it wants to go."""

    yaw: float
    pitch: float = -8.0
    yaw_rate: float = 0.0
    goal_yaw: float = 0.0
    goal_pitch: float = -8.0

    def turn(self, fastest: float) -> None:
        """One tick towards the goal, at no more than `fastest` degrees per second."""
        wanted = min(max(4.0 * (self.goal_yaw - self.yaw), -fastest), fastest)
        push = 420.0 * _TICK_S
        self.yaw_rate += min(max(wanted - self.yaw_rate, -push), push)
        self.yaw += self.yaw_rate * _TICK_S
        self.pitch += 2.2 * (self.goal_pitch - self.pitch) * _TICK_S

    def face(self, heading: float) -> None:
        """Aim at a heading by the shorter way."""
        self.goal_yaw = self.yaw + (heading - self.yaw + 180.0) % 360.0 - 180.0


def walk(house: House, dwell_s: float, pan: str = "natural", take: int = 0) -> Iterator[tuple[Pose, int]]:
    """Poses at `TICKS_PER_S`, each with the index of the room it is in by its x and y; ends in the last room.

    dwell_s: mean time in a room. pan: a key of `PANS`, how fast the head turns. take: which of the walks along the
    same routes, each with habits of its own.
    """
    haste = PANS[pan]
    person = random_stream(house.split, house.seed, PERSON)
    eye = round(float(person.uniform(1.45, 1.65)), 3)
    head: _Head | None = None
    speed, walked_before, here, tick = 0.0, 0.0, 0, 0
    for room in house.rooms:
        route = room_route(house, room.index)
        rng = random_stream(house.split, house.seed, PACE, room.index, *((take,) if take else ()))
        if head is None:
            head = _Head(yaw=_heading(route, 0.0))
            head.goal_yaw = head.yaw
        for along, now in _pace(route, rng, dwell_s, speed, head, haste):
            speed = now
            x, y = route.at(along)
            here = house.room_at(x, y, here)
            phase = 2 * math.pi * (walked_before + along) / _STEP_LENGTH_M
            effort = min(speed, 1.2) / 1.2
            t = tick * _TICK_S
            z = eye + 0.016 * effort * math.sin(phase) + 0.004 * math.sin(1.1 * t)
            yaw = head.yaw + 0.7 * effort * math.sin(phase / 2) + 0.5 * math.sin(0.83 * t) + 0.3 * math.sin(2.3 * t)
            pitch = head.pitch + 0.4 * effort * math.cos(phase) + 0.4 * math.sin(0.61 * t)
            yield Pose(x, y, z, (yaw + 180.0) % 360.0 - 180.0, pitch), here
            tick += 1
        walked_before += route.length_m


def _pace(
    route: Route, rng: np.random.Generator, dwell_s: float, speed: float, head: _Head, haste: float
) -> Iterator[tuple[float, float]]:
    """Metres walked along `route` and speed, tick by tick; moves `head` as it goes."""
    cruise = float(rng.uniform(*WALK_M_PER_S))
    fastest = haste * float(rng.uniform(75.0, 140.0))
    spread = math.exp(0.3 * float(np.clip(rng.standard_normal(), -2.0, 2.0)) - 0.045)
    standing = max(dwell_s * spread - route.length_m / cruise - 0.7 * len(route.lookouts), 0.8)
    shares = rng.uniform(0.8, 1.2, max(len(route.lookouts), 1))
    pauses = list(standing * shares / shares.sum())
    way_round = 1.0 if rng.random() < 0.5 else -1.0
    along, glance, glance_ends = 0.0, 0.0, 0.0
    clock = 0.0
    stops = list(route.lookouts)
    while along < route.length_m - 1e-6 or stops:
        ahead = stops[0] - along if stops else 1e9
        limit = math.sqrt(max(2 * _PUSH_M_PER_S2 * ahead, 0.0))
        speed = min(speed + _PUSH_M_PER_S2 * _TICK_S, cruise, max(limit, 0.12))
        along = min(along + min(speed * _TICK_S, max(ahead, 0.0)), route.length_m)
        clock += _TICK_S
        if clock > glance_ends:
            glance, glance_ends = float(rng.uniform(-38.0, 38.0)), clock + float(rng.uniform(0.8, 2.5)) / haste
            head.goal_pitch = float(rng.uniform(-13.0, -3.0))
        head.face(_heading(route, along) + glance)
        head.turn(fastest)
        yield along, speed
        if stops and along >= stops[0] - 1e-6:
            stops.pop(0)
            for _ in _look_around(rng, pauses.pop(0), way_round, fastest, head, haste):
                yield along, 0.0
            way_round, speed = -way_round, 0.0


def _look_around(
    rng: np.random.Generator, pause_s: float, way_round: float, fastest: float, head: _Head, haste: float
) -> Iterator[None]:
    """Turn from view to view for `pause_s` seconds, about once around if there is time."""
    sweep = min(360.0 * max(haste, 1.0), haste * float(rng.uniform(48.0, 76.0)) * pause_s)
    views = max(round(sweep / 54.0), 1)
    weights = rng.uniform(0.7, 1.3, views)
    ends = np.cumsum(weights) / weights.sum() * pause_s
    start, spent = head.yaw, 0.0
    for view in range(views):
        head.goal_yaw = start + way_round * sweep * (view + 1) / views
        head.goal_pitch = float(rng.uniform(-16.0, -5.0))
        while spent < ends[view]:
            head.turn(fastest)
            spent += _TICK_S
            yield


def _heading(route: Route, along: float) -> float:
    """Direction of the way a little ahead, in degrees."""
    end = min(along + 0.7, route.length_m)
    (x0, y0), (x1, y1) = route.at(max(end - 0.4, 0.0)), route.at(end)
    return math.degrees(math.atan2(y1 - y0, x1 - x0))
