"""The walk is one that a person could take."""

from itertools import islice

import numpy as np
import pytest

from ssm_sense.data.world.furnish import furnish
from ssm_sense.data.world.house import plan_house
from ssm_sense.data.world.route import room_route
from ssm_sense.data.world.walk import TICKS_PER_S, WALK_M_PER_S, walk

HOUSE = plan_house("val", 8, 40)
STEPS = list(islice(walk(HOUSE, 12.0), 240 * TICKS_PER_S))
POSES = np.array([[p.x, p.y, p.z, p.yaw, p.pitch] for p, _ in STEPS])
ROOMS = np.array([room for _, room in STEPS])


def test_speed_is_human_and_never_jumps() -> None:
    steps = np.hypot(*np.diff(POSES[:, :2], axis=0).T) * TICKS_PER_S
    assert steps.max() <= WALK_M_PER_S[1] + 0.02
    moving = steps[steps > 0.9]
    assert len(moving) > 0.1 * len(steps)
    assert WALK_M_PER_S[0] - 0.1 < np.median(moving) < WALK_M_PER_S[1]


def test_turning_is_human() -> None:
    turns = (np.diff(POSES[:, 3]) + 180) % 360 - 180
    assert np.abs(turns).max() * TICKS_PER_S < 170
    assert np.abs(np.diff(POSES[:, 4])).max() * TICKS_PER_S < 40
    assert -25 < POSES[:, 4].min() < POSES[:, 4].max() < 5
    assert np.all((POSES[:, 2] > 1.4) & (POSES[:, 2] < 1.7))


def test_every_direction_is_looked_at() -> None:
    for room in range(5):
        seen = np.unique(np.round(POSES[room == ROOMS, 3] / 30) % 12)
        assert len(seen) >= 7, f"room {room} was seen in {len(seen)} of 12 directions"


def test_the_room_is_that_of_the_position() -> None:
    for (x, y), room in zip(POSES[:, :2], ROOMS, strict=True):
        distances = [r.distance(x, y) for r in HOUSE.rooms[max(room - 1, 0) : room + 2]]
        assert HOUSE.rooms[room].distance(x, y) == min(distances)
    assert np.all(np.diff(ROOMS) >= 0)
    assert np.diff(ROOMS).max() == 1


def test_walls_are_crossed_only_in_doorways() -> None:
    for (x, y), room in zip(POSES[:, :2], ROOMS, strict=True):
        if HOUSE.rooms[room].contains(x, y, margin_m=0.15):
            continue
        offsets = [
            ((y, x)[door.across] - door.low, door.high - (y, x)[door.across]) for door in HOUSE.rooms[room].doors
        ]
        assert any(min(pair) > 0.2 for pair in offsets)


def test_the_camera_is_never_in_the_furniture() -> None:
    for room in range(12):
        here = POSES[room == ROOMS]
        for piece in furnish(HOUSE, room):
            if piece.category == "rug":
                continue
            outside_x = np.maximum(piece.spot.low[0] - here[:, 0], here[:, 0] - piece.spot.high[0])
            outside_y = np.maximum(piece.spot.low[1] - here[:, 1], here[:, 1] - piece.spot.high[1])
            assert np.maximum(outside_x, outside_y).min() > 0.2, f"{piece.category} in room {room}"


def test_stays_average_to_what_was_asked() -> None:
    for dwell_s in (8.0, 20.0):
        house = plan_house("val", 9, 80)
        rooms = np.array([room for _, room in walk(house, dwell_s)])
        stays = np.bincount(rooms)[1:-1] / TICKS_PER_S
        assert dwell_s * 0.88 < stays.mean() < dwell_s * 1.12
        assert stays.std() > 0.1 * dwell_s


def test_a_longer_walk_begins_with_the_shorter_one() -> None:
    short = list(islice(walk(plan_house("val", 8, 12), 12.0), 60 * TICKS_PER_S))
    assert short == STEPS[: len(short)]


@pytest.mark.parametrize("room", range(10))
def test_routes_join_at_the_doors(room: int) -> None:
    leaving, entering = room_route(HOUSE, room), room_route(HOUSE, room + 1)
    np.testing.assert_allclose(leaving.points[-1], entering.points[0])
    assert leaving.at(leaving.length_m) == pytest.approx(tuple(leaving.points[-1]))
    assert all(0 <= stop < leaving.length_m for stop in leaving.lookouts)
