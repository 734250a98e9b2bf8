"""Train the tiny SigLIP on rendered houses: `python -m ssm_sense.tiny.train_vision --out DIR`.

SigLIP's own loss (arXiv 2303.15343, equation 1): every pair of a picture and a text is a yes or no by itself. The texts
are "a <thing>" and "a <room>", and the renderer knows which is true, not only of each picture but of each patch: the
same loss asks it of every patch's embedding, which is what makes patches say what they show, and where. Interrupted, or
stopped by --minutes, the same command goes on where it was, to the bit.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, SiglipModel

from ssm_sense import pretrained
from ssm_sense.data.world import mixture
from ssm_sense.data.world.names import ROOM_KINDS
from ssm_sense.errors import UserError
from ssm_sense.tiny.build import new_siglip, save_siglip
from ssm_sense.tiny.corpus import PER_ROOM, Pictures, read_corpus, render_corpus
from ssm_sense.tiny.probe import FILLED_PIXELS, SEEN_PIXELS, pixels_of_pictures, probe_patches, probe_texts
from ssm_sense.tiny.statements import IMAGE_SIZE, TEXTS, THINGS, WORDS
from ssm_sense.tiny.tokenizer import build_tokenizer
from ssm_sense.vision import SiglipTextTower, SiglipTower
from ssm_sense.vision.mirror import mirror
from ssm_sense.vision.preprocess import Preprocess

TEXT_LENGTH = 24
DENSE_WEIGHT, POOLED_WEIGHT = 4.0, 0.5
WARM_UP_STEPS = 100
SAVE_EVERY_S = 60.0
PROBED = 8000
"""Training pictures that the linear probe is fitted on."""

Batch = tuple[Tensor, Tensor, Tensor]
Cycle = tuple[int, float]
"""Steps, and the learning rate at their peak."""


class Matcher(nn.Module):
    """A SigLIP, and for its patches a temperature and bias of their own; these serve the training alone.

    Biases begin near the log-odds of the labels: one in fifty of the texts of things is true of a patch.
    """

    def __init__(self, siglip: SiglipModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.siglip = siglip
        self.patch_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.patch_bias = nn.Parameter(torch.tensor(-4.0))
        length = siglip.text_model.config.max_position_embeddings
        self.ids = tokenizer(list(TEXTS), padding="max_length", max_length=length, return_tensors="pt").input_ids

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of all texts for pictures (n, 3, H, W), as (n, M), and of things for their patches, as (n, S, K)."""
        seen = self.siglip.vision_model(pixels)
        texts = F.normalize(self.siglip.get_text_features(self.ids).pooler_output, dim=-1)
        pooled = F.normalize(seen.pooler_output, dim=-1) @ texts.T
        patches = F.normalize(seen.last_hidden_state, dim=-1) @ texts[: len(THINGS)].T
        return (
            pooled * self.siglip.logit_scale.exp() + self.siglip.logit_bias,
            patches * self.patch_scale.exp() + self.patch_bias,
        )


def sigmoid_loss(logits: Tensor, fits: Tensor, unsure: Tensor) -> Tensor:
    """SigLIP's loss of logits (..., M) against bool labels of that shape: a sum over texts, a mean over the rest.

    Pairs that are `unsure`, a thing hardly seen, count nothing.
    """
    return -(F.logsigmoid(torch.where(fits, logits, -logits)) * ~unsure).sum(-1).mean()


def loss_of(matcher: Matcher, batch: Batch) -> Tensor:
    """The weighted sum of both losses for pixel values (n, 3, H, W), cells uint8 (n, S, K) and rooms (n,)."""
    pixels, cells, rooms = batch
    pooled, patches = matcher(pixels)
    dense = sigmoid_loss(patches, cells >= FILLED_PIXELS, (cells > 0) & (cells < FILLED_PIXELS))
    counts = pixels_of_pictures(cells)
    room = F.one_hot(rooms, len(ROOM_KINDS)).bool()
    fits = torch.cat([counts >= SEEN_PIXELS, room], 1)
    unsure = torch.cat([(counts > 0) & (counts < SEEN_PIXELS), torch.zeros_like(room)], 1)
    return DENSE_WEIGHT * dense + POOLED_WEIGHT * sigmoid_loss(pooled, fits, unsure)


