"""Instruction tuning: streams of pictures and videos with conversations about them."""

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ssm_sense.data.archive import unpack_missing
from ssm_sense.data.latents import demand_features
from ssm_sense.errors import UserError
from ssm_sense.language.query import Query
from ssm_sense.lit.conversations import Conversations, Medium, Turn
from ssm_sense.lit.data import StreamBatch, TrainingData, share
from ssm_sense.lit.numbering import Start, numbers
from ssm_sense.lit.watcher import STILL_FRAMES, Watcher

log = logging.getLogger(__name__)
ENOUGH_FRAMES, ENOUGH_BATCHES = 2048, 32
"""Of latents to measure their scale on."""


class Asked(NamedTuple):
    """What one stream of a batch is asked: a row's turns, and when."""

    turns: list[Turn]
    t_s: float | None


class Time(NamedTuple):
    """One of the times that a medium comes in an epoch."""

    medium: Medium
    number: int


class InstructionBatches(IterableDataset[StreamBatch]):
    """Batches without end, each a function of the seed and its number alone.

    A batch is of pictures or of videos. In an epoch every row is asked once, save those of media that fill no batch: a
    medium comes as often as it takes to ask its rows, which are dealt out anew each epoch. All videos of one process's
    share are sampled to the length of the shortest, so that nothing is padded.

    Args:
        conversations: what is asked.
        watcher: what is seen.
        batch_size: B, of all processes together.
        frames: the most of a video.
        questions: rows asked of a medium at a time, at most.
        stills: watch of a video the frame alone that its question is put at, as if it were a picture; the others that
            are asked with it are then those put at the same frame.
        seed, start, count, rank, ranks: as for `StreamBatches`.
    """

    def __init__(
        self,
        conversations: Conversations,
        watcher: Watcher,
        batch_size: int,
        frames: int,
        questions: int,
        stills: bool,
        seed: int,
        start: Start = 0,
        count: int | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if frames < STILL_FRAMES or questions < 1:
            raise UserError(f"expected frames of {STILL_FRAMES} or more and questions, got {frames} and {questions}")
        pools = {"pictures": conversations.pictures, "videos": conversations.videos}
        times = {
            kind: [Time(medium, i) for medium in pool for i in range(-(-len(medium.rows) // questions))]
            for kind, pool in pools.items()
        }
        self.pools = [pool for pool in times.values() if len(pool) >= batch_size]
        if not self.pools:
            most = max(map(len, times.values()))
            raise UserError(f"batch_size: expected at most the number of media of a kind, {most}, got {batch_size}")
        for kind, pool in times.items():
            if 0 < len(pool) < batch_size:
                log.warning("%d %s are never watched: they do not fill a batch of %d", len(pool), kind, batch_size)
        self.conversations, self.watcher = conversations, watcher
        self.batch_size, self.frames, self.questions, self.stills = batch_size, frames, questions, stills
        self.seed, self.start, self.count = seed, start, count
        self.own, self.ranks = share(batch_size, rank, ranks), ranks
        self.order = lru_cache(maxsize=1)(self._order)

    def __iter__(self) -> Iterator[StreamBatch]:
        return (self.batch(number) for number in numbers(self.start, self.count))

    def _order(self, epoch: int) -> list[list[Time]]:
        """The batches of an epoch, in order."""
        rng = np.random.default_rng((self.seed, 0, epoch))
        batches = []
        for pool in self.pools:
            shuffled = rng.permutation(len(pool))[: len(pool) // self.batch_size * self.batch_size]
            batches += [[pool[i] for i in part] for part in shuffled.reshape(-1, self.batch_size)]
        return [batches[i] for i in rng.permutation(len(batches))]

    def batch(self, number: int) -> StreamBatch:
        """This process's share of batch ``number`` of this seed."""
        per_epoch = sum(len(pool) // self.batch_size for pool in self.pools)
        epoch = number // per_epoch
        times = self.order(epoch)[number % per_epoch]
        asked, media = [self._asked(time, epoch) for time in times], [time.medium for time in times]
        everyones = sum(len(row.turns) for rows in asked for row in rows)
        mine = slice(self.own.start, self.own.stop)
        watched = self._watch(media[mine], asked[mine])
        queries, kinds = [], []
        for b, ((_, seconds), rows) in enumerate(zip(watched, asked[mine], strict=True)):
            for turns, t_s in rows:
                here = len(seconds) if t_s is None or self.stills else int((seconds <= t_s + 1e-6).sum())
                queries += [Query(b, max(here, 1) - 1, turn.prompt, turn.answer) for turn in turns]
                kinds += [turn.kind for turn in turns]
        return StreamBatch(
            torch.stack([latents for latents, _ in watched]),
            torch.stack([seconds for _, seconds in watched]),
            None,
            queries,
            kinds,
            len(queries) * self.ranks / everyones,
        )

    def _asked(self, time: Time, epoch: int) -> list[Asked]:
        rows, first = time.medium.rows, time.number * self.questions
        # Dealt out alike each time that the medium comes in this epoch.
        dealt = np.random.default_rng((self.seed, 1, epoch, *rows[0])).permutation(len(rows))
        if not self.stills:
            return [Asked(*self.conversations.read(rows[i])) for i in dealt[first : first + self.questions]]
        here, *others = (Asked(*self.conversations.read(rows[i])) for i in np.roll(dealt, -first))
        return [here, *(row for row in others if row.t_s == here.t_s)][: self.questions]

    def _watch(self, media: list[Medium], asked: list[list[Asked]]) -> list[tuple[Tensor, Tensor]]:
        """Latents (T, S, V) and seconds (T,) of each."""
        if self.stills or not media[0].is_video:
            return [self.watcher.still(m, rows[0].t_s) for m, rows in zip(media, asked, strict=True)]
        ends = [None if any(row.t_s is None for row in rows) else max(row.t_s or 0 for row in rows) for rows in asked]
        shortest = min(self.watcher.length(m, end) for m, end in zip(media, ends, strict=True))
        frames = max(STILL_FRAMES, min(self.frames, shortest))
        return [self.watcher.video(m, frames, end) for m, end in zip(media, ends, strict=True)]


class InstructionData(TrainingData):
    """Tables of conversations in LLaVA's form, VSI-590K's among them, and the media that they are about.

    Pictures are encoded as their turn comes, by the tower that the command line was given, on the device that trains;
    so are videos, unless their latents are in a cache.

    Args:
        media: folder that the rows' paths begin at; before training, what is missing is unpacked from archives.
        train, val: tables.
        features: cache that `ssm-sense features extract` wrote, of every video at ``fps``.
        fps: frames a second of video.
        frames, batch_size, questions, stills: as for `InstructionBatches`.
        types: question types to take; None takes all.
        val_batches: of a validation run.
        seed: of the order and of what is asked.
    """

    def __init__(
        self,
        media: str,
        train: list[str],
        val: list[str] | None = None,
        features: str | None = None,
        fps: float = 1.0,
        frames: int = 96,
        batch_size: int = 8,
        questions: int = 4,
        stills: bool = False,
        types: list[str] | None = None,
        val_batches: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.media, self.tables, self.features, self.fps = media, {"train": train, "val": val or []}, features, fps
        self.shape: dict[str, Any] = {
            "batch_size": batch_size,
            "frames": frames,
            "questions": questions,
            "stills": stills,
        }
        self.types, self.val_batches, self.seed = types, val_batches, seed
        self._conversations: dict[str, Conversations] = {}

    def prepare_data(self) -> None:
        """Unpack the media that are missing, in one process of each machine.

        Raises UserError for a row that is wrong, or an archive that cannot be unpacked.
        """
        for stage in (stage for stage, tables in self.tables.items() if tables):
            found = self._read(stage)
            unpack_missing(Path(self.media), [medium.path for medium in (*found.pictures, *found.videos)])

    def _read(self, stage: str) -> Conversations:
        """The rows of "train" or "val", read once."""
        if stage not in self._conversations:
            found = Conversations([Path(table) for table in self.tables[stage]], self.types)
            for rows, why in ((found.without_medium, "about text alone"), (found.left_out, "about shuffled videos")):
                if rows:
                    log.warning("%s: %d rows %s are left out", stage, rows, why)
            self._conversations[stage] = found
        return self._conversations[stage]

    def batches(
        self, stage: str, start: Start = 0, number: int | None = None, alone: bool = False
    ) -> InstructionBatches:
        """The batches of "train" or "val", a process's share of them unless ``alone``."""
        conversations = self._read(stage)
        if self.vision is None:
            raise UserError("vision: expected the tower that makes the latents")
        device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
        features = None if self.features is None else demand_features(Path(self.features), self.vision.fingerprint)
        watcher = Watcher(Path(self.media), self.vision.load().to(device), features, self.fps)
        rank, ranks = (0, 1) if alone else self.process
        return InstructionBatches(
            conversations,
            watcher,
            **self.shape,
            seed=self.seed,
            start=start,
            count=number,
            rank=rank,
            ranks=ranks,
        )

    def some_latents(self) -> Tensor:
        """Latents (n, S, V) of the first training batches."""
        latents: list[Tensor] = []
        for batch in self.batches("train", 0, ENOUGH_BATCHES, alone=True):
            latents.append(batch.latents.flatten(0, 1))
            if sum(map(len, latents)) >= ENOUGH_FRAMES:
                break
        return torch.cat(latents)

    def train_dataloader(self) -> DataLoader[StreamBatch]:
        """Goes on from the step that training has reached."""
        return DataLoader(self.batches("train", lambda: self.batches_done), batch_size=None)

    def val_dataloader(self) -> DataLoader[StreamBatch] | list[DataLoader[StreamBatch]]:
        """The same batches at every validation; none without tables."""
        if not self.tables["val"]:
            return []
        return DataLoader(self.batches("val", 0, self.val_batches), batch_size=None)
