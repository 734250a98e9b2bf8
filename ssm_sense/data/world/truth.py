"""What is true of a rendered stream, and its JSON file.

The file is one object with the fields of `Truth`; rooms, objects, frames and needles are lists of lists in the order
of the fields of their classes (a pose is flattened into its frame; `visible` maps object id to pixels). `schema` is
raised when a field changes its meaning.
"""

import json
import os
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ssm_sense.data.clip import Event
from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.controls import UNCHANGED, Controls
from ssm_sense.errors import UserError

SCHEMA = 1


@dataclass(frozen=True)
class CountingRule:
    """An object counts from the first moment at which it has shown `pixels` or more, in a picture of 224 x 224, in
    `frames` frames (not necessarily in a row)."""

    pixels: int = 120
    frames: int = 1


@dataclass(frozen=True)
class RoomTruth:
    """A room that was entered; index is its place in the house, in the order of the walk."""

    index: int
    kind: str


@dataclass(frozen=True)
class ObjectTruth:
    """An object of an entered room, or seen from one. Position in metres; counted_s: when it counted, or None."""

    id: int
    category: str
    colour: str
    room: int
    x: float
    y: float
    z: float
    counted_s: float | None


@dataclass(frozen=True)
class FrameTruth:
    """One rendered frame: its time, the room that the camera's x and y lie in, its pose, what is visible."""

    t_s: float
    room: int
    pose: Pose
    visible: dict[int, int]


@dataclass(frozen=True)
class NeedleTruth:
    """One appearance of a needle: it stands in this frame only, beside a landmark of the room."""

    frame: int
    t_s: float
    needle: str
    landmark: str
    landmark_id: int
    room: int
    pixels: int


@dataclass(frozen=True)
class DecoyTruth:
    """Something sudden that is no event: from this frame on the camera has jumped within its room, or the exposure is
    another, or for a moment a light flashes. kind: "jump", "exposure" or "flash"."""

    frame: int
    t_s: float
    kind: str
    room: int