class Batches:
    """Batch `step` of a run with `seed`, a function of both: resuming repeats nothing and skips nothing."""

    def __init__(self, pictures: Pictures, size: int, seed: int) -> None:
        self.pictures, self.size, self.seed = pictures, size, seed
        self.preprocess = Preprocess(IMAGE_SIZE, IMAGE_SIZE)

    def __call__(self, step: int) -> Batch:
        """Pixel values (n, 3, H, W) in −1 … 1, cells (n, S, K), rooms (n,); mirrored and recoloured at random."""
        rng = np.random.default_rng((self.seed, step))
        chosen = rng.integers(len(self.pictures.images), size=self.size)
        pixels = self.preprocess(torch.from_numpy(np.stack([self.pictures.images[i] for i in chosen]))) / 2 + 0.5
        cells = torch.from_numpy(self.pictures.cells[chosen])
        flipped = torch.from_numpy(rng.random(self.size) < 0.5)
        pixels[flipped] = pixels[flipped].flip(-1)
        cells[flipped] = mirror(cells[flipped])
        mix = np.eye(3) + 0.12 * rng.standard_normal((self.size, 3, 3))
        gain = 1 + 0.15 * rng.standard_normal((self.size, 1, 1))
        pixels = torch.einsum("nij,njhw->nihw", torch.from_numpy(mix * gain).float(), pixels)
        return pixels.clamp(0, 1) * 2 - 1, cells, torch.from_numpy(self.pictures.rooms[chosen])


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Half a cosine from `peak` down to zero at `steps`, under a linear warm-up."""
    return peak * min(1.0, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * step / steps))


def optimizer_of(matcher: Matcher) -> torch.optim.AdamW:
    """Weight decay on matrices alone; temperatures and biases, which have far to go, learn ten times as fast."""
    quick = [matcher.siglip.logit_scale, matcher.siglip.logit_bias, matcher.patch_scale, matcher.patch_bias]
    rest = [p for p in matcher.parameters() if p.requires_grad and all(p is not q for q in quick)]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": 0.05, "factor": 1.0},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0, "factor": 1.0},
        {"params": quick, "weight_decay": 0.0, "factor": 10.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95))


def begin(tokenizer: PreTrainedTokenizerBase, start: Path | None, seed: int) -> SiglipModel:
    """A random SigLIP, or that of folder `start`, whose text tower stays as it is, and so the space of its texts."""
    if start is None:
        siglip = new_siglip(tokenizer, text_length=TEXT_LENGTH, seed=seed)
        nn.init.constant_(siglip.logit_bias, -3.0)
        return siglip
    if tokenizer.get_vocab() != pretrained.load_tokenizer(start, str(start.parent / "tokenizer")).get_vocab():
        raise UserError(f"{start}: expected a SigLIP of the same vocabulary as today's world; train one from nothing")
    siglip = pretrained.load(SiglipModel, start, "float32").train()
    siglip.text_model.requires_grad_(False)
    return siglip


def train(
    matcher: Matcher,
    batches: Callable[[int], Batch],
    cycles: Sequence[Cycle],
    minutes: float,
    checkpoint: Path,
    progress: Progress,
) -> int:
    """Train up to the end of the last cycle or for `minutes`, from `checkpoint` if it is there. Returns the steps done.

    A cycle begins with the weights of the one before, and with a fresh optimizer.
    """
    schedule = [(i, steps, peak) for steps, peak in cycles for i in range(steps)]
    optimizer, step = optimizer_of(matcher), 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        matcher.load_state_dict(saved["matcher"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]

    def save() -> None:
        partial = checkpoint.with_suffix(".partial")
        torch.save({"matcher": matcher.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, partial)
        os.replace(partial, checkpoint)

    start = saved_at = time.monotonic()
    bar = progress.add_task("training", total=len(schedule), completed=step)
    matcher.train()
    while step < len(schedule) and time.monotonic() - start < 60 * minutes:
        if schedule[step][0] == 0:
            optimizer = optimizer_of(matcher)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(*schedule[step]) * group["factor"]
        loss = loss_of(matcher, batches(step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(matcher.siglip.parameters(), 1.0)
        optimizer.step()
        step += 1
        progress.update(bar, completed=step, description=f"training, loss {loss.item():.2f}")
        if time.monotonic() - saved_at > SAVE_EVERY_S:
            save()
            saved_at = time.monotonic()
    save()
    matcher.eval()
    return step


def measure(out: Path, train_set: Pictures, held_out: Pictures) -> dict[str, float]:
    """Numbers of the model in `out` on held-out houses; its linear probe is fitted on some of the training set."""
    numbers = probe_texts(SiglipTextTower(str(out / "siglip")).load(), held_out)
    return numbers | probe_patches(SiglipTower(str(out / "siglip")).load(), train_set.first(PROBED), held_out)


def read_cycles(text: str) -> list[Cycle]:
    """Cycles of "1600:1.5e-3,900:1e-3". Raises ArgumentTypeError for other forms."""
    try:
        cycles = [(int(steps), float(peak)) for steps, peak in (part.split(":") for part in text.split(","))]
    except ValueError:
        cycles = []
    if not cycles or min(min(cycle) for cycle in cycles) <= 0:
        raise argparse.ArgumentTypeError(f"expected STEPS:RATE,… such as 1600:1.5e-3,900:1e-3, got {text!r}")
    return cycles


def main(argv: list[str] | None = None) -> int:
    """Render what is missing, train, and write siglip/, tokenizer/ and metrics.json."""
    parser = argparse.ArgumentParser(prog="python -m ssm_sense.tiny.train_vision", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for siglip/, tokenizer/ and metrics.json")
    parser.add_argument("--corpus", type=Path, help="folder of rendered pictures (default: OUT/corpus)")
    parser.add_argument("--houses", type=int, default=260, help="training houses, of 12 rooms each (default: 260)")
    parser.add_argument("--per-room", type=int, default=PER_ROOM, help=f"pictures of each room (default: {PER_ROOM})")
    parser.add_argument("--held-out-houses", type=int, default=12, help="of the validation split (default: 12)")
    cycles = "1600:1.5e-3,900:1e-3"
    parser.add_argument("--cycles", type=read_cycles, default=cycles, help=f"STEPS:RATE,… (default: {cycles})")
    parser.add_argument("--start", type=Path, metavar="SIGLIP", help="go on from this folder's; its texts stay")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so many, to be resumed (default: 60)")
    parser.add_argument("--batch", type=int, default=96, help="pictures a step (default: 96)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch, and rendering processes (default: 1)")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    corpus = args.corpus or args.out / "corpus"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        for split, houses in (("train", args.houses), ("val", args.held_out_houses)):
            bar = progress.add_task(f"rendering houses, {split}", total=houses)
            for done in render_corpus(corpus, split, houses, args.per_room, args.threads):
                progress.update(bar, completed=done)
        train_set = read_corpus(corpus, "train", args.houses, args.per_room)
        # Its shades and textures are new to the model as well.
        held_out = read_corpus(corpus, "val", args.held_out_houses, args.per_room)
        tokenizer = build_tokenizer(args.out / "tokenizer", vocabulary())
        matcher = Matcher(begin(tokenizer, args.start, args.seed), tokenizer)
        batches = Batches(train_set, args.batch, args.seed)
        steps = train(matcher, batches, args.cycles, args.minutes, args.out / "checkpoint.pt", progress)
    save_siglip(matcher.siglip, args.out / "siglip")
    numbers: dict[str, float] = {"steps": steps, **measure(args.out, train_set, held_out)}
    (args.out / "metrics.json").write_text(json.dumps(numbers, indent=2) + "\n")
    for name, value in numbers.items():
        print(f"{name:32} {value:.4g}")
    return 0


def vocabulary() -> list[str]:
    """Every word of our texts, and of the world's own captions, questions and answers."""
    return [*mixture.vocabulary(), *WORDS]


if __name__ == "__main__":
    raise SystemExit(main())
