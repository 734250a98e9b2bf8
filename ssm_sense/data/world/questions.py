"""VSI-SUPER's questions about a rendered stream, worded as there: Recall (VSR) and Count (VSC).

Everything random is drawn from the generator that is given, so that a file's questions can be made again.
"""

from itertools import permutations

import numpy as np

from ssm_sense.data.clip import FRAMES_OF_A_VIDEO, Question
from ssm_sense.data.world.controls import FEWEST_FACTS
from ssm_sense.data.world.crowd import crowd_category
from ssm_sense.data.world.names import COUNTABLE, QUESTION, random_stream
from ssm_sense.data.world.truth import NeedleTruth, Truth
from ssm_sense.errors import UserError

LETTERS = "ABCD"
QUERIES = 10


def order_question(needles: list[NeedleTruth], t_s: float, rng: np.random.Generator, kind: str = "vsr") -> Question:
    """In which order did a needle appear beside its landmarks? Options are orders of the same landmarks.

    needles: appearances of one needle beside two to four different landmarks, in order of time. With four of them
    this is VSI-SUPER Recall. The letter of the answer is uniform over the options.
    """
    names = [needle.landmark for needle in needles]
    if not 2 <= len(names) <= 4 or len(set(names)) < len(names) or len({needle.needle for needle in needles}) > 1:
        raise ValueError(
            f"expected one needle beside 2 to 4 different landmarks; got {[(n.needle, n.landmark) for n in needles]}"
        )
    truth = tuple(names)
    others = [order for order in permutations(names) if order != truth]
    wrong = [others[i] for i in rng.permutation(len(others))[: min(len(others), len(LETTERS) - 1)]]
    right = int(rng.integers(len(wrong) + 1))
    orders = [*wrong[:right], truth, *wrong[right:]]
    options = tuple(
        f"{letter}. {', '.join(name.capitalize() for name in order)}"
        for letter, order in zip(LETTERS, orders, strict=False)
    )
    text = (
        f"{FRAMES_OF_A_VIDEO}Which of the following correctly represents the order in which the "
        f"{needles[0].needle} appeared in the video?"
    )
    return Question(text, LETTERS[right], t_s, kind, options)


def recall_question(truth: Truth) -> Question:
    """The VSR question of a recall stream, asked at its end: about four appearances, of one needle, drawn from all.

    Raises ValueError unless there are as many as the stream was asked for, and one needle appeared four times beside
    landmarks beside which it appeared but once.
    """
    if len(truth.needles) != truth.controls.facts:
        raise ValueError(f"a recall stream has {truth.controls.facts} appearances; got {len(truth.needles)}")
    rng = random_stream(truth.split, truth.seed, QUESTION, 0)
    asked = list(truth.needles)
    if len(asked) > FEWEST_FACTS:
        told = {name: told_apart(asked, name) for name in sorted({needle.needle for needle in asked})}
        names = [name for name, shows in told.items() if len(shows) >= FEWEST_FACTS]
        if not names:
            raise UserError(
                f"seed {truth.seed}: none of its {len(asked)} facts is a needle beside four landmarks that tell its "
                f"appearances apart, so nothing can be asked; expected another seed, more facts, or {FEWEST_FACTS}"
            )
        shows = told[names[int(rng.integers(len(names)))]]
        asked = [shows[i] for i in sorted(int(i) for i in rng.permutation(len(shows))[:FEWEST_FACTS])]
    return order_question(asked, truth.duration_s, rng)


def told_apart(needles: list[NeedleTruth], name: str) -> list[NeedleTruth]:
    """The appearances of one needle that its landmark tells apart: it was not there twice."""
    shows = [needle for needle in needles if needle.needle == name]
    return [needle for needle in shows if sum(needle.landmark == other.landmark for other in shows) == 1]


def count_text(category: str) -> str:
    """The VSC question about a category, without the line about frames, as its dataset stores it."""
    return f"How many different {category}(s) are there in the video?"


def count_question(truth: Truth, category: str, t_s: float, kind: str = "vsc") -> Question:
    """How many different objects of `category` have counted by `t_s`?"""
    answer = str(len(truth.counted(category, t_s)))
    return Question(FRAMES_OF_A_VIDEO + count_text(category), answer, t_s, kind)


def counted_category(truth: Truth) -> str:
    """The category that a count stream is asked about: a countable one (or one of those that its controls name) that is
    there, drawn from the seed.

    UserError where the stream is so short that it shows none.
    """
    if truth.controls.count_range is not None:
        return crowd_category(truth.controls, truth.split, truth.seed)
    present = [c for c in truth.controls.count_of or COUNTABLE if truth.counted(c, truth.duration_s)]
    if not present:
        raise UserError(f"none of the objects to be counted is seen in the {truth.duration_s:g} s of seed {truth.seed}")
    return present[int(random_stream(truth.split, truth.seed, QUESTION, 1).integers(len(present)))]


def query_times(truth: Truth) -> tuple[int, ...]:
    """The ten whole seconds at which streaming VSC asks, evenly spread, the last one at the last frame."""
    last = int(truth.duration_s) - 1
    if last + 1 < QUERIES:
        raise ValueError(f"streaming VSC asks {QUERIES} times and needs as many seconds; got {truth.duration_s:g}")
    return tuple(round(last * (k + 1) / QUERIES) for k in range(QUERIES))


def streaming_questions(truth: Truth, category: str) -> tuple[Question, ...]:
    """The VSC question at each of the query times, of kind "vsc-streaming"."""
    return tuple(count_question(truth, category, float(t), "vsc-streaming") for t in query_times(truth))


def questions(truth: Truth) -> tuple[Question, ...]:
    """The benchmark's questions for a stream of its task, in order of time; a tour has none (see `mixture`)."""
    if truth.task == "vsr":
        return (recall_question(truth),)
    if truth.task == "vsc":
        category = counted_category(truth)
        return (*streaming_questions(truth, category), count_question(truth, category, truth.duration_s))
    return ()


def questions_so_far(truth: Truth, t_s: float, draws: int = 1) -> tuple[Question, ...]:
    """What a stream of its task is asked at its end, asked at `t_s` about what was shown by then.

    Recall asks about up to four appearances of one needle, as many as there are of the one seen most; fewer than two
    have no order, and then nothing is asked. draws: how often such appearances are drawn; no two questions are about
    the same ones, so that few appearances leave fewer questions than draws.
    """
    if truth.task == "vsc":
        return (count_question(truth, counted_category(truth), t_s),)
    if truth.task != "vsr":
        return ()
    shown = [needle for needle in truth.needles if needle.t_s <= t_s]
    told = {name: told_apart(shown, name) for name in sorted({needle.needle for needle in shown})}
    most = min(max(map(len, told.values()), default=0), FEWEST_FACTS)
    if most < 2:
        return ()
    names = [name for name, shows in told.items() if len(shows) >= most]
    asked: dict[tuple[float, ...], Question] = {}
    for draw in range(draws):
        also = (draw,) if draw else ()
        rng = random_stream(truth.split, truth.seed, QUESTION, 2, round(1000 * t_s), *also)
        shows = told[names[int(rng.integers(len(names)))]]
        chosen = [shows[i] for i in sorted(int(i) for i in rng.permutation(len(shows))[:most])]
        asked.setdefault(tuple(needle.t_s for needle in chosen), order_question(chosen, t_s, rng))
    return tuple(asked.values())
