"""The controls: what of a stream is changed on purpose, so that a result can be told from an artefact.

Each control changes one thing and leaves the rest of the seed's house and walk alone, as far as that can be: the same
rooms come in the same order whether one walks, cuts or fades between them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ssm_sense.data.world.names import CATEGORIES, COUNTABLE
from ssm_sense.errors import UserError

TRANSITIONS = ("walk", "cut", "fade")
DECOYS = ("none", "jump", "flash", "exposure")
REVISITS = (0, 1, 2, 5)
ORDERS = ("loop", "shuffle")
NEEDLES_AS = ("object", "paste")
NEEDLE_LOOKS = ("one", "varied")
PANS = ("slow", "natural", "fast")
FEWEST_FACTS, MOST_FACTS = 4, 128
MOST_NEEDLE_FRAMES = 240
MOST_TIMES = 8.0
MOST_COUNT = 200


@dataclass(frozen=True)
class Controls:
    """What is changed; the defaults change nothing.

    transition: how rooms follow each other: "walk" through the door, hard "cut", or cross-"fade".
    decoy: what happens inside of rooms and is no event: the camera "jump"s, a light "flash"es, the "exposure" steps.
    revisit: how often each room is seen again. revisit_order: "loop", the first tour again and again, picture for
        picture (VSC-Repeat), or "shuffle", each time by another walk and at any moment.
    needle: an "object" that stands in the room, or a picture of one, "paste"d over as many pixels as that would show.
    needle_frames: for how many frames in a row it is there.
    needle_looks: "one" that a needle has in all streams of a split, or "varied": proportions, shades and stuff of its
        own wherever it appears.
    pan: how fast the head turns.
    rate: factors on how many countable things a room holds, for equal parts of the stream; () for 1 throughout.
    count_range: least and most of the one category that a count stream is asked about, drawn log-uniformly whatever
        the length of the stream; None leaves the house its own rates.
    count_of: categories that a count stream may be asked about, one of those that it shows; () for the countable ones.
        A memory can count no better than its eyes tell things apart. With a range it is one of these that is placed,
        by default a small thing, of which a room holds many; of others fewer than the range says may find a place.
    facts: appearances of needles in a recall stream; of these, four of one needle are asked about. In a tour the most
        that there are, or with 4 as many as its length makes.

    Raises UserError for values that do not exist, or do not go together.
    """

    transition: str = "walk"
    decoy: str = "none"
    revisit: int = 0
    revisit_order: str = "loop"
    needle: str = "object"
    needle_frames: int = 1
    needle_looks: str = "one"
    pan: str = "natural"
    rate: tuple[float, ...] = ()
    count_range: tuple[int, int] | None = None
    count_of: tuple[str, ...] = ()
    facts: int = FEWEST_FACTS

    def __post_init__(self) -> None:
        for name, known in (
            ("transition", TRANSITIONS),
            ("decoy", DECOYS),
            ("revisit", REVISITS),
            ("revisit_order", ORDERS),
            ("needle", NEEDLES_AS),
            ("needle_looks", NEEDLE_LOOKS),
            ("pan", PANS),
        ):
            if getattr(self, name) not in known:
                raise UserError(f"{name} must be one of {', '.join(map(str, known))}; got {getattr(self, name)!r}")
        if not 1 <= self.needle_frames <= MOST_NEEDLE_FRAMES:
            raise UserError(f"needle_frames must be 1 to {MOST_NEEDLE_FRAMES}; got {self.needle_frames}")
        if not FEWEST_FACTS <= self.facts <= MOST_FACTS:
            raise UserError(f"facts must be {FEWEST_FACTS} to {MOST_FACTS}; got {self.facts}")
        if not all(0 <= times <= MOST_TIMES for times in self.rate):
            raise UserError(f"rate must be factors of 0 to {MOST_TIMES:g}; got {self.rate}")
        if self.count_range and not 1 <= self.count_range[0] <= self.count_range[1] <= MOST_COUNT:
            raise UserError(f"count_range must be 1 to {MOST_COUNT}, the smaller first; got {self.count_range}")
        unknown = [category for category in self.count_of if category not in CATEGORIES]
        if unknown:
            raise UserError(f"count_of must be among {', '.join(CATEGORIES)}; got {', '.join(unknown)}")
        uncountable = [category for category in self.count_of if category not in COUNTABLE]
        if uncountable and self.count_range:
            told = ", ".join(uncountable)
            raise UserError(f"count_of, with a count_range, must be among {', '.join(COUNTABLE)}; got {told}")
        if self.revisit and self.revisit_order == "shuffle" and self.transition == "walk":
            raise UserError("a shuffled order needs the transition cut or fade: rooms far apart share no door")

    @property
    def changed(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON values."""
        values = {name: value for name, value in asdict(self).items() if value != getattr(Controls, name)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def of(cls, changed: Mapping[str, Any]) -> "Controls":
        """The controls of `changed`, as read from JSON. Raises UserError for a name that is no control."""
        unknown = set(changed) - {field.name for field in fields(cls)}
        if unknown:
            raise UserError(f"expected names of controls, got {', '.join(sorted(unknown))}")
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in changed.items()}
        return cls(**values)


UNCHANGED = Controls()
