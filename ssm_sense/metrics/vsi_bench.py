"""VSI-Bench's score: the mean of eight tasks, of which relative direction is the mean of three."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from ssm_sense.metrics.compare import OF_DIFFERENCES, Difference, Equivalence, swap_test, two_one_sided
from ssm_sense.metrics.interval import Estimate, by_stream_and_seed, interval, resampled_mean, stream_weights

DIRECTIONS = tuple(f"object_rel_direction_{level}" for level in ("easy", "medium", "hard"))
TASKS = (
    "object_counting",
    "object_abs_distance",
    "object_size_estimation",
    "room_size_estimation",
    "object_rel_distance",
    "object_rel_direction",
    "route_planning",
    "obj_appearance_order",
)


def bench_scores(credits: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The score of each task and "overall", from (question type, credit) of all questions.

    Levels of relative direction weigh the same, however many questions each has, and so do tasks. Tasks without a
    question are left out, and of the overall score too.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for kind, credit in credits:
        groups[kind].append(credit)
    means = {kind: sum(of) / len(of) for kind, of in groups.items()}
    levels = [means.pop(kind) for kind in DIRECTIONS if kind in means]
    if levels:
        means["object_rel_direction"] = sum(levels) / len(levels)
    found = {task: means[task] for task in TASKS if task in means}
    if found:
        found["overall"] = sum(found.values()) / len(found)
    return found


def bench_estimate(kinds: Sequence[str], credits: Sequence[float], streams: Sequence[Hashable]) -> Estimate:
    """The overall score of `bench_scores` with a 95% interval, by a bootstrap over streams.

    kinds, credits, streams: of each question its type, its credit, and the stream it is about; other types are left
    out. A sample of streams in which a type has no question leaves that type out. Below five streams there is no
    interval (nan).

    Raises ValueError where no question is of VSI-Bench's types.
    """
    overall, samples, n, n_streams = _sampled(kinds, credits, streams)
    low, high = interval(samples, n_streams, within=(0.0, 1.0))
    return Estimate(overall, low, high, n, n_streams)


def bench_difference(
    kinds: Sequence[str],
    ours: Sequence[float],
    theirs: Sequence[float],
    streams: Sequence[Hashable],
    margin: float,
    seeds: Sequence[Hashable] | None = None,
) -> tuple[Difference, Equivalence]:
    """The difference of two overall scores on the same questions, tested as in `compare`, a stream at a time.

    seeds: the training seed behind each pair, one for all by default; several are drawn as well.
    """
    differences = [mine - other for mine, other in zip(ours, theirs, strict=True)]
    overall, samples, n, n_streams = _sampled(kinds, differences, streams, seeds)
    low, high = interval(samples, n_streams, within=OF_DIFFERENCES)
    weight = _weights(kinds)
    parts: dict[Hashable, float] = defaultdict(float)
    for kind, difference, stream in zip(kinds, differences, streams, strict=True):
        parts[stream] += weight.get(kind, 0.0) * difference
    p = swap_test(np.array(list(parts.values())))
    return Difference(overall, low, high, p, n, n_streams), two_one_sided(samples, n_streams, margin)


def _weights(kinds: Sequence[str]) -> dict[str, float]:
    """What one question of each type weighs in the overall score."""
    counts = Counter(kind for kind in kinds if kind in (*TASKS, *DIRECTIONS))
    levels = sum(kind in DIRECTIONS for kind in counts)
    tasks = len(counts) - levels + (levels > 0)
    return {kind: 1 / (tasks * n * (levels if kind in DIRECTIONS else 1)) for kind, n in counts.items()}


def _sampled(
    kinds: Sequence[str],
    credits: Sequence[float],
    streams: Sequence[Hashable],
    seeds: Sequence[Hashable] | None = None,
) -> tuple[float, np.ndarray, int, int]:
    """The overall score, bootstrap samples of it, and how many questions and streams it is of."""
    asked = list(zip(kinds, credits, streams, [0] * len(kinds) if seeds is None else seeds, strict=True))
    asked = [one for one in asked if one[0] in (*TASKS, *DIRECTIONS)]
    if not asked:
        raise ValueError("expected questions of VSI-Bench's types, got none")
    kinds, credits, streams, seeds = zip(*asked, strict=True)
    overall = bench_scores(zip(kinds, credits, strict=True))["overall"]
    types = sorted(set(kinds))
    of_type = np.array([[kind == one for one in types] for kind in kinds], dtype=float)
    counts, _ = by_stream_and_seed(of_type, streams, seeds)
    sums, _ = by_stream_and_seed(of_type * np.array(credits)[:, None], streams, seeds)
    means = resampled_mean(sums, counts, stream_weights(len(sums)))
    levels = [i for i, kind in enumerate(types) if kind in DIRECTIONS]
    tasks = [means[:, i] for i, kind in enumerate(types) if kind not in DIRECTIONS]
    if levels:
        tasks.append(_mean_of_known(means[:, levels]))
    return overall, _mean_of_known(np.stack(tasks, axis=1)), len(asked), len(sums)


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """The mean of each row (n, k) over what is not nan; nan for a row of nothing else."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
