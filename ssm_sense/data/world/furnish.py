"""Puts furniture into a planned room: first what the kind asks for, then the countable things, at the house's rates."""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from ssm_sense.data.world.furniture.catalogue import HUNG, MAKERS, TABLETOP
from ssm_sense.data.world.furniture.leisure import monitor
from ssm_sense.data.world.furniture.model import Model
from ssm_sense.data.world.furniture.tables import counter
from ssm_sense.data.world.house import House
from ssm_sense.data.world.kinds import KINDS
from ssm_sense.data.world.layout import Layout, Spot
from ssm_sense.data.world.look import Look
from ssm_sense.data.world.names import COUNTABLE, FURNITURE, RATE, random_stream
from ssm_sense.data.world.route import room_route

IDS_PER_ROOM = 100
MOST_PER_ROOM, MOST_IN_A_CROWD = 4, 12
RATES = (0.04, 2.4)  # mean number of a countable category per room, drawn log-uniformly for each house and category
_MIDDLE_M = {"painting": 1.55, "window": 1.5, "clock": 2.0, "mirror": 1.5}


@dataclass(frozen=True)
class Piece:
    """An object in the world: its id (room * 100 + number), what it is, and where it stands.

    category: one of `names.CATEGORIES`, or "" for furniture that is not asked about.
    """

    id: int
    category: str
    colour: str
    room: int
    model: Model
    spot: Spot


@cache
def rates(split: str, seed: int) -> dict[str, float]:
    """Mean number per room of each countable category in this house."""
    rng = random_stream(split, seed, RATE)
    low, high = RATES
    return {category: round(low * (high / low) ** float(rng.random()), 4) for category in COUNTABLE}


@lru_cache(maxsize=64)
def furnish(house: House, index: int) -> tuple[Piece, ...]:
    """The furniture of room `index`; the same whether or not other rooms were furnished before."""
    kind = KINDS[house.rooms[index].kind]
    work = _Furnishing(house, index)
    for category, chance in kind.furniture:
        if work.rng.random() < chance:
            work.add(category)
    for _ in range(kind.counters):
        work.stand("", counter(work.look, work.look.between(0.9, 1.8)))
    for _ in range(int(work.rng.integers(kind.windows[0], kind.windows[1] + 1))):
        work.add("window")
    work.add_monitors()
    average, crowd = rates(house.split, house.seed), house.crowd
    if crowd and crowd.category:
        work.add_exactly(crowd.category, crowd.numbers.get(index, 0))
    most = MOST_PER_ROOM if crowd is None else MOST_IN_A_CROWD
    for category in map(str, work.rng.permutation(COUNTABLE)):
        mean = average[category] * kind.tends.get(category, 1.0) * (crowd.times.get(index, 1.0) if crowd else 1.0)
        for _ in range(min(int(work.rng.poisson(mean)), most)):
            if crowd is None or category != crowd.category:
                work.add_countable(category)
    return tuple(
        Piece(index * IDS_PER_ROOM + number, category, model.colour, index, model, spot)
        for number, (category, model, spot) in enumerate(work.placed)
    )


class _Furnishing:
    """A room being furnished: what has been placed in it so far. Pieces that find no place are left out."""

    def __init__(self, house: House, index: int) -> None:
        self.rng = random_stream(house.split, house.seed, FURNITURE, index)
        self.look = Look(self.rng, house.split)
        self.placed: list[tuple[str, Model, Spot]] = []
        self._layout = Layout(house.rooms[index], room_route(house, index).points, self.rng)
        self._used: set[int] = set()

    def add(self, category: str) -> None:
        """A piece of furniture, where its category belongs."""
        model = MAKERS[category](self.look)
        if category == "rug":
            self._put(category, model, self._layout.under_foot(model))
        elif category in HUNG:
            self._put(category, model, self._layout.hung(model, _MIDDLE_M[category]))
        elif category == "table" and (spot := self._layout.free_standing(model, tries=150)):
            self._put(category, model, spot)
        else:
            self.stand(category, model)

    def stand(self, category: str, model: Model) -> None:
        """A piece with its back to a wall; "" for one that is not asked about."""
        self._put(category, model, self._layout.against_wall(model, tries=80))

    def add_monitors(self) -> None:
        """A computer on every desk."""
        for _, model, spot in [entry for entry in self.placed if entry[0] == "desk"]:
            small = monitor(self.look)
            self._put("screen", small, _on_top(small, model, spot, 0.0))

    def add_countable(self, category: str) -> None:
        """One of the things that are counted: at a table, on top of something, on a wall or on the floor."""
        if category == "painting":
            self.add(category)
            return
        seats = [(model, spot) for name, model, spot in self.placed if name in ("table", "desk")]
        if category == "chair" and seats:
            model = MAKERS[category](self.look)
            table, spot = seats[int(self.rng.integers(len(seats)))]
            if self._put(category, model, self._layout.at_table(model, spot, table)):
                return
        tops = [n for n, (_, model, _) in enumerate(self.placed) if model.top_m > 0 and n not in self._used]
        if category in TABLETOP and tops and self.rng.random() < 0.45:
            number = tops[int(self.rng.integers(len(tops)))]
            self._used.add(number)
            _, under, spot = self.placed[number]
            model = TABLETOP[category](self.look)
            side = -1.0 if self.rng.random() < 0.5 else 1.0
            self._put(category, model, _on_top(model, under, spot, side * (under.width / 2 - model.width / 2 - 0.06)))
            return
        model = MAKERS[category](self.look)
        self._put(category, model, self._layout.free_standing(model))

    def add_exactly(self, category: str, number: int) -> None:
        """So many of a countable category, if there is a place for them."""
        before = len(self.placed)
        for _ in range(3 * number):
            if len(self.placed) - before == number:
                return
            self.add_countable(category)

    def _put(self, category: str, model: Model, spot: Spot | None) -> bool:
        if spot is not None:
            self.placed.append((category, model, spot))
        return spot is not None


def _on_top(model: Model, under: Model, spot: Spot, shift: float) -> Spot:
    """A place on the top of a piece, `shift` metres along its width, towards its back."""
    c, s = round(float(np.cos(spot.turn)), 6), round(float(np.sin(spot.turn)), 6)
    back = max(min(under.depth, 0.7) / 2 - model.depth / 2 - 0.04, 0.0)
    x, y = round(spot.x + c * shift - s * back, 3), round(spot.y + s * shift + c * back, 3)
    return Spot(x, y, under.top_m + 0.001, spot.turn, spot.low, spot.high)
