"""Credit for one answer: our scorer, and the official ones of VSI-SUPER and VSI-Bench with their faults.

A scorer is a function (prediction, truth, options) -> Score. Its name and version stand in every result row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ssm_sense.metrics.answer import parse_choice, parse_number, same_text

Scorer = Callable[[str | None, str, Sequence[str]], "Score"]
STOPPED = "stopped: "
"""How the error of a row begins that a cap cut off: it is not scored, and counts nowhere."""


@dataclass(frozen=True)
class Score:
    """What one answer earned: `correct` always, and `mra` in [0, 1] where the truth is a number."""

    correct: bool
    mra: float | None = None

    @property
    def value(self) -> float:
        """The headline number in [0, 1]: mean relative accuracy for counts, right or wrong for the rest."""
        return float(self.correct) if self.mra is None else self.mra


def mean_relative_accuracy(prediction: float | None, truth: float) -> float:
    """MRA = mean over θ in {.50, .55, …, .95} of 1[|prediction − truth| / truth ≤ 1 − θ] (VSI-Bench).

    A truth of 0 has no relative error: full credit if the prediction is 0, none otherwise. No prediction, no
    credit. The comparison is exact for whole numbers (5 against 10 counts at θ = .50, 19 against 20 at .95) and
    allows others a part in a billion, since 1 − .95 is not .05 in floating point.

    Raises ValueError for a negative or non-finite truth.
    """
    if not 0 <= truth < float("inf"):
        raise ValueError(f"expected a finite truth of 0 or more, got {truth}")
    if prediction is None:
        return 0.0
    if truth == 0:
        return float(prediction == 0)
    error = 100 * abs(prediction - truth)
    return sum(error <= (100 - theta) * truth * (1 + 1e-9) for theta in range(50, 100, 5)) / 10


def best_constant(truths: Sequence[float]) -> tuple[int, float]:
    """The whole number that, given as the answer to every question, earns the most, and the mean MRA it earns.

    It is chosen on the very truths it is scored on: what the spread of the answers alone is worth, and at least
    what any blind guess that is always the same can earn. Raises ValueError for no truths.
    """
    if not truths:
        raise ValueError("expected at least one truth")
    values, counts = np.unique(np.asarray(truths, dtype=float), return_counts=True)
    edges = np.outer(values, 1 + np.arange(-50, 51, 5) / 100).round(9)  # where some threshold begins or ends
    candidates = np.unique(np.concatenate([[0.0], np.floor(edges).ravel(), np.ceil(edges).ravel()]))
    totals = [
        sum(count * mean_relative_accuracy(candidate, truth) for truth, count in zip(values, counts, strict=True))
        for candidate in candidates
    ]
    best = int(np.argmax(totals))
    return int(candidates[best]), float(totals[best] / counts.sum())


def robust(prediction: str | None, truth: str, options: Sequence[str] = ()) -> Score:
    """Our scorer: letters, numbers and words are looked for in prose, and no answer (None) earns nothing.

    With options the chosen letter counts; without, a truth that is a number is scored by mean relative accuracy
    (and correct when met exactly), any other truth as a word or phrase. How texts are read: `metrics.answer`.
    """
    if options:
        return Score(prediction is not None and parse_choice(prediction, options) == truth.strip().upper())
    target = _number(truth)
    if target is None:
        return Score(prediction is not None and same_text(prediction, truth))
    number = None if prediction is None else parse_number(prediction)
    return Score(number == target, mean_relative_accuracy(number, target))


def official(prediction: str | None, truth: str, options: Sequence[str] = ()) -> Score:
    """VSI-SUPER's own scorer, number for number, for recall and for counts asked at the end.

    Recall: the first word before a blank, without a trailing ".", is the letter, in either case. Counts: the whole
    answer must be a number for `float`, and thresholds are compared in floating point.

    Raises what it raises: ValueError for prose, ZeroDivisionError for a truth of 0. A missing answer, which it
    never sees, raises ValueError.
    """
    if prediction is None:
        raise ValueError("the official scorer has no rule for a missing answer")
    if options:
        return Score(prediction.split(" ")[0].rstrip(".").strip().lower() == truth.lower())
    number, target = float(prediction), float(truth)
    return Score(number == target, _official_mra(abs(number - target) / target))


def official_streaming(prediction: str | None, truth: str, options: Sequence[str] = ()) -> Score:
    """The official scorer of streaming counts: as `official`, but a truth of 0 gives any number full credit."""
    if options or float(truth) != 0:
        return official(prediction, truth, options)
    if prediction is None:
        raise ValueError("the official scorer has no rule for a missing answer")
    return Score(float(prediction) == 0, _official_mra(0.0))


def official_vsi_bench(prediction: str | None, truth: str, options: Sequence[str] = ()) -> Score:
    """VSI-Bench's own scorer, number for number.

    The first word before a blank, without a trailing ".", is the answer, a letter or a number; one that is no number
    earns nothing, and is not told apart from a wrong one. Raises ZeroDivisionError for a truth of 0, as it does, and
    ValueError for a missing answer, which it never sees.
    """
    if prediction is None:
        raise ValueError("the official scorer has no rule for a missing answer")
    if options:
        return official(prediction, truth, options)
    try:
        float(first := prediction.split(" ")[0].rstrip(".").strip())
    except ValueError:
        return Score(False, 0.0)
    return official(first, truth)


def official_streaming_mra(replies: Sequence[float], truths: Sequence[float]) -> list[float]:
    """One stream's official credits, a query each; queries beyond the last reply are dropped, not marked wrong."""
    pairs = zip(replies, truths, strict=False)
    return [_official_mra(abs(reply - truth) / truth if truth else 0.0) for reply, truth in pairs]


def streaming_mra(replies: Sequence[str | None], truths: Sequence[float]) -> list[float]:
    """One stream's credits, one for every truth; a reply that is missing earns 0.

    Raises ValueError for more replies than truths.
    """
    if len(replies) > len(truths):
        raise ValueError(f"expected at most {len(truths)} replies, one a query, got {len(replies)}")
    padded = [*replies, *[None] * (len(truths) - len(replies))]
    numbers = [None if reply is None else parse_number(reply) for reply in padded]
    return [mean_relative_accuracy(n, truth) for n, truth in zip(numbers, truths, strict=True)]


SCORERS: dict[str, Scorer] = {
    "robust-2": robust,
    "official": official,
    "official-streaming": official_streaming,
    "official-vsi-bench": official_vsi_bench,
}
"""Scorers by the name that result rows carry."""


def _number(truth: str) -> float | None:
    """The truth as a number, or None for a word."""
    try:
        return float(truth)
    except ValueError:
        return None


def _official_mra(relative_error: float) -> float:
    return float((relative_error <= 1 - np.linspace(0.5, 0.95, 10)).mean())
