"""Streams for training: cached latents, the truth beside their videos, and questions drawn along the way."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ssm_sense.data.clip import Question
from ssm_sense.data.features import Encoder
from ssm_sense.data.latents import LatentSource
from ssm_sense.data.world.dense import beside_truth, dense_truth, inventory_truth
from ssm_sense.data.world.mixture import mixture
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError
from ssm_sense.language.query import Query
from ssm_sense.lit.numbering import Start, batches_done, numbers
from ssm_sense.lit.told import tell
from ssm_sense.vision.mirror import mirror
from ssm_sense.vision.siglip import SiglipTower

log = logging.getLogger(__name__)
_MIRRORED = 1_000_000_007
"""Tells what mirrors from what else is drawn of a batch."""


class StreamBatch(NamedTuple):
    """B streams of T frames with what is asked of them."""

    latents: Tensor
    """(B, T, S, V) float32."""
    seconds: Tensor
    """(B, T) float64."""
    events: Tensor | None
    """(B, T) bool: the room changed with this frame; None where nobody knows."""
    queries: list[Query]
    kinds: list[str]
    """Of each query, what is asked for."""
    weight: float = 1.0
    """Of the mean over these queries in the mean over those of all processes, times the number of processes."""
    truth: Tensor | None = None
    """(B, moments, questions) int16: `dense_truth` at each of the frames at which anything is asked, in order."""
    inventory: Tensor | None = None
    """(B, T, 4, categories) int16: `inventory_truth`."""
    rooms: Tensor | None = None
    """(B, T) int64: the number of the room that each frame was taken in."""
    beside: Tensor | None = None
    """(B, T, needles) int16: `beside_truth`."""
    told: Tensor | None = None
    """The inventory of streams that are answered from it in training, some numbers made up; `UNKNOWN` of others."""
    told_sightings: Tensor | None = None
    """(queries, 2, needles, categories) float64: likewise `sightings_truth` when each query is put."""


@dataclass(frozen=True)
class Stream:
    """One rendered stream: its latents (T, S, V) and its truth, frame for frame."""

    latents: Tensor
    truth: Truth

    @cached_property
    def dense(self) -> Tensor:
        """`dense_truth` of every frame, int16 (T, questions)."""
        return torch.from_numpy(dense_truth(self.truth))

    @cached_property
    def inventory(self) -> Tensor:
        """`inventory_truth`, int16 (T, 4, categories)."""
        return torch.from_numpy(inventory_truth(self.truth))

    @cached_property
    def beside(self) -> Tensor:
        """`beside_truth`, int16 (T, needles)."""
        return torch.from_numpy(beside_truth(self.truth))


class StreamBatches(IterableDataset[StreamBatch]):
    """Batches without end, each a function of the seed and its number alone, so that training resumes anywhere.

    Args:
        streams: at least batch_size of them.
        batch_size: B.
        frames: T; longer streams are cut to their beginning.
        stops: moments a batch is asked at, the last frame among them.
        questions: asked of each stream at each stop, of different kinds.
        seed: of everything drawn.
        told: share of a batch's streams whose questions are answered from the true inventory and sightings in training,
            so that the language model learns to read them while those that it is handed are still poor.
        made_up: share of the counts and orders asked of those streams that are made up, as `tell` has it.
        mirrored: how likely a stream is seen mirrored left to right, as far as its latents can be.
        start, count: numbers of the first batch and of batches; None never ends.
        rank, ranks: this process and how many there are. All draw the same batch, and each yields its share of the
            streams: the first B / ranks of them, or the next.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        batch_size: int,
        frames: int,
        stops: int,
        questions: int,
        seed: int,
        start: Start = 0,
        count: int | None = None,
        rank: int = 0,
        ranks: int = 1,
        told: float = 0.0,
        made_up: float = 0.0,
        mirrored: float = 0.0,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("frames", frames), ("questions", questions)):
            if value < 1:
                raise UserError(f"{name}: expected 1 or more, got {value}")
        if len(streams) < batch_size:
            raise UserError(f"batch_size: expected at most the number of streams, {len(streams)}, got {batch_size}")
        shortest = min(len(s.latents) for s in streams)
        if shortest < frames:
            raise UserError(f"frames: expected at most {shortest}, the length of the shortest stream, got {frames}")
        if not 1 <= stops <= frames:
            raise UserError(f"stops: expected 1 to {frames}, got {stops}")
        for name, part in (("told", told), ("made_up", made_up), ("mirrored", mirrored)):
            if not 0 <= part <= 1:
                raise UserError(f"{name}: expected a share from 0 to 1, got {part}")
        self.streams, self.batch_size, self.frames = streams, batch_size, frames
        self.told, self.made_up, self.mirrored = told, made_up, mirrored
        if mirrored:
            mirror(streams[0].latents[:1])  # refuses what is no grid
        self.stops, self.questions, self.seed = stops, questions, seed
        self.start, self.count = start, count
        self.own = share(batch_size, rank, ranks)
        self.ranks = ranks

    def __iter__(self) -> Iterator[StreamBatch]:
        return (self.batch(number) for number in numbers(self.start, self.count))

    def batch(self, number: int) -> StreamBatch:
        """This process's share of batch ``number`` of this seed."""
        rng = np.random.default_rng((self.seed, number))
        chosen = [self.streams[i] for i in rng.choice(len(self.streams), self.batch_size, replace=False)]
        inner = rng.choice(self.frames - 1, self.stops - 1, replace=False)
        stops = [*sorted(int(i) for i in inner), self.frames - 1]
        queries: list[Query] = []
        questions: list[Question] = []
        everyones = 0
        for b, stream in enumerate(chosen):
            for frame in stops:
                asked = mixture(stream.truth, stream.truth.frames[frame].t_s, rng)
                drawn = sorted(rng.permutation(len(asked))[: self.questions])
                everyones += len(drawn)
                for i in drawn if b in self.own else ():
                    queries.append(Query(b - self.own.start, frame, asked[i].prompt, asked[i].answer))
                    questions.append(asked[i])
        chosen = chosen[self.own.start : self.own.stop]
        inventory = torch.stack([s.inventory[: self.frames] for s in chosen])
        told = sightings = None
        if self.told:
            few = [s.truth for s in chosen[: max(0, round(self.told * self.batch_size) - self.own.start)]]
            rng = np.random.default_rng((self.seed, number, self.own.start))
            told, sightings = tell(queries, questions, inventory, few, self.made_up, rng)
        turned = np.random.default_rng((self.seed, number, _MIRRORED)).random(self.batch_size) < self.mirrored
        latents = [s.latents[: self.frames].float() for s in chosen]
        return StreamBatch(
            torch.stack([mirror(x) if turned[b] else x for b, x in enumerate(latents, self.own.start)]),
            torch.tensor([[f.t_s for f in s.truth.frames[: self.frames]] for s in chosen], dtype=torch.float64),
            torch.stack([room_changes(s.truth)[: self.frames] for s in chosen]),
            queries,
            [question.kind for question in questions],
            len(queries) * self.ranks / everyones,
            torch.stack([s.dense[stops] for s in chosen]),
            inventory,
            torch.stack([rooms(s.truth)[: self.frames] for s in chosen]),
            torch.stack([s.beside[: self.frames] for s in chosen]),
            told,
            sightings,
        )


