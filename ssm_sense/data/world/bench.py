"""VSI-Bench's question types about a rendered stream, as far as its truth supports them: all but route planning.

Asked about are objects of which the stream shows just one of their category, and which stand on the floor, so that
names are clear and footprints are exact. Source of types and wording: arXiv 2412.14171.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ssm_sense.data.clip import FRAMES_OF_A_VIDEO, Question
from ssm_sense.data.world.crowd import crowd
from ssm_sense.data.world.furnish import Piece, furnish
from ssm_sense.data.world.house import House, plan_house
from ssm_sense.data.world.names import COUNTABLE
from ssm_sense.data.world.questions import LETTERS
from ssm_sense.data.world.truth import Truth

_CLEAR_DEG = 20.0
"""Directions closer than this to a border between answers are not asked about."""
_CLEAR_M = 0.3
"""Nor are distances to the closest and the second closest that differ by less."""
_NEAREST_M = 0.3
_TRIES = 8


@dataclass(frozen=True)
class Scene:
    """What is asked about: the truth, the house that was rendered, and the pieces that are one of a kind in it."""

    truth: Truth
    house: House
    pieces: tuple[Piece, ...]


def scene_of(truth: Truth) -> Scene:
    """The house of a truth, planned and furnished again."""
    rooms = [frame.room for frame in truth.frames]
    plan = plan_house(truth.split, truth.seed, max(rooms) + 2)
    house = replace(plan, crowd=crowd(truth.controls, rooms, truth.split, truth.seed))
    seen = [item for item in truth.objects if item.counted_s is not None]
    single = {item.id for item in seen if sum(item.category == other.category for other in seen) == 1}
    entered = sorted(set(rooms))
    pieces = (p for room in entered for p in furnish(house, room) if p.id in single and p.spot.z == 0)
    return Scene(truth, house, tuple(p for p in pieces if p.category != "rug"))


def bench_questions(truth: Truth, rng: np.random.Generator) -> list[Question]:
    """One question of each type that the stream allows, asked at its end."""
    scene = scene_of(truth)
    asked = (ask(scene, rng) for ask in ASKERS)
    return [question for question in asked if question is not None]


def _question(scene: Scene, kind: str, text: str, answer: str, options: tuple[str, ...] = ()) -> Question:
    return Question(FRAMES_OF_A_VIDEO + text, answer, scene.truth.duration_s, kind, options)


def _choice(scene: Scene, kind: str, text: str, right: str, wrong: list[str], rng: np.random.Generator) -> Question:
    """A question with lettered options, the right one at a random place."""
    names = [wrong[i] for i in rng.permutation(len(wrong))]
    names.insert(int(rng.integers(len(names) + 1)), right)
    options = tuple(f"{letter}. {name}" for letter, name in zip(LETTERS, names, strict=False))
    return _question(scene, kind, text, LETTERS[names.index(right)], options)


def _counting(scene: Scene, rng: np.random.Generator) -> Question | None:
    counts = {c: len(scene.truth.counted(c, scene.truth.duration_s)) for c in COUNTABLE}
    several = [c for c, n in counts.items() if n >= 2]
    if not several:
        return None
    category = several[int(rng.integers(len(several)))]
    return _question(scene, "object_counting", f"How many {category}(s) are in this room?", str(counts[category]))


def _appearance_order(scene: Scene, rng: np.random.Generator) -> Question | None:
    first: dict[str, float] = {}
    for item in scene.truth.objects:
        if item.counted_s is not None:
            first[item.category] = min(item.counted_s, first.get(item.category, math.inf))
    by_time: dict[float, list[str]] = {}
    for category in sorted(first):
        by_time.setdefault(first[category], []).append(category)
    if len(by_time) < 4:
        return None
    times = sorted(sorted(by_time)[i] for i in rng.permutation(len(by_time))[:4])
    names = [by_time[t][int(rng.integers(len(by_time[t])))] for t in times]
    orders = {tuple(int(i) for i in rng.permutation(4)) for _ in range(24)} - {(0, 1, 2, 3)}
    wrong = [", ".join(names[i] for i in order) for order in sorted(orders)]
    listed = ", ".join(names[i] for i in rng.permutation(4))
    text = f"What will be the first-time appearance order of the following categories in the video: {listed}?"
    few = [wrong[i] for i in rng.permutation(len(wrong))[:3]]
    return _choice(scene, "obj_appearance_order", text, ", ".join(names), few, rng)


def _object_size(scene: Scene, rng: np.random.Generator) -> Question | None:
    if not scene.pieces:
        return None
    piece = scene.pieces[int(rng.integers(len(scene.pieces)))]
    longest = max(piece.model.width, piece.model.depth, piece.model.height)
    text = (
        "What is the length of the longest dimension (length, width, or height) of the "
        f"{piece.category}, measured in centimeters?"
    )
    return _question(scene, "object_size_estimation", text, str(round(100 * longest)))


def _room_size(scene: Scene, rng: np.random.Generator) -> Question:
    rooms = [scene.house.rooms[room.index] for room in scene.truth.rooms]
    area = sum((room.x1 - room.x0) * (room.y1 - room.y0) for room in rooms)
    text = (
        "What is the size of this room (in square meters)?\n"
        "If multiple rooms are shown, estimate the size of the combined space."
    )
    return _question(scene, "room_size_estimation", text, f"{area:.1f}")


def _abs_distance(scene: Scene, rng: np.random.Generator) -> Question | None:
    pairs = [(a, b) for a, b in combinations(scene.pieces, 2) if a.room == b.room and gap_m(a, b) > _NEAREST_M]
    if not pairs:
        return None
    a, b = pairs[int(rng.integers(len(pairs)))]
    text = (
        "Measuring from the closest point of each object, what is the distance between the "
        f"{a.category} and the {b.category} (in meters)?"
    )
    return _question(scene, "object_abs_distance", text, f"{gap_m(a, b):.1f}")


def _rel_distance(scene: Scene, rng: np.random.Generator) -> Question | None:
    for i in np.repeat(rng.permutation(len(scene.pieces)), _TRIES):
        anchor = scene.pieces[int(i)]
        others = [p for p in scene.pieces if p.room == anchor.room and p is not anchor]
        if len(others) < 4:
            continue
        four = sorted((others[int(j)] for j in rng.permutation(len(others))[:4]), key=lambda p: gap_m(anchor, p))
        if gap_m(anchor, four[1]) - gap_m(anchor, four[0]) < _CLEAR_M:
            continue
        listed = ", ".join(four[int(j)].category for j in rng.permutation(4))
        text = (
            f"Measuring from the closest point of each object, which of these objects ({listed}) "
            f"is the closest to the {anchor.category}?"
        )
        wrong = [p.category for p in four[1:]]
        return _choice(scene, "object_rel_distance", text, four[0].category, wrong, rng)
    return None


_DIRECTIONS: dict[str, tuple[str, tuple[float, ...], tuple[str, ...]]] = {
    "easy": (
        "is the {c} to the left or the right of the {b}?",
        (-180.0, 0.0, 180.0),
        ("right", "left"),
    ),
    "medium": (
        "is the {c} to my left, right, or back?\n"
        "An object is to my back if I would have to turn at least 135 degrees in order to face it.",
        (-180.0, -135.0, 0.0, 135.0, 180.0),
        ("back", "right", "left", "back"),
    ),
    "hard": (
        "is the {c} to my front-left, front-right, back-left, or back-right?\n"
        "The directions refer to the quadrants of a Cartesian plane (if I am standing at the origin and facing "
        "along the positive y-axis).",
        (-180.0, -90.0, 0.0, 90.0, 180.0),
        ("back-right", "front-right", "front-left", "back-left"),
    ),
}
"""Of each level: the end of its question, borders in degrees to the left of where one faces, answers between them."""


def _rel_direction(level: str) -> "Asker":
    text, borders, answers = _DIRECTIONS[level]

    def ask(scene: Scene, rng: np.random.Generator) -> Question | None:
        rooms = sorted({piece.room for piece in scene.pieces})
        for room in (rooms[int(i)] for i in rng.permutation(len(rooms)) for _ in range(_TRIES)):
            here = [piece for piece in scene.pieces if piece.room == room]
            if len(here) < 3:
                continue
            a, b, c = (here[int(i)] for i in rng.permutation(len(here))[:3])
            turn = turn_deg(a, b, c)
            # 180 degrees is a border only where the answers on its two sides differ.
            near = [x for x in borders if abs(x) < 180 or answers[0] != answers[-1]]
            if min(min(abs(turn - x), 360 - abs(turn - x)) for x in near) < _CLEAR_DEG:
                continue
            right = next(
                name for name, low, high in zip(answers, borders, borders[1:], strict=False) if low <= turn <= high
            )
            start = f"If I am standing by the {a.category} and facing the {b.category}, "
            wrong = sorted(set(answers) - {right})
            asked = start + text.format(b=b.category, c=c.category)
            return _choice(scene, f"object_rel_direction_{level}", asked, right, wrong, rng)
        return None

    return ask


Asker = Callable[[Scene, np.random.Generator], Question | None]
ASKERS: tuple[Asker, ...] = (
    _counting,
    _abs_distance,
    _object_size,
    _room_size,
    _rel_distance,
    *(_rel_direction(level) for level in _DIRECTIONS),
    _appearance_order,
)


def gap_m(a: Piece, b: Piece) -> float:
    """Metres between the footprints of two pieces."""
    dx, dy = (max(a.spot.low[k] - b.spot.high[k], b.spot.low[k] - a.spot.high[k], 0.0) for k in (0, 1))
    return math.hypot(dx, dy)


def turn_deg(a: Piece, b: Piece, c: Piece) -> float:
    """How far one turns to the left, who stands at `a` and faces `b`, to face `c`: -180 to 180 degrees."""
    faced, wanted = (math.atan2(p.spot.y - a.spot.y, p.spot.x - a.spot.x) for p in (b, c))
    return (math.degrees(wanted - faced) + 180) % 360 - 180
