"""What is said of a picture: of each thing and of each kind of room, one text; and the words of the tokenizer."""

from ssm_sense.data.world.names import CATEGORIES, NEEDLES, ROOM_KINDS, plural

IMAGE_SIZE = 128
"""Pixels a side of the tiny family's pictures."""

THINGS = (*CATEGORIES, *NEEDLES)
"""All K things; the order of the columns of cells, of labels and of scores."""

WORDS = (
    *("here", "it", "near", "next", "on", "photo", "picture", "see", "shows", "to"),
    *(plural(thing) for thing in THINGS),
)
"""The tokenizer's words besides those of the world's questions and captions. Its ids depend on them."""


def statement(name: str) -> str:
    """A thing or a room in words: "a chair", "an armchair", "a living room"."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


TEXTS = tuple(statement(name) for name in (*THINGS, *ROOM_KINDS))
"""K texts of things, then those of the kinds of rooms."""
