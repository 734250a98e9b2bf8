"""The training loop's view of a memory: losses in, log out."""

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from ssm_sense import ops
from ssm_sense.data.world.dense import GROUPS, UNKNOWN
from ssm_sense.data.world.names import CATEGORIES, COUNTABLE, NEEDLES
from ssm_sense.errors import UserError
from ssm_sense.lit.data import StreamBatch, TrainingData
from ssm_sense.lit.parts import train_only
from ssm_sense.lit.ranks import follow_together, shares, totals
from ssm_sense.lit.start import start_from
from ssm_sense.memory.answering import AnsweringModel, Told
from ssm_sense.model import SsmSense
from ssm_sense.nn.inventory import inventory_loss
from ssm_sense.nn.reader import LinearReader


class StreamModule(L.LightningModule):
    """Trains any `AnsweringModel` on streams with questions.

    Args:
        model: ours, or a rival.
        optimizer: over the parameters that require gradients.
        rates: what is trained, each part at a learning rate of its own, and all else frozen, as `train_only` has it;
            None trains all that the model does not freeze itself, at the optimizer's rate.
        start: a model folder to begin from, such as the stage before this one wrote, language model and latents'
            scale included; None begins at the language model's own weights, and all else at random.
        new: parts that begin at random, such as "inventory", whatever the folder's model has of them.
        lr_scheduler: stepped after every optimizer step; None keeps the rate constant.
        true_events_steps: for so many steps the true boundaries stand in for found ones, while the predictor whose
            surprise finds them is still untrained.
        look_alone: train nothing but a model's inventory, with its places, and its sightings, without running the rest.
            ``rates`` says which of them.
        inventory_weight: of how wrong a model's inventory and sightings are, where it keeps them and streams tell the
            truth.
        sightings_dropout: share of their features that sightings leave out at random while they learn. What is left out
            follows from the step's number, so that a run that is resumed leaves out what it would have left out.
        true_events_always: they do so to the end, in validation and test too: an oracle, and no result of the model's.
        reader_weight: of the loss of a linear reader that is asked everything at once (`data.world.dense`) of what the
            model hands over wherever a question is put; 0 has none. The reader serves training alone and is no part of
            the model; its losses are logged by kind.
        backend: "any", or "native" to make a missing native kernel an error.
    """

    def __init__(
        self,
        model: AnsweringModel,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: LRSchedulerCallable | None = None,
        true_events_steps: int = 0,
        backend: str = "any",
        rates: dict[str, float] | None = None,
        start: str | None = None,
        reader_weight: float = 0.0,
        true_events_always: bool = False,
        new: list[str] | None = None,
        inventory_weight: float = 0.0,
        look_alone: bool = False,
        sightings_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if backend not in ("any", "native"):
            raise ValueError(f"backend: expected 'any' or 'native', got {backend!r}")
        # Built by the command line, these are plain class paths, from which load_from_checkpoint builds it again.
        self.save_hyperparameters()
        self.model = model
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.true_events_steps, self.true_events_always = true_events_steps, true_events_always
        self.backend = backend
        self.rates, self.start, self.new = rates, start, new or []
        self.inventory_weight = inventory_weight
        if look_alone and not (isinstance(model, SsmSense) and inventory_weight and not reader_weight):
            raise ValueError(
                "look_alone: expected SsmSense, an inventory_weight above 0 and a reader_weight of 0, got "
                f"{type(model).__name__}, {inventory_weight} and {reader_weight}"
            )
        self.look_alone = look_alone
        if not 0 <= sightings_dropout < 1:
            raise ValueError(f"sightings_dropout: expected 0 or more and less than 1, got {sightings_dropout}")
        if sightings_dropout and not model.sought:
            raise ValueError(f"sightings_dropout: expected 0 for a model without sightings, got {sightings_dropout}")
        self.sightings_dropout = sightings_dropout
        if reader_weight and not model.readout_width:
            raise ValueError(f"reader_weight: expected 0 for {type(model).__name__}, which hands a reader nothing")
        if inventory_weight and not set(model.concepts) <= set(CATEGORIES):
            known = f"some of {', '.join(CATEGORIES)}, for an inventory_weight above 0"
            raise ValueError(f"concepts: expected {known}; got {model.concepts}")
        if inventory_weight and not set(model.sought) <= set(NEEDLES):
            known = f"some of {', '.join(NEEDLES)}, for an inventory_weight above 0"
            raise ValueError(f"sought: expected {known}; got {model.sought}")
        self.reader_weight = reader_weight
        self.reader = LinearReader(model.readout_width, [group[1:] for group in GROUPS]) if reader_weight else None
        self._groups: list[dict[str, Any]] | None = None
        self._loaded = False
        self._begun_s = 0.0
        self._sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])

    def configure_model(self) -> None:
        """Load pretrained weights, late, so that a configuration instantiates without them, and freeze what stays."""
        if self._loaded:
            return
        if self.backend == "native":
            ops.require("native", self._device_kind())
        if self.start is None:
            self.model.load()
        else:
            start_from(self.model, Path(self.start), self.new)
        if isinstance(self.model, SsmSense) and self.model.sightings is not None:
            self.model.sightings.dropout = self.sightings_dropout
        if self.rates is not None:
            self._groups = train_only(self.model, self.rates)
            if self.reader is not None:
                fastest = max(self.rates.values())
                self._groups.append({"params": list(self.reader.parameters()), "lr": fastest, "name": "reader"})
        if self._ranks > 1:
            follow_together(self.model)
        self._loaded = True

    @property
    def _ranks(self) -> int:
        return self.trainer.world_size if self._trainer is not None else 1

    def _device_kind(self) -> str:
        """Of the device that training runs on, known before the model is moved there; its own without a trainer."""
        return self.trainer.strategy.root_device.type if self._trainer is not None else self.device.type

    def configure_optimizers(self) -> Any:
        """The optimizer and, if one is given, its schedule per step.

        There is a group of parameters for each of ``rates``. Without those there are two, the model's own and the
        language model's (either may be empty), so that a schedule can give each its rate: OneCycleLR takes
        ``max_lr: [3.0e-3, 5.0e-4]``.
        """
        optimizer = self.optimizer(self._groups if self._groups is not None else self._two_groups())
        if self.lr_scheduler is None:
            return optimizer
        scheduler = self.lr_scheduler(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _two_groups(self) -> list[dict[str, Any]]:
        language = {id(p) for p in self.model.language.parameters()}
        wanted = [p for p in self.parameters() if p.requires_grad]
        own, lent = ([p for p in wanted if (id(p) in language) == is_lent] for is_lent in (False, True))
        return [{"params": own}, {"params": lent}]

    def on_fit_start(self) -> None:
        """Measure the latents' scale on training data, unless training goes on; say what runs the recurrence."""
        if self.trainer.global_step == 0 and self.start is None:
            data: TrainingData = self.trainer.datamodule  # type: ignore[attr-defined]
            self.model.scale.fit(data.some_latents().to(self.device))
        self.print(f"selective scan runs on {ops.backend(self.device.type)}")

    def on_train_start(self) -> None:
        """Refuse steps beyond the schedule's end, by now that of the checkpoint: their rate would be 0, or none."""
        ends = [getattr(config.scheduler, "total_steps", None) for config in self.trainer.lr_scheduler_configs]
        for total in ends:
            if total is not None and self.trainer.max_steps > total:
                raise UserError(
                    f"trainer.max_steps: expected at most {total}, where the schedule of the learning rate ends (a "
                    f"checkpoint's stays as it was), got {self.trainer.max_steps}; model.start trains a model on"
                )

    def on_train_batch_start(self, batch: StreamBatch, batch_idx: int) -> None:
        """Start the clock, and the numbers by which features are left out."""
        self._begun_s = time.perf_counter()
        if self.sightings_dropout:
            torch.manual_seed(self.global_step * self._ranks + self.global_rank)

    def training_step(self, batch: StreamBatch, batch_idx: int) -> Tensor:
        """Loss of one batch of streams."""
        told = self.true_events_always or self.global_step < self.true_events_steps
        events = batch.events if told else None
        losses, _ = self._losses(batch, events)
        for name, value in losses.items():
            self.log(f"train/{name}", value, prog_bar=name in ("loss", "answer"), sync_dist=self._ranks > 1)
        return losses["loss"]

    def _losses(self, batch: StreamBatch, events: Tensor | None) -> tuple[dict[str, Tensor], Tensor]:
        """The scalars, of which a mean over processes is that of the whole batch, and the loss of each query.

        Processes have equally many frames but not questions, so an answer's share in its own process's mean is
        not yet its share in the whole batch's.
        """
        told = Told(events, *self._told(batch), *(self._true(batch) if self.inventory_weight else ()))
        if self.look_alone:
            losses, per_query = self._look(batch, told)
        else:
            losses = self.model.losses(batch.latents, batch.seconds, batch.queries, told)
            per_query = losses.pop("per_query")
            losses["loss"] = losses["loss"] + (batch.weight - 1) * losses["answer"]
            losses["answer"] = batch.weight * losses["answer"]
        readout, found = losses.pop("readout", None), losses.pop("inventory", None)
        if self.reader is not None and readout is not None and batch.truth is not None:
            read = self._weighed(self.reader.losses(readout, batch.truth), batch.truth)
            losses["reader"] = self.reader.loss(read)
            losses["loss"] = losses["loss"] + self.reader_weight * losses["reader"]
            losses.update({f"reader_{group.name}": loss for group, loss in zip(GROUPS, read, strict=True)})
        if self.inventory_weight and self.model.concepts and found is not None and batch.inventory is not None:
            true = self._of_concepts(batch.inventory)
            losses["inventory"] = inventory_loss(found, true)
            if self._ranks > 1:
                losses["inventory"] = losses["inventory"] * shares((true >= 0).sum())
            losses["loss"] = losses["loss"] + self.inventory_weight * losses["inventory"]
        for name in ("places", "sightings"):
            if name in losses:
                losses["loss"] = losses["loss"] + self.inventory_weight * losses[name]
        return losses, per_query

    def _look(self, batch: StreamBatch, told: Told) -> tuple[dict[str, Tensor], Tensor]:
        """The losses without those of answers, to which the others are added, and no query's."""
        assert isinstance(self.model, SsmSense)
        losses = self.model.look_losses(batch.latents, batch.seconds, told)
        return {"loss": batch.latents.new_zeros(()), **losses}, batch.latents.new_zeros(0)

    def _told(self, batch: StreamBatch) -> tuple[Tensor | None, Tensor | None]:
        """What the model is told in place of its own inventory, (B, T, 4, K), and of its sightings, (n, 2, X, Y).

        Nothing but in training.
        """
        if batch.told is None or not self.training:
            return None, None
        if not set(COUNTABLE) <= set(self.model.concepts):
            asked = f"{', '.join(COUNTABLE)} among them, for a data.told above 0"
            raise ValueError(f"concepts: expected {asked}; got {self.model.concepts}")
        sightings = batch.told_sightings
        if sightings is not None:
            sightings = self._of_concepts(sightings[:, :, [NEEDLES.index(name) for name in self.model.sought]])
        return self._of_concepts(batch.told), sightings

    def _true(self, batch: StreamBatch) -> tuple[Tensor | None, Tensor | None]:
        """The rooms, (B, T), and what stands beside what, (B, T, X), for the model to learn to see by itself."""
        if batch.beside is None:
            return batch.rooms, None
        concepts = [1 + self.model.concepts.index(c) if c in self.model.concepts else UNKNOWN for c in CATEGORIES]
        places = torch.tensor([0, *concepts, UNKNOWN], device=batch.beside.device)
        return batch.rooms, places[batch.beside[..., [NEEDLES.index(name) for name in self.model.sought]].long()]

    def _of_concepts(self, inventory: Tensor) -> Tensor:
        return inventory[..., [CATEGORIES.index(concept) for concept in self.model.concepts]]

    def _weighed(self, read: list[Tensor], truth: Tensor) -> list[Tensor]:
        """The reader's losses, of which likewise a mean over processes is that of the whole batch."""
        if self._ranks == 1:
            return read
        answers = truth.split([group.questions for group in GROUPS], dim=-1)
        known = torch.stack([(part >= 0).sum() for part in answers])
        return list(torch.stack(read) * shares(known))

    def on_train_batch_end(self, outputs: Any, batch: StreamBatch, batch_idx: int) -> None:
        """Log the throughput."""
        frames = batch.seconds.numel()
        self.log("train/frames_per_s", frames / (time.perf_counter() - self._begun_s), prog_bar=True)

    def validation_step(self, batch: StreamBatch, batch_idx: int) -> None:
        """Take note of the loss as a whole and by kind of question."""
        self._evaluate(batch, "val")

    def test_step(self, batch: StreamBatch, batch_idx: int) -> None:
        """The same on test data."""
        self._evaluate(batch, "test")

    def _evaluate(self, batch: StreamBatch, stage: str) -> None:
        losses, per_query = self._losses(batch, batch.events if self.true_events_always else None)
        for name, value in losses.items():
            self._add(f"{stage}/{name}", float(value) * len(batch.seconds), len(batch.seconds))
        for kind, loss in zip([] if self.look_alone else batch.kinds, per_query.tolist(), strict=True):
            self._add(f"{stage}/answer_{kind}", loss, 1)

    def _add(self, name: str, total: float, number: int) -> None:
        self._sums[name][0] += total
        self._sums[name][1] += number

    def on_validation_epoch_end(self) -> None:
        """Log the means over what all processes saw."""
        self._log_means()

    def on_test_epoch_end(self) -> None:
        """The same on test data."""
        self._log_means()

    def _log_means(self) -> None:
        # Not by `log` step by step: a kind of question that one process met and another did not would stall them.
        for name, mean in totals({name: (total, int(n)) for name, (total, n) in self._sums.items()}).items():
            self.log(name, mean, sync_dist=self._ranks > 1)
        self._sums.clear()
