"""Streams of latents without pictures: rooms, things and facts, with exact truth. The first and cheapest rung.

An event is a visit to a room. Its F frames lie around the room's own mean, with a drift along the visit and noise, and
every kind of thing adds its code, louder the more of it stands there. A fact (needle k stands at place p) is shown in
one frame of one event. Beside them goes a wanderer, one needle that turns up at four places, one after the other.

    world = LatentWorld()
    houses = world.houses(rng, streams=32)
    walk = world.walk(rng, houses, events=40, needles=world.some_needles(rng, 8))
    walk.frames                     # (32, 40, 4, 64)
    walk.places                     # (32, 8): where each of the eight needles stood

Everything is a function of the generator handed in and of the world's seed. Only numpy is needed.
"""

from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

WANDERINGS = 4
"""Places at which the wanderer turns up."""
UNKNOWN = -1


@dataclass(frozen=True)
class Houses:
    """B houses of up to M rooms."""

    means: np.ndarray
    """(B, M, V): where a room's frames lie."""
    things: np.ndarray
    """(B, M, C): how many of each kind stand there."""
    rooms: np.ndarray
    """(B,): of them are used."""
    wandered: np.ndarray
    """(B, 4): the places at which the wanderer turns up, in order."""


class Walk(NamedTuple):
    """E events of B streams and what is true at their end."""

    frames: np.ndarray
    """(B, E, F, V) float32."""
    rooms: np.ndarray
    """(B, E): the room of each event."""
    needles: np.ndarray
    """(L,): which needles were shown, the same in all streams of a batch; each in an event of its own."""
    shown: np.ndarray
    """(B, L): the event at which each was shown."""
    places: np.ndarray
    """(B, L): where each stood."""
    wanderer: np.ndarray
    """(B, 4): the places of the wanderer so far, in order; UNKNOWN where it has not yet been."""
    latest: np.ndarray
    """(B,): the place of the newest of all facts, the wanderer's included; UNKNOWN without any."""
    visited: np.ndarray
    """(B, M) bool: rooms seen so far."""

    def counts(self, houses: Houses) -> np.ndarray:
        """(B, C): different things seen so far, each room's counted once."""
        return (houses.things * self.visited[:, :, None]).sum(1)