def share(batch_size: int, rank: int, ranks: int) -> range:
    """Which streams of a batch are a process's own. Raises UserError where they cannot be shared out evenly."""
    if batch_size % ranks:
        raise UserError(f"batch_size: expected a multiple of the number of processes, {ranks}, got {batch_size}")
    each = batch_size // ranks
    return range(rank * each, (rank + 1) * each)


def room_changes(truth: Truth) -> Tensor:
    """(T,) bool: the camera is in another room than at the frame before."""
    numbers = rooms(truth)
    return torch.cat([torch.zeros(1, dtype=torch.bool), numbers[1:] != numbers[:-1]])


def rooms(truth: Truth) -> Tensor:
    """(T,) int64: the number of the room that the camera is in."""
    return torch.tensor([frame.room for frame in truth.frames])


class TrainingData(L.LightningDataModule, ABC):
    """What the training loop is fed from: batches that are a function of the seed and their number."""

    vision: SiglipTower | None = None
    """The tower that makes the latents; the command line sets it."""

    @abstractmethod
    def some_latents(self) -> Tensor:
        """Training latents (n, S, V) to measure their scale on."""

    @property
    def batches_done(self) -> int:
        """How many batches training has had."""
        return batches_done(self.trainer)

    @property
    def process(self) -> tuple[int, int]:
        """This process's rank, and how many there are."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)


class StreamData(TrainingData):
    """Folders of rendered videos with their truth, and their latents: cached ones, or computed by the vision tower.

    Args:
        features: folder that `ssm-sense features extract` wrote; None has every video seen now.
        train, val, test: folders that `ssm-sense world render` wrote; None leaves a stage out.
        batch_size: B, of all processes together.
        frames, stops, questions: as for `StreamBatches`.
        val_batches: batches of a validation or test run.
        seed: of the questions and the order of streams.
        told, made_up: in training, as for `StreamBatches`; both 0 for a model that keeps no inventory.
        mirrored: in training, as for `StreamBatches`; for towers that see mirrored pictures as they see pictures.
        keep: put latents that were missing into the cache.
    """

    def __init__(
        self,
        features: str | None = None,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        batch_size: int = 8,
        frames: int = 96,
        stops: int = 6,
        questions: int = 4,
        val_batches: int = 8,
        seed: int = 0,
        keep: bool = True,
        told: float = 0.0,
        made_up: float = 0.0,
        mirrored: float = 0.0,
    ) -> None:
        super().__init__()
        self.features, self.keep = features, keep
        self.folders = {"train": train, "val": val, "test": test}
        self.shape = {"batch_size": batch_size, "frames": frames, "stops": stops, "questions": questions}
        self.val_batches, self.seed = val_batches, seed
        self.told, self.made_up, self.mirrored = told, made_up, mirrored
        self._streams: dict[str, list[Stream]] = {}

    def streams(self, stage: str) -> list[Stream]:
        """The streams of "train", "val" or "test", read once. Raises UserError where there are none."""
        if stage not in self._streams:
            folder = self.folders[stage]
            if folder is None:
                raise UserError(f"data.{stage}: expected a folder of rendered videos, got none")
            source = self.source()
            self._streams[stage] = load_streams(Path(folder), source)
            if source.computed:
                log.info("%s: %d videos were not in the cache and were seen now", folder, source.computed)
        return self._streams[stage]

    def source(self) -> LatentSource:
        """Where latents come from: the cache, and for those that it lacks the tower, where there is one."""
        cache = None if self.features is None else Path(self.features)
        if self.vision is None:
            return LatentSource(cache)
        return LatentSource(cache, self.vision.fingerprint, self._open_tower, self.keep)

    def _open_tower(self) -> Encoder:
        """The tower with its weights, where training runs."""
        assert self.vision is not None
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        return self.vision.load().to(device)

    def some_latents(self) -> Tensor:
        """Training latents (n, S, V) to measure their scale on: every stream's, about 4,096 frames in all."""
        streams = self.streams("train")
        every = max(1, sum(len(s.latents) for s in streams) // 4096)
        return torch.cat([s.latents[::every] for s in streams]).float()

    def train_dataloader(self) -> DataLoader[StreamBatch]:
        """Goes on from the step that training has reached."""
        return self._loader("train", lambda: self.batches_done, None)

    def val_dataloader(self) -> DataLoader[StreamBatch]:
        """The same batches at every validation."""
        return self._loader("val", 0, self.val_batches)

    def test_dataloader(self) -> DataLoader[StreamBatch]:
        """The same batches at every test."""
        return self._loader("test", 0, self.val_batches)

    def _loader(self, stage: str, start: Start, count: int | None) -> DataLoader[StreamBatch]:
        rank, ranks = self.process
        streams = self.streams(stage)
        own = {"told": self.told, "made_up": self.made_up, "mirrored": self.mirrored} if stage == "train" else {}
        shape: dict[str, Any] = {**self.shape, "rank": rank, "ranks": ranks, **own}
        batches = StreamBatches(streams, **shape, seed=self.seed, start=start, count=count)
        return DataLoader(batches, batch_size=None)


def load_streams(folder: Path, source: LatentSource | Path) -> list[Stream]:
    """Every video of a folder that has its truth beside it, with its latents from a source, or from a cache alone."""
    latents_of = LatentSource(source) if isinstance(source, Path) else source
    streams = []
    for path in sorted(folder.rglob("*.json")):
        video = path.with_suffix(".mp4")
        if not video.is_file():
            continue
        truth = Truth.load(path)
        latents, _ = latents_of.load(video, float(truth.fps))
        if len(latents) != len(truth.frames):
            raise UserError(f"{video}: expected the latents of {len(truth.frames)} frames, got {len(latents)}")
        streams.append(Stream(latents, truth))
    if not streams:
        raise UserError(f"{folder}: expected rendered videos with their truth, found none")
    return streams
