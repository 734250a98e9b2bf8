"""Questions answered by the similarity of single frames to texts: each becomes a `Watch` of constant size.

Recall, "the order in which the X appeared", is answered as in NoSense (arXiv 2511.16655): the frames most like X,
as many as an option names places, in order of time; an option's score is the sum over i of the similarity of frame i
to "X at the option's i-th place". NoSense has nothing for the rest. Here, counting takes each time that X comes into
view, by SigLIP's own probability, for another one; of any other options the one that fits some frame best is chosen;
and an open question gets an empty answer, which scores as wrong.
"""

import re
from collections.abc import Callable, Sequence
from string import Formatter
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.memory.policy import Answer, letters
from ssm_sense.state import State
from ssm_sense.vision.siglip_text import SiglipTextTower

OBJECT_TEMPLATES = (
    "{object}",
    "a photo of {object}",
    "a picture of {object}",
    "this picture shows {object}",
    "there is {object}",
    "here we see {object}",
    "a room with {object}",
    "a photo of a room with {object} in it",
)
PLACE_TEMPLATES = (
    "{object} and {place}",
    "{place} with {object}",
    "{object} on {place}",
    "{object} near {place}",
    "a photo of {object} on {place}",
    "a picture of {object} and {place}",
    "there is {object} next to {place}",
    "here we see {place} and {object}",
)
OPTION_TEMPLATES = ("{option}", "a photo of {option}", "a picture of {option}", "here we see {option}")

_RECALL = re.compile(r"order in which (?:the |an? )?(.+?) appear", re.IGNORECASE)
_COUNT = re.compile(r"how many (?:different )?(.+?)(?:\(s\))? (?:are|were|have|did|do|can)\b", re.IGNORECASE)


class Watch(Protocol):
    """One question's view of a stream: how a state of constant size follows it and answers."""

    @property
    def texts(self) -> Tensor:
        """The embeddings of the question's texts (..., V)."""

    def initial_state(self) -> State:
        """Of a stream that has not begun."""

    def update(self, embeddings: Tensor, state: State) -> State:
        """Any number of frames on: embeddings (n, V) of unit length, in order of time."""

    def answer(self, state: State) -> Answer:
        """What the frames so far say."""


class RecallWatch:
    """Holds the frames most like an object, in order of time.

    Args:
        likeness: (V,), the object.
        places: (options, k, V), the object at each option's places.
        names: the options' letters.
    """

    def __init__(self, likeness: Tensor, places: Tensor, names: Sequence[str]) -> None:
        self.likeness, self.places, self.names = likeness, places, names

    @property
    def texts(self) -> Tensor:
        """The object, and the object at each place."""
        return torch.cat([self.likeness[None], self.places.flatten(0, 1)])

    def initial_state(self) -> State:
        """``frames`` (k, V), blank, and ``alike`` (k,), the similarity of each to the object, −∞."""
        k, width = self.places.shape[1:]
        return State({"frames": self.places.new_zeros(k, width), "alike": self.places.new_full((k,), -torch.inf)})

    def update(self, embeddings: Tensor, state: State) -> State:
        """Keep the k best of what was kept and what comes; of equals, the earliest."""
        frames = torch.cat([state["frames"], embeddings])
        alike = torch.cat([state["alike"], embeddings @ self.likeness])
        best = alike.sort(descending=True, stable=True).indices[: self.places.shape[1]].sort().values
        return State({"frames": frames[best], "alike": alike[best]})

    def answer(self, state: State) -> Answer:
        """The letter of the option with the largest sum of similarities, place by place."""
        scores = (self.places * state["frames"]).sum((1, 2))
        return Answer(self.names[int(scores.argmax())])


class CountWatch:
    """Counts how often an object came into view.

    Args:
        likeness: (V,), the object.
        shows: whether a similarity (n,) means that it is in view, (n,) bool.
    """

    def __init__(self, likeness: Tensor, shows: Callable[[Tensor], Tensor]) -> None:
        self.likeness, self.shows = likeness, shows

    @property
    def texts(self) -> Tensor:
        """The object."""
        return self.likeness[None]

    def initial_state(self) -> State:
        """``in_view``, bool, and ``count``, two scalars."""
        zero = torch.zeros((), dtype=torch.int64, device=self.likeness.device)
        return State({"in_view": zero.bool(), "count": zero})

    def update(self, embeddings: Tensor, state: State) -> State:
        """Count every frame that shows it after one that did not."""
        in_view = torch.cat([state["in_view"][None], self.shows(embeddings @ self.likeness)])
        came = (in_view[1:] & ~in_view[:-1]).sum()
        return State({"in_view": in_view[-1], "count": state["count"] + came})

    def answer(self, state: State) -> Answer:
        """The count, in digits."""
        return Answer(str(int(state["count"])))


