"""A stream from a recipe: the house, the walk through it, the needles in it; then its frames and its truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.furnish import furnish
from ssm_sense.data.world.house import House, plan_house
from ssm_sense.data.world.names import NEEDLE, random_stream, split_index
from ssm_sense.data.world.needle import NEEDLE_ID, Appearance, hide_needles
from ssm_sense.data.world.questions import QUERIES
from ssm_sense.data.world.renderer import Picture, Renderer
from ssm_sense.data.world.truth import (
    SCHEMA,
    CountingRule,
    FrameTruth,
    NeedleTruth,
    ObjectTruth,
    RoomTruth,
    Truth,
)
from ssm_sense.data.world.walk import TICKS_PER_S, walk
from ssm_sense.errors import UserError

TASKS = ("tour", "vsr", "vsc")
RECALL_APPEARANCES = 4
_TOUR_SECONDS_PER_NEEDLE = 15.0
_TOUR_MOST_NEEDLES = 20


@dataclass(frozen=True)
class Recipe:
    """What to render. The same recipe always gives the same pixels.

    task: "vsr" shows a needle in four frames, "vsc" none, "tour" (for training) many of several kinds.
    minutes: length of the stream. fps: rendered frames per second, a divisor of 24. size: pixels a side, even.
    dwell_s: mean time in a room.
    """

    task: str
    split: str
    seed: int
    minutes: float
    fps: int = 1
    size: int = 224
    dwell_s: float = 12.0

    def __post_init__(self) -> None:
        split_index(self.split)
        if self.task not in TASKS:
            raise UserError(f"task must be one of {', '.join(TASKS)}; got {self.task!r}")
        if self.fps < 1 or TICKS_PER_S % self.fps:
            raise UserError(f"fps must divide {TICKS_PER_S}; got {self.fps}")
        if self.size < 16 or self.size % 2:
            raise UserError(f"size must be an even number of pixels, 16 or more; got {self.size}")
        if not 4 <= self.dwell_s <= 600:
            raise UserError(f"dwell must be 4 to 600 seconds; got {self.dwell_s}")
        if self.frames < 1:
            raise UserError(f"{self.minutes} minutes at {self.fps} frames/s hold no frame")
        if self.task == "vsc" and self.frames < QUERIES * self.fps:
            raise UserError(f"count asks {QUERIES} times, a second apart at least; got {self.minutes} minutes")

    @property
    def frames(self) -> int:
        """Number of frames in the stream."""
        return round(self.minutes * 60 * self.fps)


@dataclass(frozen=True)
class Stream:
    """A composed stream: where the camera is in every frame (pose, room index), and which needles appear."""

    recipe: Recipe
    house: House
    shots: tuple[tuple[Pose, int], ...]
    needles: tuple[Appearance, ...]


def compose(recipe: Recipe) -> Stream:
    """Plan the house, walk it and hide the needles; renders nothing but the search for needles' places.

    Raises UserError where a recall stream is too short to show a needle beside four different landmarks.
    """
    duration_s = recipe.frames / recipe.fps
    house = plan_house(recipe.split, recipe.seed, int(duration_s / (0.4 * recipe.dwell_s)) + 2)
    step = TICKS_PER_S // recipe.fps
    shots = list(islice(walk(house, recipe.dwell_s), 0, recipe.frames * step, step))
    if len(shots) < recipe.frames:
        raise RuntimeError(f"the walk ended after {len(shots)} of {recipe.frames} frames: too few rooms were planned")
    rng = random_stream(recipe.split, recipe.seed, NEEDLE)
    wanted = {
        "vsr": RECALL_APPEARANCES,
        "vsc": 0,
        "tour": min(int(duration_s / _TOUR_SECONDS_PER_NEEDLE), _TOUR_MOST_NEEDLES),
    }[recipe.task]
    needles = hide_needles(house, shots, wanted, rng) if wanted else ()
    if recipe.task == "vsr" and len(needles) < RECALL_APPEARANCES:
        raise UserError(
            f"recall needs {RECALL_APPEARANCES} appearances beside different landmarks; seed {recipe.seed} of "
            f"{recipe.split} allows {len(needles)} in {recipe.minutes} minutes: ask for more minutes"
        )
    return Stream(recipe, house, tuple(shots), needles)


def pictures(stream: Stream) -> Iterator[Picture]:
    """Render the stream's frames in order."""
    renderer = Renderer(stream.house, stream.recipe.size)
    needles = {appearance.frame: appearance.piece for appearance in stream.needles}
    for number, (pose, here) in enumerate(stream.shots):
        extra = (needles[number],) if number in needles else ()
        yield renderer.picture(pose, here, extra)


def truth_of(stream: Stream, visible: list[dict[int, int]], rule: CountingRule | None = None) -> Truth:
    """The truth of a stream, from what was visible in each of its frames (`Picture.visible`)."""
    recipe, rule = stream.recipe, rule or CountingRule()
    if len(visible) != len(stream.shots):
        raise ValueError(f"expected what is visible in {len(stream.shots)} frames; got {len(visible)}")
    counted, clear = {}, dict.fromkeys({i for seen in visible for i in seen}, 0)
    for number, seen in enumerate(visible):
        for item, pixels in seen.items():
            if pixels >= rule.pixels:
                clear[item] += 1
                if clear[item] == rule.frames:
                    counted[item] = number / recipe.fps
    entered = sorted({here for _, here in stream.shots})
    pieces = {p.id: p for room in entered for p in furnish(stream.house, room)}
    for room in {item // 100 for item in clear if item < NEEDLE_ID and item not in pieces}:
        pieces |= {p.id: p for p in furnish(stream.house, room) if p.id in clear}
    return Truth(
        SCHEMA,
        recipe.task,
        recipe.split,
        recipe.seed,
        recipe.fps,
        recipe.size,
        rule,
        tuple(RoomTruth(i, stream.house.rooms[i].kind) for i in entered),
        tuple(
            ObjectTruth(p.id, p.category, p.colour, p.room, p.spot.x, p.spot.y, p.spot.z, counted.get(p.id))
            for p in pieces.values()
            if p.category
        ),
        tuple(
            NeedleTruth(
                a.frame,
                a.frame / recipe.fps,
                a.piece.category,
                a.landmark.category,
                a.landmark.id,
                a.piece.room,
                visible[a.frame].get(a.piece.id, 0),
            )
            for a in stream.needles
        ),
        tuple(
            FrameTruth(number / recipe.fps, here, pose, {k: v for k, v in seen.items() if k < NEEDLE_ID})
            for number, ((pose, here), seen) in enumerate(zip(stream.shots, visible, strict=True))
        ),
        recipe.dwell_s,
    )
