"""Plans are geometrically sound, lazy in length, and never shared between splits."""

from itertools import combinations

import numpy as np
import pytest

from ssm_sense.data.world.furnish import RATES, furnish, rates
from ssm_sense.data.world.furniture.catalogue import NEEDLE_MAKERS
from ssm_sense.data.world.house import WALL_M, plan_house
from ssm_sense.data.world.layout import WALK_CLEARANCE_M
from ssm_sense.data.world.look import Look
from ssm_sense.data.world.names import COLOURS, COUNTABLE, LANDMARKS, ROOM_KINDS, SPLITS, random_stream
from ssm_sense.data.world.palette import shades
from ssm_sense.data.world.route import room_route
from ssm_sense.data.world.texture.pool import pool

HOUSE = plan_house("train", 5, 60)


def test_rooms_do_not_overlap_and_doors_join_them() -> None:
    for a, b in combinations(HOUSE.rooms, 2):
        assert a.x1 < b.x0 or b.x1 < a.x0 or a.y1 < b.y0 or b.y1 < a.y0, f"rooms {a.index} and {b.index} overlap"
    for first, second in zip(HOUSE.rooms, HOUSE.rooms[1:], strict=False):
        door = next(door for door in first.doors if door.b == second.index)
        assert door in second.doors
        for room in (first, second):
            near, far = ((room.x0, room.x1), (room.y0, room.y1))[door.across]
            assert min(abs(door.at - near), abs(door.at - far)) == pytest.approx(WALL_M / 2, abs=1e-3)
            low, high = ((room.y0, room.y1), (room.x0, room.x1))[door.across]
            assert low + 0.2 < door.low < door.high < high - 0.2


def test_a_longer_house_begins_with_the_shorter_one() -> None:
    # The last room of the shorter house has no way on; the others are the same.
    assert plan_house("train", 5, 20).rooms[:19] == HOUSE.rooms[:19]


def test_every_kind_of_room_comes_up() -> None:
    assert {room.kind for room in HOUSE.rooms} == set(ROOM_KINDS)
    assert all(a.kind != b.kind for a, b in zip(HOUSE.rooms, HOUSE.rooms[1:], strict=False))


def test_room_at_a_doorway_is_the_closer_room() -> None:
    door = HOUSE.rooms[3].doors[-1]
    x, y = door.centre
    step = 0.02 if HOUSE.rooms[4].x0 > x or HOUSE.rooms[4].y0 > y else -0.02
    before, after = (x - step, y - step), (x + step, y + step)
    assert HOUSE.room_at(*before, near=3) == HOUSE.room_at(*before, near=4) == 3
    assert HOUSE.room_at(*after, near=3) == HOUSE.room_at(*after, near=4) == 4


def test_furniture_stands_free() -> None:
    for room in HOUSE.rooms[:25]:
        pieces = furnish(HOUSE, room.index)
        walk = room_route(HOUSE, room.index).points
        standing = [p for p in pieces if p.spot.z == 0 and p.category != "rug"]
        for piece in standing:
            spot = piece.spot
            assert room.x0 < spot.low[0] < spot.high[0] < room.x1
            assert room.y0 < spot.low[1] < spot.high[1] < room.y1
            off_x = np.maximum(np.maximum(spot.low[0] - walk[:, 0], walk[:, 0] - spot.high[0]), 0)
            off_y = np.maximum(np.maximum(spot.low[1] - walk[:, 1], walk[:, 1] - spot.high[1]), 0)
            assert np.hypot(off_x, off_y).min() >= WALK_CLEARANCE_M
        for a, b in combinations(standing, 2):
            tucked = {a.category, b.category} & {"table", "desk"} and "chair" in {a.category, b.category}
            apart = a.spot.high[0] < b.spot.low[0] or b.spot.high[0] < a.spot.low[0]
            apart |= a.spot.high[1] < b.spot.low[1] or b.spot.high[1] < a.spot.low[1]
            assert apart or tucked, f"{a.category} and {b.category} of room {room.index} overlap"


