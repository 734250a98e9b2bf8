"""Training on the latent world: a memory and a linear reader, neither vision tower nor language model."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ssm_sense import ops
from ssm_sense.data.world.latent import WANDERINGS, LatentWorld
from ssm_sense.lit.numbering import Start, batches_done, numbers
from ssm_sense.nn.bank import EventBank
from ssm_sense.nn.deltanet import DeltaEpisode
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.frame_bank import FrameBank
from ssm_sense.nn.latent_reader import LatentReader, held_bytes


class LatentBatch(NamedTuple):
    """B streams of E events and what is asked at their end."""

    frames: Tensor
    """(B, E, F, V)."""
    codes: Tensor
    """(R, V) of the needles that are asked about."""
    places: Tensor
    """(B, R): where they stood."""
    others: Tensor
    """(B, 5): the wanderer's four places and the newest fact's; negative where there is none."""
    counts: Tensor
    """(B, C)."""


class LatentBatches(IterableDataset[LatentBatch]):
    """Batches without end, each a function of the seed and its number alone.

    Loads and lengths are uniform in the logarithm, from one fact and a few events up to ``facts`` and ``events``.
    At first these highest values are low, 4 and 12, so that what can be read at all is found; then they grow.

    Args:
        world: that the streams come from.
        streams: B.
        events: most of a stream, E.
        facts: most of a stream.
        asked: most needles that a batch asks about.
        held: batches before streams begin to grow.
        grown: batches in which they then grow to their full length and load; 0 begins with full ones.
        seed: of everything drawn.
        start, count: numbers of the first batch and of batches; None never ends.
        matched: share of batches, evenly spread, that are like what is asked in a test; in the others no needle is
            shown or asked about, and things alone are counted, in streams as long.
    """

    def __init__(
        self,
        world: LatentWorld,
        streams: int,
        events: int,
        facts: int,
        asked: int,
        held: int,
        grown: int,
        seed: int,
        start: Start = 0,
        count: int | None = None,
        matched: float = 1.0,
    ) -> None:
        if not 0 <= matched <= 1:
            raise ValueError(f"matched: expected a share, 0 to 1, got {matched}")
        if facts + WANDERINGS > events:
            raise ValueError(f"facts: expected at most events - {WANDERINGS} = {events - WANDERINGS}, got {facts}")
        self.world, self.streams, self.events, self.facts = world, streams, events, facts
        self.asked, self.held, self.grown = asked, held, grown
        self.seed, self.start, self.count, self.matched = seed, start, count, matched

    def __iter__(self) -> Iterator[LatentBatch]:
        return (self.batch(number) for number in numbers(self.start, self.count))

    def batch(self, number: int) -> LatentBatch:
        """Batch ``number`` of this seed."""
        rng = np.random.default_rng((self.seed, number))
        share = min(1.0, max(0, number + 1 - self.held) / self.grown) if self.grown else 1.0
        most_facts = max(4.0, self.facts ** (0.1 + 0.9 * share))
        facts = min(int(_log_uniform(rng, 1, most_facts + 1)), self.facts)
        wanderings = WANDERINGS if rng.random() < 0.5 else 0
        fewest = min(int(1.1 * (facts + wanderings)) + 2, self.events)
        events = round(_log_uniform(rng, fewest, max(fewest, 12.0, self.events * share)))
        if int((number + 1) * self.matched) == int(number * self.matched):
            facts = wanderings = 0
        houses = self.world.houses(rng, self.streams)
        needles = self.world.some_needles(rng, facts)
        walk = self.world.walk(rng, houses, min(events, self.events), needles, wanderings)
        asked = rng.permutation(facts)[: self.asked]
        return LatentBatch(
            torch.from_numpy(walk.frames),
            torch.from_numpy(self.world.needle_codes[needles[asked]]).float(),
            torch.from_numpy(walk.places[:, asked]),
            torch.from_numpy(np.concatenate([walk.wanderer, walk.latest[:, None]], axis=1)),
            torch.from_numpy(walk.counts(houses)),
        )


class LatentData(L.LightningDataModule):
    """Training streams of a `LatentWorld`.

    Args:
        events, facts, asked, held, grown: as for `LatentBatches`.
        batch_size: B.
        val_batches: of a validation run, at full length and load; drawn from other seeds than any of training.
        seed: of everything drawn.
        matched: of training, as for `LatentBatches`.
    """

    world: LatentWorld
    """The command line hands over the module's own."""

    def __init__(
        self,
        events: int = 150,
        facts: int = 128,
        batch_size: int = 32,
        asked: int = 16,
        held: int = 500,
        grown: int = 200,
        val_batches: int = 8,
        seed: int = 0,
        matched: float = 1.0,
    ) -> None:
        super().__init__()
        self.shape = {"events": events, "facts": facts, "streams": batch_size, "asked": asked}
        self.growth, self.val_batches, self.seed, self.matched = (held, grown), val_batches, seed, matched

    def train_dataloader(self) -> DataLoader[LatentBatch]:
        """Goes on from the step that training has reached."""
        return self._loader(self.growth, self.seed, lambda: batches_done(self.trainer), None, self.matched)

    def val_dataloader(self) -> DataLoader[LatentBatch]:
        """The same batches at every validation."""
        return self._loader((0, 0), self.seed + 1_000_000, 0, self.val_batches, 1.0)

    def _loader(
        self, growth: tuple[int, int], seed: int, start: Start, count: int | None, matched: float
    ) -> DataLoader[LatentBatch]:
        shape = {**self.shape, "held": growth[0], "grown": growth[1], "seed": seed}
        batches = LatentBatches(self.world, **shape, start=start, count=count, matched=matched)
        return DataLoader(batches, batch_size=None)


