"""Blind answerers: they know a training set's questions and answers, and of a stream what is asked of it and when."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from ssm_sense.data.clip import Question
from ssm_sense.data.world.truth import Truth
from ssm_sense.metrics.score import best_constant, mean_relative_accuracy, robust

CHUNK_S = 60.0
FEWEST = 3
"""With fewer of its like in the training set, a question is answered by what is known of its kind."""
_COUNTED = re.compile(r"How many different (.+)\(s\)")


@dataclass(frozen=True)
class Asked:
    """A question of a stream. slot: kind, place among the stream's questions of that kind, and the stream's seconds."""

    question: Question
    truth: Truth
    slot: tuple[str, int, float]
    seen: "SeenByMinute"

    @property
    def number(self) -> float | None:
        """The truth, where it is a number."""
        return float(self.question.answer) if self.question.answer.isdigit() else None

    @property
    def category(self) -> str | None:
        """What is counted."""
        found = _COUNTED.search(self.question.text)
        return found[1] if found else None


class SeenByMinute:
    """How many things each whole minute of a stream shows, or the stream where it is shorter; worked out once."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._counts: dict[str, list[int]] = {}

    def counts(self, category: str) -> list[int]:
        """Of a category, minute by minute."""
        if category not in self._counts:
            self._counts[category] = [
                sum(self._truth.by_id[item].category == category for item in seen) for seen in self._minutes
            ]
        return self._counts[category]

    @cached_property
    def _minutes(self) -> list[set[int]]:
        truth = self._truth
        frames = max(1, round(min(CHUNK_S, truth.duration_s) * truth.fps))
        spans = (truth.frames[i : i + frames] for i in range(0, len(truth.frames) - frames + 1, frames))
        return [{i for frame in span for i, px in frame.visible.items() if px >= truth.rule.pixels} for span in spans]


class Training:
    """What answerers know: the questions of one kind in a training set, and what follows from them."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        self.asked = tuple(asked)

    @cached_property
    def most_frequent(self) -> str | None:
        """Of all answers."""
        return _mode(other.question.answer for other in self.asked)

    @cached_property
    def mean(self) -> float | None:
        """Of all numbers."""
        numbers = [other.number for other in self.asked if other.number is not None]
        return sum(numbers) / len(numbers) if numbers else None

    @cached_property
    def a_chunk(self) -> float | None:
        """Mean count of what is asked about in a minute of its stream."""
        counts = [n for other in self.asked if other.category for n in other.seen.counts(other.category)]
        return sum(counts) / len(counts) if counts else None

    @cached_property
    def before(self) -> Counter[tuple[str, str]]:
        """How often one thing came before another in the right order."""
        rights = (_option(other.question, other.question.answer) for other in self.asked if other.question.options)
        return Counter(pair for right in rights for pair in combinations(right, 2))

    @cached_property
    def _by_text(self) -> dict[str, list[Asked]]:
        groups: dict[str, list[Asked]] = {}
        for other in self.asked:
            groups.setdefault(other.question.text, []).append(other)
        return groups

    @cached_property
    def _best_by_text(self) -> dict[str, str | None]:
        return {text: _best(group) for text, group in self._by_text.items() if len(group) >= FEWEST}

    @cached_property
    def _best_of_all(self) -> str | None:
        return _best(self.asked)

    def best(self, text: str) -> str | None:
        """The best constant answer to a text, or to all where the text is hardly known."""
        return self._best_by_text.get(text, self._best_of_all)

    @cached_property
    def _densities(self) -> dict[str | None, float]:
        found: dict[str | None, float] = {}
        counted = [other for other in self.asked if other.category and other.number is not None]
        for category in (None, *{other.category for other in counted}):
            known = [o for o in counted if category in (None, o.category)]
            time_s = sum(o.question.t_s for o in known)
            if time_s and (category is None or len(known) >= FEWEST):
                found[category] = sum(o.number or 0.0 for o in known) / time_s
        return found

    def density(self, category: str) -> float | None:
        """Counts a second of a category, or of all where it is hardly known."""
        return self._densities.get(category, self._densities.get(None))

    @cached_property
    def _slots(self) -> dict[tuple[str, int, float], Counter[str]]:
        slots: dict[tuple[str, int, float], Counter[str]] = {}
        for other in self.asked:
            slots.setdefault(other.slot, Counter())[other.question.answer] += 1
        return slots

    def chance(self, asked: Asked) -> float:
        """What guessing earns: a letter at random, else the answer to another question of its slot, or of its kind."""
        if asked.question.options:
            return 1 / len(asked.question.options)
        answers = self._slots.get(asked.slot) or Counter(other.question.answer for other in self.asked)
        total = sum(answers.values())
        return sum(n * credit(answer, asked) for answer, n in answers.items()) / total if total else 0.0


Answerer = Callable[[Training, Asked], str | None]
"""An answer, or None where it has nothing to say."""


def most_frequent(train: Training, asked: Asked) -> str | None:
    """The most frequent answer of its kind, a letter where there are options."""
    return train.most_frequent


def text_only(train: Training, asked: Asked) -> str | None:
    """What the question's own words suggest: the best answer to the same text, or the likeliest order of options."""
    if not asked.question.options:
        return train.best(asked.question.text)

    def weight(letter: str) -> float:
        pairs = combinations(_option(asked.question, letter), 2)
        return sum(math.log((train.before[a, b] + 1) / (train.before[a, b] + train.before[b, a] + 2)) for a, b in pairs)

    return max((option[0] for option in asked.question.options), key=weight)


