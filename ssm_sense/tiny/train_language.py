"""Teach the tiny Qwen2 to read: `python -m ssm_sense.tiny.train_language --out DIR`.

What a pretrained language model brings to a video model, a random one lacks: to find in its context what a question
asks for, to compare, to count, to answer in the form that is asked for. This trains it on transcripts of short tours
(`sketch`): each quarter of a frame is one token, the sum of the meanings of the things in it, and the questions are
those of the training mixture, put along the way. No picture is seen, and nothing of any memory's interface: a model
that starts from these weights learns for itself what to put in front of the question. Interrupted, or stopped by
--minutes, the same command goes on where it was.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ssm_sense.data.world import mixture
from ssm_sense.language.along import nll_along
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.query import Query
from ssm_sense.tiny import folder
from ssm_sense.tiny.build import build_language
from ssm_sense.tiny.sketch import Sketch, draw_sketches, excerpt, read_sketches
from ssm_sense.tiny.statements import THINGS, statement
from ssm_sense.tiny.train_vision import learning_rate
from ssm_sense.vision import SiglipTextTower

SAVE_EVERY_S = 60.0
QUESTIONS = 5
"""At a stop, at most."""
MEASURED = 480
"""Questions a batch when the held-out tours are measured."""
MOST_NOISE = 0.04
"""Standard deviation of what is added to each feature; a thing that fills a quarter has features of about 0.09."""


class Batch(NamedTuple):
    """B transcripts of n tokens, and what is asked along them."""

    seen: Tensor
    """(B, n, Q)."""
    queries: list[Query]
    kinds: list[str]
    tokens_a_frame: int


def meanings_of(siglip: Path) -> Tensor:
    """What a SigLIP's text tower makes of each of `THINGS`, less what is common to all: unit vectors (K, V)."""
    texts = SiglipTextTower(str(siglip)).load().embed_texts([statement(thing) for thing in THINGS])
    return F.normalize(texts - texts.mean(0), dim=1)