class LatentModule(L.LightningModule):
    """Trains a memory, with its encoder and reader, to answer whatever may be asked of a stream of latents.

    The loss is the cross-entropy of where needles stand, and beside it, with a smaller weight each, of the wanderer's
    places, of the newest fact's place and of how many things there are: recall alone is slow to begin.

    Args:
        world: that streams come from.
        memory: what is trained and compared.
        optimizer: over all parameters.
        lr_scheduler: stepped after every optimizer step; None keeps the rate constant.
        weights: of the order, of the newest and of the counts beside 1 of recall.
        backend: "any", or "native" to make a missing native kernel an error.
    """

    def __init__(
        self,
        world: LatentWorld,
        memory: Episode | EventBank | DeltaEpisode | FrameBank,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: LRSchedulerCallable | None = None,
        weights: tuple[float, float, float] = (0.25, 0.25, 0.1),
        backend: str = "any",
    ) -> None:
        super().__init__()
        if backend not in ("any", "native"):
            raise ValueError(f"backend: expected 'any' or 'native', got {backend!r}")
        self.world, self.weights, self.backend = world, weights, backend
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        # Built by the command line, these are plain class paths, from which load_from_checkpoint builds it again.
        self.save_hyperparameters()
        others = WANDERINGS + 1 + world.categories
        self.model = LatentReader(memory, world.width, others, world.places, world.categories, world.most)
        self._begun_s = 0.0

    def configure_optimizers(self) -> Any:
        """The optimizer and, if one is given, its schedule per step."""
        optimizer = self.optimizer(self.model.parameters())
        if self.lr_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.lr_scheduler(optimizer), "interval": "step"}}

    def on_fit_start(self) -> None:
        """Say what runs the recurrence, and how large the state is."""
        if self.backend == "native":
            ops.require("native", self.device.type)
        held = held_bytes(self.model, self.model.initial_state(1))
        self.print(f"selective scan runs on {ops.backend(self.device.type)}; a blank state holds {held:,} bytes")

    def training_step(self, batch: LatentBatch, batch_idx: int) -> Tensor:
        """Loss of one batch of streams."""
        losses, _ = self._losses(batch)
        for name, value in losses.items():
            self.log(f"train/{name}", value, prog_bar=name in ("loss", "recall"))
        return losses["loss"]

    def validation_step(self, batch: LatentBatch, batch_idx: int) -> None:
        """Log the losses and the share of needles whose place is told right."""
        losses, right = self._losses(batch)
        for name, value in {**losses, "recall_accuracy": right}.items():
            self.log(f"val/{name}", value, prog_bar=name == "recall_accuracy", batch_size=len(batch.frames))

    def _losses(self, batch: LatentBatch) -> tuple[dict[str, Tensor], Tensor]:
        state = self.model.watch(batch.frames, self.model.initial_state(len(batch.frames)))
        where, others, numbers = self.model.answer(state, batch.codes)
        losses = {
            "recall": _nll(where, batch.places),
            "order": _nll(others[:, :WANDERINGS], batch.others[:, :WANDERINGS]),
            "newest": _nll(others[:, WANDERINGS:], batch.others[:, WANDERINGS:]),
            "counts": _nll(numbers, batch.counts),
        }
        beside = zip(self.weights, list(losses.values())[1:], strict=True)
        losses["loss"] = losses["recall"] + sum(weight * loss for weight, loss in beside)
        return losses, (where.argmax(-1) == batch.places).float().mean()

    def on_train_batch_start(self, batch: LatentBatch, batch_idx: int) -> None:
        """Start the clock."""
        self._begun_s = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: LatentBatch, batch_idx: int) -> None:
        """Log the throughput."""
        self.log("train/events_per_s", batch.frames[:, :, 0, 0].numel() / (time.perf_counter() - self._begun_s))


def _nll(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean cross-entropy of (B, R, answers) over what is known; 0 where nothing is."""
    total = F.cross_entropy(logits.flatten(0, 1), wanted.flatten().clamp_min(-1), ignore_index=-1, reduction="sum")
    return total / (wanted >= 0).sum().clamp_min(1)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