class LatentWorld:
    """What all streams have in common: the codes of needles, places, kinds of room and kinds of thing.

    Args:
        width: V.
        frames: F of an event.
        event_s: how long an event lasts, in seconds.
        needles, places: sizes of the closed vocabularies.
        strange: of the needles, the last so many, which are shown only where they are asked for: never in training.
        kinds: of rooms.
        categories: C, kinds of things that are counted.
        rooms: fewest and most different rooms of a house; every visit but the first ones is a return to one of them.
        densities: lowest and highest mean number of things of a kind in a room. Each stream draws its own for each
            kind, uniform in the logarithm, so that a guess of the average scores little.
        most: things of a kind in a house are cut to so many.
        loudness: length of a fact's codes; a room's mean has 1.
        drift, noise: lengths of a visit's drift and of a frame's noise.
        seed: of the codes.
        decoys: share of events in one frame of which something is seen that is as loud as a fact, looks like nothing
            else and is never asked about.

    Raises ValueError for a size, a share, rooms or densities that cannot be.
    """

    def __init__(
        self,
        width: int = 64,
        frames: int = 4,
        event_s: float = 2.0,
        needles: int = 256,
        places: int = 16,
        kinds: int = 8,
        categories: int = 4,
        rooms: tuple[int, int] = (4, 16),
        densities: tuple[float, float] = (0.05, 2.0),
        most: int = 31,
        loudness: float = 2.0,
        drift: float = 0.3,
        noise: float = 0.3,
        seed: int = 0,
        strange: int = 0,
        decoys: float = 0.0,
    ) -> None:
        if not 0 <= strange < needles:
            raise ValueError(f"strange: expected 0 to {needles - 1}, fewer than the needles, got {strange}")
        sizes = {"width": width, "frames": frames, "needles": needles, "kinds": kinds, "categories": categories}
        for name, size, least in (*((name, size, 1) for name, size in sizes.items()), ("places", places, WANDERINGS)):
            if size < least:
                raise ValueError(f"{name}: expected {least} or more, got {size}")
        if not 2 <= rooms[0] <= rooms[1]:
            raise ValueError(f"rooms: expected two or more, the fewest first, got {rooms}")
        if not 0 < densities[0] <= densities[1]:
            raise ValueError(f"densities: expected more than 0, the lowest first, got {densities}")
        self.width, self.frames, self.event_s = width, frames, event_s
        self.needles, self.places, self.categories, self.strange = needles, places, categories, strange
        self.rooms, self.densities, self.most = tuple(rooms), tuple(densities), most
        self.loudness, self.drift, self.noise = loudness, drift, noise
        self.decoys = _share(decoys)
        rng = np.random.default_rng(seed)
        self.needle_codes = _codes(rng, needles + 1, width)
        """(K + 1, V); the last is the wanderer's."""
        self.place_codes = _codes(rng, places, width)
        self.kind_codes = _codes(rng, kinds, width)
        self.thing_codes = _codes(rng, categories, width)

    @property
    def wanderer(self) -> int:
        """The wanderer's number among the needles' codes."""
        return self.needles

    def strangely(self) -> "LatentWorld":
        """The same world, of whose rooms a visit sees twice as much drift and noise."""
        other = copy(self)
        other.drift, other.noise = 2 * self.drift, 2 * self.noise
        return other

    def with_decoys(self, share: float) -> "LatentWorld":
        """The same world with decoys in so many of its events. Raises ValueError for no share."""
        other = copy(self)
        other.decoys = _share(share)
        return other

    def some_needles(self, rng: np.random.Generator, facts: int, strange: bool = False) -> np.ndarray:
        """(L,) different needles, of the strange ones or of the others. Raises ValueError for more than there are."""
        first, number = (self.needles - self.strange, self.strange) if strange else (0, self.needles - self.strange)
        if not 0 <= facts <= number:
            raise ValueError(f"facts: expected 0 to {number}, the number of such needles, got {facts}")
        return first + rng.permutation(number)[:facts]

    def houses(self, rng: np.random.Generator, streams: int) -> Houses:
        """B houses, their rooms a kind's mean and one of their own, as far from each other as from the kind's."""
        most = self.rooms[1]
        kinds = rng.integers(len(self.kind_codes), size=(streams, most))
        own = _codes(rng, streams * most, self.width).reshape(streams, most, self.width)
        low, high = np.log(self.densities[0]), np.log(self.densities[1])
        density = np.exp(rng.uniform(low, high, size=(streams, 1, self.categories)))
        things = rng.poisson(np.broadcast_to(density, (streams, most, self.categories)))
        rooms = rng.integers(self.rooms[0], most + 1, size=streams)
        things[np.arange(most) >= rooms[:, None]] = 0
        # Cut to the most that can be told, room by room: what is over stands nowhere.
        things = np.diff(np.minimum(things.cumsum(1), self.most), axis=1, prepend=0)
        wandered = np.argsort(rng.random((streams, self.places)), axis=1)[:, :WANDERINGS]
        means = (self.kind_codes[kinds] + own) / np.sqrt(2)
        return Houses(means.astype(np.float32), things, rooms, wandered)

    def walk(
        self,
        rng: np.random.Generator,
        houses: Houses,
        events: int,
        needles: np.ndarray,
        wanderings: int = 0,
        after: Walk | None = None,
    ) -> Walk:
        """E events on from ``after``, the facts shown at different events drawn at random.

        needles: (L,), from `some_needles`; the truth of a continued walk tells of the new ones alone.
        wanderings: how many more of its places the wanderer turns up at.
        Raises ValueError where there are fewer events than facts, or more wanderings than places are left.
        """
        streams, facts = len(houses.means), len(needles)
        been = 0 if after is None else int((after.wanderer[0] >= 0).sum())
        if facts + wanderings > events or been + wanderings > WANDERINGS:
            raise ValueError(
                f"expected {events} facts or fewer for {events} events and {WANDERINGS - been} wanderings or fewer, "
                f"got {facts} facts and {wanderings} wanderings"
            )
        rooms = _visits(rng, houses.rooms, events, None if after is None else after.rooms[:, -1])
        frames = self._rooms_seen(rng, houses, rooms)
        when = np.argsort(rng.random((streams, events)), axis=1)[:, : facts + wanderings]
        shown, turns = when[:, :facts], np.sort(when[:, facts:], axis=1)
        places = rng.integers(self.places, size=(streams, facts))
        turned = houses.wandered[:, been : been + wanderings]
        number = np.concatenate([np.broadcast_to(needles, places.shape), np.full(turned.shape, self.wanderer)], axis=1)
        when, where = np.concatenate([shown, turns], axis=1), np.concatenate([places, turned], axis=1)
        in_frame = rng.integers(self.frames, size=when.shape)
        rows = np.arange(streams)[:, None]
        fact = self.loudness * (self.needle_codes[number] + self.place_codes[where])
        frames[rows, when, in_frame] += fact.astype(np.float32)
        if self.decoys:
            frames += self._decoys(rng, rooms.shape)
        wanderer = np.where(np.arange(WANDERINGS) < been + wanderings, houses.wandered, UNKNOWN)
        newest = None if after is None else after.latest
        if when.shape[1]:
            newest = where[np.arange(streams), when.argmax(1)]
        visited = np.zeros(houses.means.shape[:2], bool) if after is None else after.visited.copy()
        visited[rows, rooms] = True
        latest = np.full(streams, UNKNOWN) if newest is None else newest
        return Walk(frames, rooms, np.asarray(needles), shown, places, wanderer, latest, visited)

    def _rooms_seen(self, rng: np.random.Generator, houses: Houses, rooms: np.ndarray) -> np.ndarray:
        """(B, E, F, V): the frames of the visits, without facts."""
        rows = np.arange(len(rooms))[:, None]
        mean = houses.means[rows, rooms] + np.log1p(houses.things[rows, rooms]) @ self.thing_codes
        shape = (*rooms.shape, self.frames, self.width)
        scale = self.width**-0.5
        way = rng.standard_normal((*rooms.shape, 1, self.width), dtype=np.float32) * self.drift * scale
        along = np.linspace(-1, 1, self.frames, dtype=np.float32)[:, None]
        noise = rng.standard_normal(shape, dtype=np.float32) * self.noise * scale
        return (mean[:, :, None].astype(np.float32) + way * along + noise).astype(np.float32)

    def _decoys(self, rng: np.random.Generator, events: tuple[int, ...]) -> np.ndarray:
        """(B, E, F, V): two codes of their own in one frame of some events, as a fact has them, and 0 elsewhere."""
        codes = _codes(rng, 2 * int(np.prod(events)), self.width).reshape(*events, 2, self.width).sum(-2)
        shown = rng.random(events) < self.decoys
        frame = rng.integers(self.frames, size=(*events, 1)) == np.arange(self.frames)
        return (self.loudness * codes[..., None, :] * (shown[..., None] & frame)[..., None]).astype(np.float32)


def _share(decoys: float) -> float:
    if not 0 <= decoys <= 1:
        raise ValueError(f"decoys: expected a share, 0 to 1, got {decoys}")
    return decoys


def _codes(rng: np.random.Generator, number: int, width: int) -> np.ndarray:
    """(n, V) directions of length 1."""
    codes = rng.standard_normal((number, width))
    return codes / np.linalg.norm(codes, axis=1, keepdims=True)


def _visits(rng: np.random.Generator, rooms: np.ndarray, events: int, last: np.ndarray | None) -> np.ndarray:
    """(B, E): rooms drawn at random, none of them twice in a row."""
    first = rng.integers(rooms) if last is None else (last + rng.integers(1, rooms)) % rooms
    steps = rng.integers(1, np.broadcast_to(rooms, (max(events - 1, 0), len(rooms))))
    return (np.concatenate([first[None], steps]).cumsum(0) % rooms).T