def mean_count(train: Training, asked: Asked) -> str | None:
    """The mean of all counts."""
    return None if asked.number is None else _rounded(train.mean)


def chunk_and_sum(train: Training, asked: Asked) -> str | None:
    """The mean count of a minute, for every minute so far: what is seen in two minutes counts twice."""
    if asked.category is None or train.a_chunk is None:
        return None
    return _rounded(train.a_chunk * asked.question.t_s / CHUNK_S)


def density_times_time(train: Training, asked: Asked) -> str | None:
    """As many a second as its category has on average."""
    density = train.density(asked.category) if asked.category else None
    return None if density is None else _rounded(density * asked.question.t_s)


def last_loop(train: Training, asked: Asked) -> str | None:
    """As many as a single round through the rooms would have, where they come back."""
    rounds = asked.truth.controls.revisit + 1
    density = train.density(asked.category) if asked.category and rounds > 1 else None
    return None if density is None else _rounded(density * asked.question.t_s / rounds)


ANSWERERS: dict[str, Answerer] = {
    "most frequent": most_frequent,
    "text only": text_only,
    "mean count": mean_count,
    "chunk and sum": chunk_and_sum,
    "density x time": density_times_time,
    "last loop": last_loop,
}


def credit(answer: str, asked: Asked) -> float:
    """What an answer earns, 0 to 1."""
    if asked.number is not None and answer.isdigit():
        return mean_relative_accuracy(float(answer), asked.number)
    return robust(answer, asked.question.answer, asked.question.options).value


def _option(question: Question, letter: str) -> list[str]:
    """What the option of a letter lists."""
    return next(o for o in question.options if o.startswith(letter)).partition(". ")[2].split(", ")


def _best(asked: Sequence[Asked]) -> str | None:
    numbers = [other.number for other in asked if other.number is not None]
    if numbers and len(numbers) == len(asked):
        return str(best_constant(numbers)[0])
    return _mode(other.question.answer for other in asked)


def _mode(answers: Iterable[str]) -> str | None:
    """The most frequent; of several, the first in the alphabet."""
    counts = Counter(answers)
    return min(counts, key=lambda answer: (-counts[answer], answer)) if counts else None


def _rounded(number: float | None) -> str | None:
    return None if number is None else str(max(round(number), 0))
