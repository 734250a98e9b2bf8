"""A stream from a recipe: the house, the walk through it, the needles in it; then its frames and its truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.controls import FEWEST_FACTS, UNCHANGED, Controls
from ssm_sense.data.world.crowd import crowd
from ssm_sense.data.world.furnish import furnish
from ssm_sense.data.world.house import House, plan_house
from ssm_sense.data.world.light import Light, light_decoys, mixed
from ssm_sense.data.world.names import NEEDLE, random_stream, split_index
from ssm_sense.data.world.needle import NEEDLE_ID, Appearance, hide_needles
from ssm_sense.data.world.paste import Paster
from ssm_sense.data.world.questions import QUERIES
from ssm_sense.data.world.renderer import Picture, Renderer
from ssm_sense.data.world.script import Blend, write_script
from ssm_sense.data.world.truth import (
    SCHEMA,
    CountingRule,
    DecoyTruth,
    FrameTruth,
    NeedleTruth,
    ObjectTruth,
    RoomTruth,
    Truth,
)
from ssm_sense.data.world.walk import TICKS_PER_S
from ssm_sense.errors import UserError

TASKS = ("tour", "vsr", "vsc")
_TOUR_SECONDS_PER_NEEDLE = 15.0
_TOUR_MOST_NEEDLES = 20


@dataclass(frozen=True)
class Recipe:
    """What to render. The same recipe always gives the same pixels.

    task: "vsr" shows a needle in four frames, "vsc" none, "tour" (for training) many of several kinds.
    minutes: length of the stream. fps: rendered frames per second, a divisor of 24. size: pixels a side, even.
    dwell_s: mean time in a room. controls: what is changed on purpose.
    """

    task: str
    split: str
    seed: int
    minutes: float
    fps: int = 1
    size: int = 224
    dwell_s: float = 12.0
    controls: Controls = UNCHANGED

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
        if self.controls.facts > FEWEST_FACTS and self.task == "vsc":
            raise UserError(f"facts are for recall and tours, the tasks vsr and tour; got {self.task!r}")
        if self.controls.count_range and self.task != "vsc":
            raise UserError(f"a count range is for counting, the task vsc; got {self.task!r}")

    @property
    def frames(self) -> int:
        """Number of frames in the stream."""
        return round(self.minutes * 60 * self.fps)


@dataclass(frozen=True)
class Stream:
    """A composed stream: where the camera is in every frame (pose, room index), and which needles appear.

    blends, lights: of frames that are more than that view. decoys: what is sudden in them, but no event.
    """

    recipe: Recipe
    house: House
    shots: tuple[tuple[Pose, int], ...]
    needles: tuple[Appearance, ...]
    blends: Mapping[int, Blend] = field(default_factory=dict)
    lights: Mapping[int, Light] = field(default_factory=dict)
    decoys: tuple[DecoyTruth, ...] = ()


def compose(recipe: Recipe) -> Stream:
    """Plan the house, walk it and hide the needles; renders nothing but the search for needles' places.

    Raises UserError where a recall stream is too short to show a needle beside four different landmarks.
    """
    duration_s, controls = recipe.frames / recipe.fps, recipe.controls
    # Rooms that are cut to are seen for less than the whole of a stay, and brief ones are left out.
    planned = duration_s / (0.4 * recipe.dwell_s) * (1 if controls.transition == "walk" else 3)
    house = plan_house(recipe.split, recipe.seed, int(planned) + 2)
    script = write_script(house, controls, recipe.frames, recipe.fps, recipe.dwell_s)
    house = replace(house, crowd=crowd(controls, [here for _, here in script.shots], recipe.split, recipe.seed))
    lights: dict[int, Light] = {}
    sudden = list(script.jumps)
    if controls.decoy in ("flash", "exposure"):
        lights, sudden = light_decoys(script, controls.decoy, recipe.fps, recipe.split, recipe.seed)
    decoys = tuple(DecoyTruth(f, f / recipe.fps, controls.decoy, script.shots[f][1]) for f in sudden)
    rng = random_stream(recipe.split, recipe.seed, NEEDLE)
    wanted = {
        "vsr": controls.facts,
        "vsc": 0,
        "tour": min(int(duration_s / _TOUR_SECONDS_PER_NEEDLE), _TOUR_MOST_NEEDLES)
        if controls.facts == FEWEST_FACTS
        else controls.facts,
    }[recipe.task]
    avoid = {*script.blends, *(frame for frame, light in lights.items() if light.white)}
    needles = hide_needles(house, script.shots, wanted, rng, controls, avoid) if wanted else ()
    if recipe.task == "vsr" and len(needles) < wanted:
        raise UserError(
            f"recall needs {wanted} appearances beside different landmarks; seed {recipe.seed} of "
            f"{recipe.split} allows {len(needles)} in {recipe.minutes} minutes: ask for more minutes"
        )
    return Stream(recipe, house, script.shots, needles, script.blends, lights, decoys)


def pictures(stream: Stream) -> Iterator[Picture]:
    """Render the stream's frames in order."""
    renderer = Renderer(stream.house, stream.recipe.size)
    paster = Paster(stream.house, renderer) if stream.recipe.controls.needle == "paste" else None
    needles = {a.frame + later: a.piece for a in stream.needles for later in range(a.frames)}
    for number, (pose, here) in enumerate(stream.shots):
        piece = needles.get(number)
        if piece is None:
            picture = renderer.picture(pose, here)
        else:
            picture = paster.picture(pose, here, piece) if paster else renderer.picture(pose, here, (piece,))
        if (blend := stream.blends.get(number)) is not None:
            other = renderer.picture(blend.pose, blend.room)
            picture = replace(picture, image=mixed(picture.image, other.image, blend.part))
        if (light := stream.lights.get(number)) is not None:
            picture = replace(picture, image=light(picture.image))
        yield picture


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
        recipe.controls,
        stream.decoys,
        tuple(stream.blends),
        tuple(_shown(a, visible) for a in stream.needles) if recipe.controls.needle_frames > 1 else (),
    )


def _shown(needle: Appearance, visible: list[dict[int, int]]) -> tuple[tuple[int, int], ...]:
    """(frame, pixels) of the frames in which a needle is visible."""
    frames = range(needle.frame, min(needle.frame + needle.frames, len(visible)))
    return tuple((frame, visible[frame][needle.piece.id]) for frame in frames if needle.piece.id in visible[frame])
