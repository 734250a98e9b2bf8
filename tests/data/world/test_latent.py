"""Latent streams: what is said to be true of them can be found in their frames, and nothing else can."""

import subprocess
import sys

import numpy as np
import pytest

from ssm_sense.data.world.latent import UNKNOWN, Houses, LatentWorld, Walk

WORLD = LatentWorld(noise=0.05, drift=0.05)


def draw(
    seed: int = 0, events: int = 40, facts: int = 8, wanderings: int = 4, streams: int = 6, world: LatentWorld = WORLD
) -> tuple[Houses, Walk]:
    rng = np.random.default_rng(seed)
    houses = world.houses(rng, streams)
    return houses, world.walk(rng, houses, events, world.some_needles(rng, facts), wanderings)


def residue(houses: Houses, walk: Walk) -> np.ndarray:
    """Frames less their rooms and things: (B, E, F, V)."""
    rows = np.arange(len(walk.rooms))[:, None]
    things = np.log1p(houses.things[rows, walk.rooms]) @ WORLD.thing_codes
    return walk.frames - (houses.means[rows, walk.rooms] + things)[:, :, None]


def test_the_same_seed_gives_the_same_stream_and_another_another() -> None:
    (_, one), (_, same), (_, other) = draw(3), draw(3), draw(4)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.frames, other.frames)
    assert np.array_equal(WORLD.needle_codes, LatentWorld().needle_codes)
    assert not np.array_equal(WORLD.needle_codes, LatentWorld(seed=1).needle_codes)


def test_every_fact_is_in_one_frame_of_its_event_and_in_no_other() -> None:
    houses, walk = draw(wanderings=0)
    left = residue(houses, walk)
    loud = np.linalg.norm(left, axis=-1) > 1
    assert (loud.sum((1, 2)) == 8).all()
    for b in range(len(left)):
        for needle, event, place in zip(walk.needles, walk.shown[b], walk.places[b], strict=True):
            assert loud[b, event].sum() == 1
            expected = WORLD.loudness * (WORLD.needle_codes[needle] + WORLD.place_codes[place])
            np.testing.assert_allclose(left[b, event][loud[b, event]][0], expected, atol=0.1)
    assert len(np.unique(walk.places)) == WORLD.places
    assert (np.sort(walk.shown, axis=1)[:, 1:] > np.sort(walk.shown, axis=1)[:, :-1]).all()


def test_a_decoy_is_as_loud_as_a_fact_in_one_frame_of_so_many_events() -> None:
    world = WORLD.with_decoys(0.25)
    houses, walk = draw(events=200, facts=0, wanderings=0, world=world)
    length = np.linalg.norm(residue(houses, walk), axis=-1)
    loud = length > 1
    assert set(loud.sum(2).ravel().tolist()) == {0, 1}
    assert loud.any(2).mean() == pytest.approx(0.25, abs=0.04)
    facts = np.linalg.norm(residue(*draw(wanderings=0)), axis=-1)
    assert length[loud].mean() == pytest.approx(facts[facts > 1].mean(), rel=0.05)
    # All else is as it was, in a world without them too.
    plain = draw(events=200, facts=0, wanderings=0)[1]
    assert np.array_equal(walk.frames[~loud], plain.frames[~loud])
    assert np.array_equal(draw(3, world=WORLD.with_decoys(0.0))[1].frames, draw(3)[1].frames)


def test_the_wanderer_turns_up_in_order_and_the_newest_fact_is_the_newest() -> None:
    houses, walk = draw(facts=0)
    left = residue(houses, walk)
    for b, places in enumerate(walk.wanderer):
        seen = left[b][np.linalg.norm(left[b], axis=-1) > 1] / WORLD.loudness - WORLD.needle_codes[WORLD.wanderer]
        assert (seen @ WORLD.place_codes.T).argmax(1).tolist() == places.tolist()
        assert len(set(places.tolist())) == 4
    assert np.array_equal(walk.latest, walk.wanderer[:, -1])
    assert (draw(facts=0, wanderings=0)[1].latest == UNKNOWN).all()


