"""What makes a kitchen a kitchen: its surfaces, its furniture and the small things it collects."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """One kind of room.

    walls, floors: patterns to choose from. dado: patterns for the lower part of the walls, "" for none.
    furniture: (category, chance) in the order in which it is placed. counters: runs of kitchen cupboards at most.
    tends: how much more or less than the house's average a countable category is found here (1 where not named).
    """

    walls: tuple[str, ...]
    floors: tuple[str, ...]
    furniture: tuple[tuple[str, float], ...]
    dado: tuple[str, ...] = ("",)
    counters: int = 0
    windows: tuple[int, int] = (0, 2)
    tends: dict[str, float] = field(default_factory=dict)


_PAPER = ("stripes", "damask", "pinstripes", "plaster", "wall dots")

KINDS: dict[str, Kind] = {
    "kitchen": Kind(
        ("subway", "tiles", "plaster"),
        ("checker", "tiles", "slabs", "planks"),
        (("stove", 1.0), ("fridge", 1.0), ("sink", 0.7), ("table", 0.7), ("clock", 0.5), ("washing machine", 0.2)),
        dado=("", "tiles"),
        counters=3,
        tends={"chair": 1.3, "stool": 1.6, "lamp": 0.4, "ball": 0.3, "bin": 1.4, "painting": 0.5},
    ),
    "bedroom": Kind(
        (*_PAPER, "plaster"),
        ("planks", "carpet", "parquet"),
        (
            ("bed", 1.0),
            ("wardrobe", 0.8),
            ("dresser", 0.6),
            ("rug", 0.6),
            ("mirror", 0.4),
            ("armchair", 0.25),
            ("desk", 0.2),
        ),
        windows=(1, 2),
        tends={"lamp": 1.6, "stool": 0.6, "box": 0.7, "chair": 0.6},
    ),
    "bathroom": Kind(
        ("tiles", "subway", "plaster"),
        ("tiles", "checker", "terrazzo"),
        (("bathtub", 1.0), ("toilet", 1.0), ("sink", 1.0), ("mirror", 0.7), ("rug", 0.25)),
        dado=("tiles", "subway", ""),
        windows=(0, 1),
        tends={"chair": 0.2, "lamp": 0.2, "painting": 0.3, "ball": 0.3, "box": 0.4, "basket": 1.8, "bin": 1.5},
    ),
    "living room": Kind(
        ("stripes", "brick", "damask", "plaster", "panelling"),
        ("planks", "parquet", "carpet"),
        (
            ("sofa", 1.0),
            ("screen", 0.8),
            ("fireplace", 0.35),
            ("armchair", 0.6),
            ("rug", 0.8),
            ("bookshelf", 0.5),
            ("piano", 0.12),
        ),
        windows=(1, 2),
        tends={"plant": 1.4, "lamp": 1.5, "painting": 1.5, "vase": 1.2},
    ),
    "dining room": Kind(
        ("damask", "stripes", "wainscot", "plaster"),
        ("parquet", "planks", "slabs"),
        (("table", 1.0), ("dresser", 0.7), ("rug", 0.5), ("fireplace", 0.25), ("clock", 0.4), ("mirror", 0.3)),
        dado=("", "wainscot"),
        windows=(1, 2),
        tends={"chair": 2.0, "painting": 1.4, "vase": 1.5, "ball": 0.3, "bin": 0.4},
    ),
    "study": Kind(
        ("panelling", "plaster", "pinstripes"),
        ("planks", "parquet", "carpet"),
        (
            ("desk", 1.0),
            ("bookshelf", 0.9),
            ("armchair", 0.5),
            ("sofa", 0.2),
            ("rug", 0.5),
            ("fireplace", 0.15),
            ("clock", 0.3),
        ),
        dado=("", "wainscot"),
        windows=(0, 2),
        tends={"bin": 1.5, "lamp": 1.4, "painting": 1.2, "box": 1.1},
    ),
    "hallway": Kind(
        ("stripes", "wainscot", "plaster", "brick"),
        ("tiles", "planks", "slabs", "checker"),
        (("dresser", 0.5), ("bookshelf", 0.2), ("mirror", 0.6), ("clock", 0.4), ("rug", 0.6)),
        dado=("", "wainscot", "panelling"),
        windows=(0, 1),
        tends={"painting": 1.6, "stool": 0.7, "chair": 0.6, "plant": 0.8},
    ),
    "nursery": Kind(
        ("wall dots", "stripes", "plaster"),
        ("carpet", "planks"),
        (("crib", 1.0), ("dresser", 0.8), ("rug", 0.8), ("bookshelf", 0.4), ("armchair", 0.3), ("wardrobe", 0.3)),
        windows=(1, 2),
        tends={"ball": 2.2, "box": 1.5, "basket": 1.4, "chair": 0.7, "vase": 0.2},
    ),
    "laundry room": Kind(
        ("plaster", "tiles", "subway"),
        ("tiles", "concrete", "terrazzo"),
        (("washing machine", 1.0), ("washing machine", 0.5), ("sink", 0.7), ("wardrobe", 0.3)),
        dado=("", "tiles"),
        counters=2,
        windows=(0, 1),
        tends={"basket": 2.5, "chair": 0.3, "painting": 0.3, "box": 1.4, "vase": 0.2, "ball": 0.4},
    ),
    "gym": Kind(
        ("brick", "plaster", "concrete"),
        ("carpet", "concrete", "planks"),
        (
            ("treadmill", 1.0),
            ("exercise bike", 1.0),
            ("treadmill", 0.3),
            ("mirror", 0.8),
            ("clock", 0.5),
            ("screen", 0.35),
        ),
        windows=(0, 2),
        tends={"ball": 2.5, "stool": 1.0, "chair": 0.3, "vase": 0.1, "lamp": 0.4, "painting": 0.4},
    ),
    "library": Kind(
        ("panelling", "damask", "plaster"),
        ("parquet", "carpet", "planks"),
        (
            ("bookshelf", 1.0),
            ("bookshelf", 1.0),
            ("bookshelf", 0.8),
            ("fireplace", 0.3),
            ("table", 0.5),
            ("armchair", 0.7),
            ("sofa", 0.25),
            ("rug", 0.6),
        ),
        windows=(0, 1),
        tends={"lamp": 1.4, "chair": 1.2, "ball": 0.2, "stool": 1.2, "basket": 0.4},
    ),
    "garage": Kind(
        ("concrete", "brick"),
        ("concrete",),
        (("workbench", 0.8), ("exercise bike", 0.4), ("fridge", 0.4), ("washing machine", 0.3), ("wardrobe", 0.3)),
        windows=(0, 1),
        tends={"box": 2.8, "bin": 1.8, "ball": 1.4, "painting": 0.1, "vase": 0.1, "chair": 0.4, "lamp": 0.3},
    ),
    "music room": Kind(
        ("panelling", "damask", "pinstripes", "plaster"),
        ("parquet", "planks", "carpet"),
        (("piano", 1.0), ("guitar", 1.0), ("guitar", 0.4), ("sofa", 0.4), ("rug", 0.5), ("bookshelf", 0.4)),
        windows=(0, 2),
        tends={"stool": 1.8, "chair": 1.3, "lamp": 1.3, "ball": 0.2, "basket": 0.4},
    ),
    "workshop": Kind(
        ("brick", "concrete", "panelling"),
        ("concrete", "planks"),
        (("workbench", 1.0), ("workbench", 0.5), ("desk", 0.4), ("stove", 0.15), ("wardrobe", 0.3), ("clock", 0.3)),
        windows=(0, 2),
        tends={"stool": 1.8, "box": 2.0, "bin": 1.6, "painting": 0.2, "vase": 0.2},
    ),
}
