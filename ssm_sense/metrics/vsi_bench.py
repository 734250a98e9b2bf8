"""VSI-Bench's score: the mean of eight tasks, of which relative direction is the mean of three."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ssm_sense.metrics.score import Score, official

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