def test_things_of_a_room_count_once_however_often_one_returns() -> None:
    houses, walk = draw(events=60)
    for b, rooms in enumerate(walk.rooms):
        assert (rooms[1:] != rooms[:-1]).all()
        assert set(rooms.tolist()) <= set(range(houses.rooms[b]))
        assert len(set(rooms.tolist())) < len(rooms)
        expected = sum(houses.things[b, room] for room in set(rooms.tolist()))
        assert np.array_equal(walk.counts(houses)[b], expected)
    assert houses.things.sum(1).max() <= WORLD.most


def test_densities_differ_so_that_the_average_says_little() -> None:
    totals = WORLD.houses(np.random.default_rng(0), 2000).things.sum(1)
    low, middle, high = np.quantile(totals, [0.1, 0.5, 0.9])
    assert low <= 1 < 3 <= middle
    assert 3 * middle < high


def test_a_walk_goes_on_where_it_was() -> None:
    rng = np.random.default_rng(0)
    houses = WORLD.houses(rng, 4)
    first = WORLD.walk(rng, houses, 10, np.array([5, 6]), wanderings=1)
    second = WORLD.walk(rng, houses, 10, np.array([7]), wanderings=2, after=first)
    third = WORLD.walk(rng, houses, 3, np.array([], int), after=second)
    assert (first.wanderer == UNKNOWN).sum() == 12
    assert (second.wanderer == UNKNOWN).sum() == 4
    assert np.array_equal(third.latest, second.latest)
    assert (second.rooms[:, 0] != first.rooms[:, -1]).all()
    assert (third.visited >= second.visited).all()
    assert (second.visited >= first.visited).all()
    with pytest.raises(ValueError, match="1 wanderings or fewer, got 0 facts and 2"):
        WORLD.walk(rng, houses, 10, np.array([], int), wanderings=2, after=second)


def test_what_cannot_be_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="got 11 facts and 0 wanderings"):
        WORLD.walk(rng, WORLD.houses(rng, 2), 10, WORLD.some_needles(rng, 11))
    with pytest.raises(ValueError, match="expected 0 to 256"):
        WORLD.some_needles(rng, 257)
    with pytest.raises(ValueError, match="rooms: expected two or more"):
        LatentWorld(rooms=(1, 4))
    with pytest.raises(ValueError, match="places: expected 4 or more, got 3"):
        LatentWorld(places=3)
    with pytest.raises(ValueError, match="width: expected 1 or more, got 0"):
        LatentWorld(width=0)
    with pytest.raises(ValueError, match="decoys: expected a share, 0 to 1, got 2"):
        LatentWorld(decoys=2)
    with pytest.raises(ValueError, match="decoys: expected a share, 0 to 1, got -1"):
        WORLD.with_decoys(-1)
    with pytest.raises(ValueError, match="densities: expected more than 0"):
        LatentWorld(densities=(0.0, 1.0))


def test_it_needs_neither_torch_nor_a_renderer_nor_a_decoder() -> None:
    code = (
        "import sys, ssm_sense.data.world.latent\n"
        "print([m for m in ('torch', 'numba', 'llvmlite', 'av', 'decord') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_strange_needles_are_none_of_the_others() -> None:
    world, rng = LatentWorld(needles=40, strange=10), np.random.default_rng(0)
    assert set(world.some_needles(rng, 30)) == set(range(30))
    assert set(world.some_needles(rng, 10, strange=True)) == set(range(30, 40))
    with pytest.raises(ValueError, match="facts: expected 0 to 10"):
        world.some_needles(rng, 11, strange=True)
    with pytest.raises(ValueError, match="strange: expected 0 to 39"):
        LatentWorld(needles=40, strange=40)


def test_strange_walks_waver_twice_as_much() -> None:
    world = LatentWorld()
    scatter = []
    for kind in (world, world.strangely()):
        rng = np.random.default_rng(0)
        frames = kind.walk(rng, kind.houses(rng, 8), 20, kind.some_needles(rng, 0)).frames
        scatter.append(float((frames - frames.mean(2, keepdims=True)).std()))
    assert scatter[1] == pytest.approx(2 * scatter[0], rel=1e-3)
    assert world.noise == LatentWorld().noise
