"""Captions of frames from their truth: "a kitchen with a red chair and two plants"."""

from collections import Counter

import numpy as np

from ssm_sense.data.world.names import CATEGORIES, NUMBERS, plural
from ssm_sense.data.world.truth import ObjectTruth, Truth

CAPTION_WORDS = ("a an with and", *NUMBERS, *(plural(category) for category in CATEGORIES))
_MOST_THINGS = 5


def caption(truth: Truth, frame: int, rng: np.random.Generator) -> str:
    """One caption of a frame: the room's kind and up to five of the things that are plainly seen in it.

    Things of the same category are told by colour or only counted, as the draw has it.
    """
    shot = truth.frames[frame]
    seen = [truth.by_id[item] for item, pixels in shot.visible.items() if pixels >= truth.rule.pixels]
    groups = Counter(
        (item.category, item.colour if coloured else "") for item, coloured in zip(seen, _coins(rng, seen), strict=True)
    )
    order = sorted(groups)
    chosen = [order[i] for i in rng.permutation(len(order))[:_MOST_THINGS]]
    phrases = [_phrase(category, colour, groups[category, colour]) for category, colour in chosen]
    room = truth.kinds[shot.room]
    if not phrases:
        return _with_article(room)
    listed = phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    return f"{_with_article(room)} with {listed}"


def _coins(rng: np.random.Generator, seen: list[ObjectTruth]) -> list[bool]:
    """Whether to tell the colour, the same for all things of a category."""
    told = {category: bool(rng.random() < 0.6) for category in sorted({item.category for item in seen})}
    return [told[item.category] for item in seen]


def _phrase(category: str, colour: str, count: int) -> str:
    described = f"{colour} {category}".strip()
    if count == 1:
        return _with_article(described)
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    return f"{number} {f'{colour} {plural(category)}'.strip()}"


def _with_article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
