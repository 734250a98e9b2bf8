"""The closed lists of words that the world is made of, and the seeds of everything drawn in it.

Categories, colours and room kinds are the same in every split; what differs between splits is which houses,
shades (`palette`) and pattern variants (`patterns`) are drawn.
"""

import numpy as np

VERSION = 1  # of pixels and truth: raise it when the same seed begins to look different
SPLITS = ("train", "val", "test")

# What a generator of `random_stream` is for. The numbers are part of the pixels' definition.
HEIGHT, ROOM, DOOR, ROUTE, RATE, FURNITURE, SHELL, PERSON, PACE, NEEDLE, QUESTION = range(1, 12)
DECOY, ORDER, CROWD = range(12, 15)
PATTERN = 100

ROOM_KINDS = (
    "kitchen",
    "bedroom",
    "bathroom",
    "living room",
    "dining room",
    "study",
    "hallway",
    "nursery",
    "laundry room",
    "gym",
    "library",
    "garage",
    "music room",
    "workshop",
)

COUNTABLE = ("chair", "stool", "plant", "lamp", "box", "ball", "bin", "basket", "vase", "painting")

LANDMARKS = (
    "sofa",
    "armchair",
    "table",
    "desk",
    "bed",
    "crib",
    "bookshelf",
    "wardrobe",
    "dresser",
    "screen",
    "rug",
    "toilet",
    "sink",
    "bathtub",
    "stove",
    "fridge",
    "washing machine",
    "piano",
    "guitar",
    "treadmill",
    "exercise bike",
    "workbench",
    "fireplace",
)

CATEGORIES = (*COUNTABLE, *LANDMARKS, "window", "clock", "mirror")

NEEDLES = ("yellow creature", "giant duck", "blue robot", "green alien", "snowman")

COLOURS = (
    "red",
    "orange",
    "yellow",
    "green",
    "teal",
    "blue",
    "purple",
    "pink",
    "brown",
    "beige",
    "black",
    "gray",
    "white",
)

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def plural(category: str) -> str:
    """English plural of a category, needle or room kind, e.g. `box` -> `boxes`, `bookshelf` -> `bookshelves`."""
    if category.endswith("shelf"):
        return category[:-1] + "ves"
    if category.endswith(("x", "ch", "sh")):
        return category + "es"
    if category == "snowman":
        return "snowmen"
    return category + "s"


def random_stream(split: str, seed: int, *path: int) -> np.random.Generator:
    """An independent generator for one purpose and place in one world, e.g. `random_stream("train", 7, ROOM, 12)`.

    The split is part of the entropy, so no seed of one split ever repeats a house of another.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((VERSION, split_index(split), seed, *path))))


def split_index(split: str) -> int:
    """Position of `split` in `SPLITS`; ValueError for any other word."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    return SPLITS.index(split)
