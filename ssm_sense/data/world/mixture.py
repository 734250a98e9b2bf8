"""Training questions from easy to hard, about any moment of a stream, with single-word answers.

Easy kinds are answered by the newest frame, harder ones by the room, the hardest by the whole stream: they lead up to
VSI-SUPER's own questions, which are among them.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from ssm_sense.data.clip import FRAMES_OF_A_VIDEO, Question
from ssm_sense.data.world.captions import CAPTION_WORDS
from ssm_sense.data.world.names import CATEGORIES, COLOURS, COUNTABLE, LANDMARKS, NEEDLES, ROOM_KINDS
from ssm_sense.data.world.questions import LETTERS, count_question, order_question, told_apart
from ssm_sense.data.world.truth import NeedleTruth, Truth

Asker = Callable[[Truth, int, np.random.Generator], Question | None]


def mixture(truth: Truth, t_s: float, rng: np.random.Generator) -> list[Question]:
    """One question of every kind that can be asked of `truth` at `t_s`, from easy to hard.

    Yes-or-no questions are balanced. Objects that show fewer pixels than the counting rule asks for are neither
    asked for as seen nor as unseen. Every other question begins with the line that benchmarks put before theirs, so
    that no answer hangs on it.
    """
    frame = truth.frame_at(t_s)
    asked = (ask(truth, frame, rng) for ask in ASKERS)
    return [_introduced(question, rng) for question in asked if question is not None]


def _introduced(question: Question, rng: np.random.Generator) -> Question:
    text = question.text.removeprefix(FRAMES_OF_A_VIDEO)
    return replace(question, text=FRAMES_OF_A_VIDEO + text if rng.random() < 0.5 else text)


def _at(truth: Truth, frame: int) -> float:
    return truth.frames[frame].t_s


def _visit_start(truth: Truth, frame: int) -> int:
    return max(start for start, _ in truth.visits if start <= frame)


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _choose(rng: np.random.Generator, names: Iterable[str]) -> str | None:
    options = sorted(names)
    return options[int(rng.integers(len(options)))] if options else None


def _yes_or_no(
    rng: np.random.Generator, clear: set[str], glimpsed: set[str], likely: set[str], text: str, t_s: float, kind: str
) -> Question | None:
    """yes about one of `clear`; no about a category not `glimpsed`, every other time one of the `likely` ones."""
    if rng.random() < 0.5:
        category, answer = _choose(rng, clear), "yes"
    else:
        absent = set(CATEGORIES) - glimpsed
        category, answer = _choose(rng, (absent & likely if rng.random() < 0.5 else absent) or absent), "no"
    return Question(text.format(_article(category)), answer, t_s, kind) if category else None


def _room_now(truth: Truth, frame: int, rng: np.random.Generator) -> Question:
    return Question("Which room is this?", truth.kinds[truth.frames[frame].room], _at(truth, frame), "room_now")


def _seen(truth: Truth, frames: Iterable[int], pixels: int, room: int | None = None) -> set[str]:
    """Categories of objects (of `room`, if given) that showed at least `pixels` in one of the frames."""
    return {
        truth.by_id[item].category
        for frame in frames
        for item, seen in truth.frames[frame].visible.items()
        if seen >= pixels and (room is None or truth.by_id[item].room == room)
    }


def _visible(truth: Truth, frame: int, rng: np.random.Generator) -> Question | None:
    clear, glimpsed = _seen(truth, [frame], truth.rule.pixels), _seen(truth, [frame], 1)
    likely = _seen(truth, range(max(frame - 30, 0), frame), truth.rule.pixels)
    return _yes_or_no(rng, clear, glimpsed, likely, "Is there {} in view?", _at(truth, frame), "visible")


def _seen_here(truth: Truth, frame: int, rng: np.random.Generator) -> Question | None:
    start, room = _visit_start(truth, frame), truth.frames[frame].room
    stay = range(start, frame + 1)
    clear, glimpsed = _seen(truth, stay, truth.rule.pixels, room), _seen(truth, stay, 1)
    likely = _seen(truth, range(max(start - 40, 0), start), truth.rule.pixels)
    text = "Have you seen {} in this room so far?"
    return _yes_or_no(rng, clear, glimpsed, likely, text, _at(truth, frame), "seen_here")


def _count_here(truth: Truth, frame: int, rng: np.random.Generator) -> Question:
    t_s, room = _at(truth, frame), truth.frames[frame].room
    counts = {c: sum(item.room == room for item in truth.counted(c, t_s)) for c in COUNTABLE}
    category = _some_or_none(rng, counts)
    text = f"How many different {category}(s) are in this room so far?"
    return Question(text, str(counts[category]), t_s, "count_here")


def _some_or_none(rng: np.random.Generator, counts: dict[str, int]) -> str:
    """A category: mostly one of which there are some."""
    some = [c for c, n in counts.items() if n]
    none = [c for c, n in counts.items() if not n]
    pool = some if some and (rng.random() < 0.8 or not none) else none
    return pool[int(rng.integers(len(pool)))]


def _count_so_far(truth: Truth, frame: int, rng: np.random.Generator) -> Question:
    t_s = _at(truth, frame)
    category = _some_or_none(rng, {c: len(truth.counted(c, t_s)) for c in COUNTABLE})
    return count_question(truth, category, t_s, "count_so_far")


def _past_needles(truth: Truth, frame: int) -> list[NeedleTruth]:
    return [needle for needle in truth.needles if needle.frame <= frame]


def _needle_where(truth: Truth, frame: int, rng: np.random.Generator) -> Question | None:
    past = _past_needles(truth, frame)
    if not past:
        return None
    t_s = _at(truth, frame)
    now = [needle for needle in past if needle.frame == frame]
    if now and rng.random() < 0.7:
        return Question(f"Beside which object is the {now[0].needle} now?", now[0].landmark, t_s, "needle_where")
    name = _choose(rng, {needle.needle for needle in past})
    last = [needle for needle in past if needle.needle == name][-1]
    if rng.random() < 0.5:
        return Question(f"In which room did the {name} appear last?", truth.kinds[last.room], t_s, "needle_where")
    return Question(f"Beside which object did the {name} appear last?", last.landmark, t_s, "needle_where")


def _order(truth: Truth, frame: int, rng: np.random.Generator) -> Question | None:
    past, t_s = _past_needles(truth, frame), _at(truth, frame)
    told = {name: told_apart(past, name) for name in {needle.needle for needle in past}}
    name = _choose(rng, {name for name, shows in told.items() if len(shows) >= 2})
    if name is None:
        return None
    shows = told[name]
    count = int(rng.integers(2, min(len(shows), 4) + 1))
    picked = [shows[i] for i in sorted(int(i) for i in rng.permutation(len(shows))[:count])]
    if count == 2 and rng.random() < 0.5:
        first, second = (picked[i].landmark for i in rng.permutation(2))
        text = f"Beside which did the {name} appear first, the {first} or the {second}?"
        return Question(text, picked[0].landmark, t_s, "order")
    return order_question(picked, t_s, rng, kind="order" if count < 4 else "vsr")


def _rooms_so_far(truth: Truth, frame: int, rng: np.random.Generator) -> Question | None:
    past = [room for start, room in truth.visits if start <= frame]
    if rng.random() < 0.3 and len(set(past)) <= 99:
        return Question("How many rooms have we seen so far?", str(len(set(past))), _at(truth, frame), "rooms_so_far")
    if len(past) < 2:
        return None
    return Question("Which room were we in before this one?", truth.kinds[past[-2]], _at(truth, frame), "rooms_so_far")


ASKERS: tuple[Asker, ...] = (
    _room_now,
    _visible,
    _seen_here,
    _count_here,
    _rooms_so_far,
    _needle_where,
    _order,
    _count_so_far,
)

KINDS = (
    "room_now",
    "visible",
    "seen_here",
    "count_here",
    "rooms_so_far",
    "needle_where",
    "order",
    "vsr",
    "count_so_far",
)

_PHRASES = (
    "Which room is this?",
    "Is there a an in view?",
    "Have you seen a an in this room so far?",
    "How many different (s) are in this room so far?",
    "How many different (s) are there in the video?",
    "These are frames of a video.",
    "How many rooms have we seen so far?",
    "Which room were we in before this one?",
    "Beside which object is the now?",
    "In which room did the appear last?",
    "Beside which object did the appear last?",
    "Beside which did the appear first, the or the?",
    "Which of the following correctly represents the order in which the appeared in the video?",
    "Options:",
    "Answer with the option's letter from the given choices directly.",
    "Please answer the question using a single word or phrase.",
    "yes no",
)


def vocabulary() -> list[str]:
    """Every word that a question, option, answer or caption can hold: lower case, sorted.

    Letters A to D (in lower case), punctuation marks and the numbers 0 to 99 are entries of their own.
    """
    texts = (*_PHRASES, *CAPTION_WORDS, *CATEGORIES, *LANDMARKS, *NEEDLES, *ROOM_KINDS, *COLOURS, *LETTERS)
    words = {word for text in texts for word in split_words(text)}
    return sorted(words | {str(number) for number in range(100)})


def split_words(text: str) -> list[str]:
    """Lower-case words, whole numbers and single punctuation marks of a text, in order."""
    out: list[str] = []
    for piece in text.lower().split():
        word = ""
        for letter in piece:
            if letter.isalnum():
                word += letter
                continue
            out += [word, letter] if word else [letter]
            word = ""
        out += [word] if word else []
    return out