@dataclass(frozen=True)
class Truth:
    """Everything that is true of one stream of `len(frames)` frames at `fps`, rendered at `size` x `size` pixels.

    dwell_s: mean time in a room that the walk was asked for. controls: what else it was asked for. decoys: what is
    sudden, but no event. mixed: frames of a cross-fade; their room, pose and visible pixels are those of the picture
    that is the greater part. shown: for each needle that lasts more than a frame, (frame, pixels) of those in which
    it is visible.
    """

    schema: int
    task: str
    split: str
    seed: int
    fps: int
    size: int
    rule: CountingRule
    rooms: tuple[RoomTruth, ...]
    objects: tuple[ObjectTruth, ...]
    needles: tuple[NeedleTruth, ...]
    frames: tuple[FrameTruth, ...]
    dwell_s: float = 12.0
    controls: Controls = UNCHANGED
    decoys: tuple[DecoyTruth, ...] = ()
    mixed: tuple[int, ...] = ()
    shown: tuple[tuple[tuple[int, int], ...], ...] = ()

    @property
    def duration_s(self) -> float:
        return len(self.frames) / self.fps

    @cached_property
    def kinds(self) -> dict[int, str]:
        """Room index -> kind."""
        return {room.index: room.kind for room in self.rooms}

    @cached_property
    def by_id(self) -> dict[int, ObjectTruth]:
        return {item.id: item for item in self.objects}

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Every change of room, with the new room's kind; the first room is no event."""
        pairs = zip(self.frames, self.frames[1:], strict=False)
        return tuple(Event(now.t_s, self.kinds[now.room]) for before, now in pairs if now.room != before.room)

    @cached_property
    def visits(self) -> tuple[tuple[int, int], ...]:
        """(first frame, room index) of every stay in a room, in order."""
        starts = [0, *(i for i in range(1, len(self.frames)) if self.frames[i].room != self.frames[i - 1].room)]
        return tuple((i, self.frames[i].room) for i in starts)

    @cached_property
    def revisits(self) -> tuple[tuple[int, int], ...]:
        """Those of the visits whose room was visited before. What is seen again in them is not counted again."""
        return tuple(visit for i, visit in enumerate(self.visits) if visit[1] in {room for _, room in self.visits[:i]})

    def frame_at(self, t_s: float) -> int:
        """Index of the newest frame at `t_s`; ValueError before the first or after the end."""
        if not 0 <= t_s <= self.duration_s:
            raise ValueError(f"the stream runs from 0 to {self.duration_s} s; got {t_s}")
        return min(int(t_s * self.fps + 1e-6), len(self.frames) - 1)

    def counted(self, category: str, t_s: float) -> tuple[ObjectTruth, ...]:
        """Objects of `category` that count by `t_s` under the rule."""
        return tuple(
            item
            for item in self.objects
            if item.category == category and item.counted_s is not None and item.counted_s <= t_s + 1e-6
        )

    def save(self, path: Path) -> None:
        """Write the JSON file whole or not at all."""
        fields = {
            **{name: getattr(self, name) for name in ("schema", "task", "split", "seed", "fps", "size", "dwell_s")},
            "rule": asdict(self.rule),
            "rooms": [astuple(room) for room in self.rooms],
            "objects": [astuple(item) for item in self.objects],
            "needles": [astuple(needle) for needle in self.needles],
            "frames": [[f.t_s, f.room, *astuple(f.pose), f.visible] for f in self.frames],
        }
        # Only where they say something: a file of a stream without controls is what it was before there were any.
        asked = {
            "controls": self.controls.changed,
            "decoys": [astuple(decoy) for decoy in self.decoys],
            "mixed": self.mixed,
            "shown": self.shown,
        }
        fields |= {name: value for name, value in asked.items() if value}
        draft = path.with_name(path.name + ".part")
        draft.write_text(json.dumps(fields, separators=(",", ":")))
        os.replace(draft, path)

    @classmethod
    def load(cls, path: Path) -> "Truth":
        """Read a file written by `save`; UserError where it is missing, broken or of another schema."""
        try:
            raw = json.loads(path.read_text())
        except FileNotFoundError:
            raise UserError(f"expected a truth file at {path}; there is none") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"expected a truth file (JSON) at {path}: {error}") from None
        if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
            found = raw.get("schema") if isinstance(raw, dict) else type(raw).__name__
            raise UserError(f"expected truth schema {SCHEMA} in {path}; got {found}: render it again")
        try:
            return cls._of(raw)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(f"expected a truth file at {path}, got other fields or values: {error!r}") from error

    @classmethod
    def _of(cls, raw: dict[str, Any]) -> "Truth":
        return cls(
            raw["schema"],
            raw["task"],
            raw["split"],
            raw["seed"],
            raw["fps"],
            raw["size"],
            CountingRule(**raw["rule"]),
            tuple(RoomTruth(*room) for room in raw["rooms"]),
            tuple(ObjectTruth(*item) for item in raw["objects"]),
            tuple(NeedleTruth(*needle) for needle in raw["needles"]),
            tuple(
                FrameTruth(t_s, room, Pose(*pose), {int(k): v for k, v in visible.items()})
                for t_s, room, *pose, visible in raw["frames"]
            ),
            raw.get("dwell_s", cls.dwell_s),
            Controls.of(raw.get("controls", {})),
            tuple(DecoyTruth(*decoy) for decoy in raw.get("decoys", ())),
            tuple(raw.get("mixed", ())),
            tuple(tuple((frame, pixels) for frame, pixels in needle) for needle in raw.get("shown", ())),
        )


def events_beside(video: Path) -> tuple[Event, ...] | None:
    """The true events of a rendered video; None for a real one, which has no truth beside it."""
    truth = video.with_suffix(".json")
    return Truth.load(truth).events if truth.is_file() else None