class BestFitWatch:
    """Holds how well each option fitted the frame that it fitted best.

    Args:
        options: (options, V).
        names: the options' letters.
    """

    def __init__(self, options: Tensor, names: Sequence[str]) -> None:
        self.options, self.names = options, names

    @property
    def texts(self) -> Tensor:
        """The options."""
        return self.options

    def initial_state(self) -> State:
        """``best`` (options,), −∞."""
        return State({"best": self.options.new_full((len(self.options),), -torch.inf)})

    def update(self, embeddings: Tensor, state: State) -> State:
        """Raise each option to its best frame."""
        return State({"best": torch.cat([state["best"][None], embeddings @ self.options.T]).amax(0)})

    def answer(self, state: State) -> Answer:
        """The letter of the option that fits best."""
        return Answer(self.names[int(state["best"].argmax())])


class NoWatch:
    """Of a question that similarity cannot answer."""

    texts = torch.zeros(0)

    def initial_state(self) -> State:
        """Empty."""
        return State({})

    def update(self, embeddings: Tensor, state: State) -> State:
        """Looks away."""
        return state

    def answer(self, state: State) -> Answer:
        """Nothing, which scores as wrong."""
        return Answer("")


class SimilarityReader:
    """Turns questions into watches, their words into embeddings averaged over templates.

    Args:
        tower: embeds the texts, and the frames elsewhere; loaded.
        object_templates, place_templates, option_templates: with the fields ``{object}``, ``{object}`` and
            ``{place}``, and ``{option}``; objects and places come with their article.
        in_view: SigLIP's probability above which an object counts as in view; to be calibrated on validation data.

    Raises ValueError for no templates of a kind, one with another field or none, and a probability that is none.
    """

    def __init__(
        self,
        tower: SiglipTextTower,
        object_templates: Sequence[str] = OBJECT_TEMPLATES,
        place_templates: Sequence[str] = PLACE_TEMPLATES,
        option_templates: Sequence[str] = OPTION_TEMPLATES,
        in_view: float = 0.5,
    ) -> None:
        if not 0 < in_view < 1:
            raise ValueError(f"in_view: expected a probability in (0, 1), got {in_view}")
        _check("object_templates", object_templates, {"object"})
        _check("place_templates", place_templates, {"object", "place"})
        _check("option_templates", option_templates, {"option"})
        self.tower, self.in_view = tower, in_view
        self.object_templates, self.place_templates = object_templates, place_templates
        self.option_templates = option_templates

    def watch(self, prompt: str, options: Sequence[str] = ()) -> Watch:
        """What to look for, for a question worded as in VSI-SUPER or any other."""
        names = letters(options)
        bodies = [option[3:].strip() for option in options]
        places = [[place.strip() for place in body.split(",")] for body in bodies]
        recall, count = _RECALL.search(prompt), _COUNT.search(prompt)
        if recall and options and len({len(row) for row in places}) == 1:
            found = _with_article(recall[1])
            embedded = [
                [self._embed(self.place_templates, object=found, place=_with_article(place)) for place in row]
                for row in places
            ]
            return RecallWatch(
                self._embed(self.object_templates, object=found),
                torch.stack([torch.stack(row) for row in embedded]),
                names,
            )
        if options:
            return BestFitWatch(torch.stack([self._embed(self.option_templates, option=b) for b in bodies]), names)
        if count:
            likeness = self._embed(self.object_templates, object=_with_article(count[1]))
            return CountWatch(likeness, lambda similarity: self.tower.probability(similarity) > self.in_view)
        return NoWatch()

    def _embed(self, templates: Sequence[str], **words: str) -> Tensor:
        """The mean direction of a text's wordings, (V,) of unit length."""
        embeddings = self.tower.embed_texts([template.format(**words) for template in templates])
        return F.normalize(embeddings.mean(0), dim=-1)


def _check(name: str, templates: Sequence[str], fields: set[str]) -> None:
    """Raises ValueError unless there are templates, each with these fields and no others."""
    expected = f"{name}: expected templates with {' and '.join(f'{{{field}}}' for field in sorted(fields))}"
    if not templates:
        raise ValueError(f"{expected}, got none")
    for template in templates:
        try:
            found = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
        except ValueError:  # a brace by itself
            found = set()
        if found != fields:
            raise ValueError(f"{expected}, got {template!r}")


def _with_article(noun: str) -> str:
    """As in "a bed" and "an armchair"."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
