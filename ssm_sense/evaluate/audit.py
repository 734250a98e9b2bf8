"""The blind audit of a rendered set: how far one comes who never looks.

Every answerer knows what a training set tells about answers, and of the stream only what is asked, when, and how often
rooms come back. Where one scores above chance, the set measures its own statistics instead of sight, and is refused.
"""

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ssm_sense.data.world.mixture import mixture
from ssm_sense.data.world.questions import questions
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError
from ssm_sense.evaluate.answerers import ANSWERERS, Asked, SeenByMinute, Training, credit
from ssm_sense.metrics.interval import stream_mean

MARGIN = 0.05
"""A blind answerer may be this much better than chance."""
TOUR_STOPS = 6
FOLDS = 10


@dataclass(frozen=True)
class Finding:
    """What one answerer earns on the questions of one kind, with its 95% interval over streams (nan for few).

    chance: what guessing earns: a letter at random, or the answer to another question of the same slot. verdict:
    "refused" if even the interval's lower end is above chance and margin, "unsure" if only the value is.
    """

    kind: str
    answerer: str
    value: float
    low: float
    high: float
    chance: float
    n: int
    streams: int
    verdict: str


def audit(truths: Sequence[Truth], learn: Sequence[Truth] | None = None) -> list[Finding]:
    """Every answerer on every kind of question of a set.

    learn: what answerers may learn from; None takes, for each tenth of the streams, the others. Raises ValueError
    for fewer than two streams where there is no training set.
    """
    if learn is None and len(truths) < 2:
        raise ValueError("expected at least two streams, or a training set")
    folds = min(FOLDS, len(truths)) if learn is None else 1
    own = [asked_of(truth) for truth in truths]
    lessons = None if learn is None else [asked_of(truth) for truth in learn]
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    streams: dict[tuple[str, str], list[int]] = defaultdict(list)
    chance: dict[tuple[str, str], list[float]] = defaultdict(list)
    for fold in range(folds):
        held = [i for i in range(len(truths)) if i % folds == fold]
        learnt = lessons if lessons is not None else [q for i, q in enumerate(own) if i % folds != fold]
        known = _by_kind(asked for questions in learnt for asked in questions)
        for i in held:
            for asked in own[i]:
                kind = asked.question.kind
                train = known.get(kind, Training(()))
                guess = train.chance(asked)
                for name, answerer in ANSWERERS.items():
                    answer = answerer(train, asked)
                    if answer is not None:
                        scores[kind, name].append(credit(answer, asked))
                        chance[kind, name].append(guess)
                        streams[kind, name].append(i)
    return [_finding(key, scores[key], streams[key], float(np.mean(chance[key]))) for key in scores]


def asked_of(truth: Truth) -> list[Asked]:
    """The questions of a stream's own task; for a tour, the training mixture's at some moments."""
    own, minutes = list(questions(truth)), SeenByMinute(truth)
    if not own:
        rng, last = np.random.default_rng((truth.seed, 1)), len(truth.frames) - 1
        at = [truth.frames[round(last * (k + 1) / TOUR_STOPS)].t_s for k in range(TOUR_STOPS)]
        return [
            Asked(q, truth, (q.kind, k, truth.duration_s), minutes)
            for k, t_s in enumerate(at)
            for q in mixture(truth, t_s, rng)
        ]
    seen: Counter[str] = Counter()
    out = []
    for question in own:
        out.append(Asked(question, truth, (question.kind, seen[question.kind], truth.duration_s), minutes))
        seen[question.kind] += 1
    return out


def read_truths(folder: Path) -> list[Truth]:
    """The truths of all videos below a folder, in order of path. Raises UserError where there are none."""
    paths = [path.with_suffix(".json") for path in sorted(folder.rglob("*.mp4"))]
    truths = [Truth.load(path) for path in paths if path.is_file()]
    if not truths:
        raise UserError(f"{folder}: expected rendered videos with their truth, found none")
    return truths


def refused(findings: Iterable[Finding]) -> list[Finding]:
    """Those for which the set is refused."""
    return [finding for finding in findings if finding.verdict == "refused"]


def write_audit(path: Path, findings: Sequence[Finding], forced: bool) -> None:
    """Write audit.json, whole or not at all; nan becomes null."""
    rows = [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(f).items()} for f in findings]
    text = {"margin": MARGIN, "refused": bool(refused(findings)), "forced": forced, "findings": rows}
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(text, indent=1) + "\n")
    os.replace(draft, path)


def table(findings: Sequence[Finding]) -> str:
    """The findings as lines to read, in points of 100."""
    lines = [f"{'kind':<14} {'blind answerer':<15} {'score':>6} {'95%':>13} {'chance':>7} {'n':>5}  verdict"]
    for f in findings:
        span = "-" if math.isnan(f.low) else f"{100 * f.low:.1f} to {100 * f.high:.1f}"
        score = f"{100 * f.value:>6.1f} {span:>13} {100 * f.chance:>7.1f} {f.n:>5}"
        lines.append(f"{f.kind:<14} {f.answerer:<15} {score}  {f.verdict}")
    return "\n".join(lines)


def why(finding: Finding) -> str:
    """Why a set is refused, in a line."""
    return (
        f"a blind answerer ({finding.answerer}) earns {100 * finding.value:.1f} on {finding.kind}, "
        f"where chance is {100 * finding.chance:.1f}"
    )


def _finding(key: tuple[str, str], scores: list[float], streams: list[int], chance: float) -> Finding:
    mean = stream_mean(scores, streams)
    verdict = "passed"
    if mean.value > chance + MARGIN:
        verdict = "refused" if mean.low > chance + MARGIN else "unsure"
    return Finding(*key, mean.value, mean.low, mean.high, chance, mean.n, mean.streams, verdict)


def _by_kind(asked: Iterable[Asked]) -> dict[str, Training]:
    kinds: dict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        kinds[one.question.kind].append(one)
    return {kind: Training(of) for kind, of in kinds.items()}