class Transcripts:
    """Batch `step` of a run with `seed`, a function of both.

    Args:
        sketches: the tours.
        meanings: what each of `THINGS` means, unit vectors (K, Q).
        steps: of the whole run, over which excerpts grow longer.
        asked: questions a batch, about. seed: of everything drawn.
    """

    def __init__(self, sketches: Sequence[Sketch], meanings: Tensor, steps: int, asked: int, seed: int) -> None:
        self.sketches, self.meanings = sketches, meanings
        self.steps, self.asked, self.seed = steps, asked, seed

    def __call__(self, step: int) -> Batch:
        """Excerpts of one length, from a single frame, where finding is learned in minutes, to whole tours.

        A frame is four tokens, or one; noisy, as seeing is.
        """
        rng = np.random.default_rng((self.seed, step))
        longest = len(self.sketches[0].truth.frames)
        reached = min(longest, 1 + int(longest * max(0.0, 2 * step / self.steps - 0.2)))
        frames = min(reached, int(longest ** rng.uniform()) if rng.random() < 0.7 else longest)
        stops = min(frames, 3)
        size = min(len(self.sketches), max(1, self.asked // (stops * QUESTIONS)))
        firsts = rng.integers(longest - frames + 1, size=size)
        chosen = rng.choice(len(self.sketches), size, replace=False)
        cut = [excerpt(self.sketches[i], int(first), frames) for i, first in zip(chosen, firsts, strict=True)]
        queries, kinds = [], []
        for b, sketch in enumerate(cut):
            truth = sketch.truth
            for frame in sorted(int(i) for i in rng.choice(frames, stops, replace=False)):
                asked = mixture.mixture(truth, truth.frames[frame].t_s, rng)
                for i in sorted(rng.permutation(len(asked))[:QUESTIONS]):
                    queries.append(Query(b, frame, asked[i].prompt, asked[i].answer))
                    kinds.append(asked[i].kind)
        quarters = bool(rng.random() < 0.5)
        return Batch(self._tokens(cut, quarters, rng), queries, kinds, 4 if quarters else 1)

    def _tokens(self, cut: Sequence[Sketch], quarters: bool, rng: np.random.Generator) -> Tensor:
        """(B, T·4 or T, Q), of norm 1."""
        cells = torch.from_numpy(np.stack([sketch.cells for sketch in cut]))
        if not quarters:
            cells = cells.mean(2, keepdim=True)
        tokens = cells.sqrt() @ self.meanings
        noise = torch.from_numpy(rng.standard_normal(tokens.shape)).float()
        tokens = tokens + float(rng.uniform(0.0, MOST_NOISE)) * noise
        width = tokens.shape[-1]
        return F.layer_norm(tokens, (width,)).flatten(1, 2) * width**-0.5


def losses_of(language: CausalLM, batch: Batch) -> Tensor:
    """Of each question (K,), which sees the frames up to its moment."""
    n = batch.seen.shape[1]
    frame = torch.arange(n) // batch.tokens_a_frame
    causal = torch.arange(n)[:, None] >= torch.arange(n)
    reach = frame <= torch.arange(n // batch.tokens_a_frame)[:, None]
    return nll_along(language, batch.seen, batch.queries, causal, reach)


def train(
    language: CausalLM, batches: Transcripts, peak: float, minutes: float, checkpoint: Path, progress: Progress
) -> int:
    """Train to the end or for `minutes`, from `checkpoint` if it is there. Returns the steps done."""
    assert language.lm is not None
    optimizer = torch.optim.AdamW(language.lm.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    step = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        language.lm.load_state_dict(saved["lm"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]

    def save() -> None:
        assert language.lm is not None
        partial = checkpoint.with_suffix(".partial")
        torch.save({"lm": language.lm.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, partial)
        os.replace(partial, checkpoint)

    start = saved_at = time.monotonic()
    bar = progress.add_task("training", total=batches.steps, completed=step)
    while step < batches.steps and time.monotonic() - start < 60 * minutes:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, batches.steps, peak)
        loss = losses_of(language, batches(step)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(language.lm.parameters(), 1.0)
        optimizer.step()
        step += 1
        progress.update(bar, completed=step, description=f"training, loss {loss.item():.3f}")
        if time.monotonic() - saved_at > SAVE_EVERY_S:
            save()
            saved_at = time.monotonic()
    save()
    return step


@torch.inference_mode()
def measure(language: CausalLM, held_out: Sequence[Sketch], meanings: Tensor, batches: int = 6) -> dict[str, float]:
    """Loss of each kind of question on whole held-out tours, and the same in front of another tour's frames."""
    transcripts = Transcripts(held_out, meanings, 1, MEASURED, seed=0)
    losses: dict[str, list[float]] = {}
    for number in range(1, batches + 1):
        batch = transcripts(number)
        other = batch._replace(seen=batch.seen.roll(1, 0))
        for name, shown in (("", batch), ("_other_tour", other)):
            for kind, loss in zip(batch.kinds, losses_of(language, shown).tolist(), strict=True):
                losses.setdefault(kind + name, []).append(loss)
    return {kind: float(np.mean(found)) for kind, found in sorted(losses.items())}


def main(argv: list[str] | None = None) -> int:
    """Draw what is missing, train, and write llm/, tokenizer/ and metrics.json."""
    parser = argparse.ArgumentParser(prog="python -m ssm_sense.tiny.train_language", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for llm/, tokenizer/ and metrics.json")
    parser.add_argument("--sketches", type=Path, help="folder of the tours (default: OUT/sketches)")
    parser.add_argument("--siglip", type=Path, default=folder() / "siglip", help="gives words their meaning")
    parser.add_argument("--tours", type=int, default=1600, help="default: %(default)s")
    parser.add_argument("--held-out", type=int, default=64, help="tours of the validation split; default: %(default)s")
    parser.add_argument("--layers", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=4000, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=2e-3, help="of learning, at its peak; default: %(default)s")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so many, to be resumed (default: 60)")
    parser.add_argument("--asked", type=int, default=180, help="questions a step; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch, and drawing processes (default: 1)")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    sketches = args.sketches or args.out / "sketches"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        tours = {}
        for split, count in (("train", args.tours), ("val", args.held_out)):
            bar = progress.add_task(f"drawing tours, {split}", total=count)
            for done in draw_sketches(sketches, split, count, args.threads):
                progress.update(bar, completed=done)
            tours[split] = read_sketches(sketches, split, count)
        meanings = meanings_of(args.siglip)
        words = SiglipTextTower(str(args.siglip)).load().embed_texts
        build_language(args.out, mixture.vocabulary(), layers=args.layers, seed=args.seed, meanings=words)
        language = CausalLM(str(args.out / "llm")).load()
        batches = Transcripts(tours["train"], meanings, args.steps, args.asked, args.seed)
        steps = train(language, batches, args.rate, args.minutes, args.out / "checkpoint.pt", progress)
    assert language.lm is not None
    language.lm.half()
    language.save(args.out)
    language.lm.float()
    numbers: dict[str, float] = {"steps": steps, **measure(language, tours["val"], meanings)}
    (args.out / "metrics.json").write_text(json.dumps(numbers, indent=2) + "\n")
    for name, value in numbers.items():
        print(f"{name:32} {value:.4g}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