def test_furnishing_does_not_depend_on_order() -> None:
    first = [(p.id, p.category, p.colour, p.spot) for p in furnish(HOUSE, 7)]
    again = [(p.id, p.category, p.colour, p.spot) for p in furnish(plan_house("train", 5, 9), 7)]
    assert first == again


def test_rooms_hold_what_their_kind_promises() -> None:
    by_kind: dict[str, set[str]] = {}
    for room in HOUSE.rooms:
        by_kind.setdefault(room.kind, set()).update(p.category for p in furnish(HOUSE, room.index))
    assert "bed" in by_kind["bedroom"]
    assert {"stove", "fridge"} <= by_kind["kitchen"]
    assert {"toilet", "bathtub"} <= by_kind["bathroom"]
    assert len(set().union(*by_kind.values()) & set(LANDMARKS)) >= 18


def test_rates_of_countable_things_range_widely() -> None:
    drawn = np.array([[rates("train", seed)[c] for c in COUNTABLE] for seed in range(200)])
    assert drawn.min() < 1.3 * RATES[0]
    assert drawn.max() > RATES[1] / 1.3
    # Log-uniform: as many below the geometric mean as above it.
    assert 0.4 < (drawn < np.sqrt(RATES[0] * RATES[1])).mean() < 0.6


def test_splits_share_no_house_no_shade_and_no_pattern() -> None:
    plans = {split: {plan_house(split, seed, 3).rooms for seed in range(20)} for split in SPLITS}
    for a, b in combinations(SPLITS, 2):
        assert not plans[a] & plans[b]
        for name in COLOURS:
            assert shades(name, a)
            assert not set(shades(name, a)) & set(shades(name, b))
        same = [np.array_equal(p, q) for p in pool(a).texels for q in pool(b).texels]
        assert not any(same)


def test_splits_share_no_object() -> None:
    """Not one piece of furniture looks like one of another split: shape, patterns or shades differ."""
    made: dict[str, set[tuple[object, ...]]] = {}
    for split in SPLITS:
        house = plan_house(split, 0, 30)
        made[split] = set()
        for piece in (piece for room in house.rooms for piece in furnish(house, room.index)):
            soup = piece.model.mesh.soup()
            looks = tuple((pool(split).texels[m.pattern].tobytes(), m.first, m.second, m.third) for m in soup.materials)
            made[split].add((soup.corners.tobytes(), looks))
        assert len(made[split]) > 200
    for a, b in combinations(SPLITS, 2):
        assert not made[a] & made[b]


def test_splits_share_no_needle() -> None:
    """A needle keeps its name and colour; its shape, its size, its shades and its patterns are a split's own."""
    for name, maker in NEEDLE_MAKERS.items():
        shapes, sizes, shades_of, patterns, colours = ({split: set() for split in SPLITS} for _ in range(5))
        for split in SPLITS:
            for seed in range(12):
                model = maker(Look(random_stream(split, seed), split))
                soup = model.mesh.soup()
                shapes[split].add(soup.corners.tobytes())
                sizes[split].add((model.width, model.depth, model.height))
                main = soup.materials[np.bincount(soup.material).argmax()]
                shades_of[split].add((main.first, main.second))
                patterns[split] |= {pool(split).texels[m.pattern].tobytes() for m in soup.materials}
                colours[split].add(model.colour)
        for a, b in combinations(SPLITS, 2):
            for looks in (shapes, sizes, shades_of, patterns):
                assert not looks[a] & looks[b], name
            assert colours[a] == colours[b]


def test_doors_of_the_plan() -> None:
    with pytest.raises(ValueError, match="at least 1 room"):
        plan_house("train", 0, 0)
    with pytest.raises(ValueError, match="split must be one of train, val, test"):
        plan_house("dev", 0, 3)


def test_a_rug_that_just_fits_is_placed() -> None:
    house = plan_house("train", 100_836, 8)
    rugs = [p for room in house.rooms for p in furnish(house, room.index) if p.category == "rug"]
    assert rugs, "expected this house, in which rounding leaves a rug no room, to have one"
