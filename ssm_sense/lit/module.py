"""The training loop's view of a memory: losses in, log out."""

import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from ssm_sense import ops
from ssm_sense.lit.data import StreamBatch, StreamData
from ssm_sense.memory.answering import AnsweringModel


class StreamModule(L.LightningModule):
    """Trains any `AnsweringModel` on streams with questions.

    Args:
        model: ours, or a rival.
        optimizer: over the parameters that require gradients.
        lr_scheduler: stepped after every optimizer step; None keeps the rate constant.
        true_events_steps: for so many steps the true boundaries stand in for found ones, while the predictor whose
            surprise finds them is still untrained.
        backend: "any", or "native" to make a missing native kernel an error.
    """

    def __init__(
        self,
        model: AnsweringModel,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: LRSchedulerCallable | None = None,
        true_events_steps: int = 0,
        backend: str = "any",
    ) -> None:
        super().__init__()
        if backend not in ("any", "native"):
            raise ValueError(f"backend: expected 'any' or 'native', got {backend!r}")
        # Built by the command line, these are plain class paths, from which load_from_checkpoint builds it again.
        self.save_hyperparameters()
        self.model = model
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.true_events_steps = true_events_steps
        self.backend = backend
        self._loaded = False
        self._begun_s = 0.0

    def configure_model(self) -> None:
        """Load pretrained weights, late, so that a configuration instantiates without them."""
        if self._loaded:
            return
        if self.backend == "native":
            ops.require("native", self._device_kind())
        self.model.load()
        self._loaded = True

    def _device_kind(self) -> str:
        """Of the device that training runs on, known before the model is moved there; its own without a trainer."""
        return self.trainer.strategy.root_device.type if self._trainer is not None else self.device.type

    def configure_optimizers(self) -> Any:
        """The optimizer and, if one is given, its schedule per step.

        There are two groups of parameters, the model's own and the language model's (either may be empty), so that a
        schedule can give each its rate: OneCycleLR takes ``max_lr: [3.0e-3, 5.0e-4]``.
        """
        language = {id(p) for p in self.model.language.parameters()}
        wanted = [p for p in self.parameters() if p.requires_grad]
        own, lent = ([p for p in wanted if (id(p) in language) == is_lent] for is_lent in (False, True))
        optimizer = self.optimizer([{"params": own}, {"params": lent}])
        if self.lr_scheduler is None:
            return optimizer
        scheduler = self.lr_scheduler(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_fit_start(self) -> None:
        """Measure the latents' scale on training data, unless training is resumed; say what runs the recurrence."""
        if self.trainer.global_step == 0:
            data: StreamData = self.trainer.datamodule  # type: ignore[attr-defined]
            self.model.scale.fit(data.some_latents().to(self.device))
        self.print(f"selective scan runs on {ops.backend(self.device.type)}")

    def on_train_batch_start(self, batch: StreamBatch, batch_idx: int) -> None:
        """Start the clock."""
        self._begun_s = time.perf_counter()

    def training_step(self, batch: StreamBatch, batch_idx: int) -> Tensor:
        """Loss of one batch of streams."""
        events = batch.events if self.global_step < self.true_events_steps else None
        losses = self.model.losses(batch.latents, batch.seconds, batch.queries, events)
        losses.pop("per_query")
        for name, value in losses.items():
            self.log(f"train/{name}", value, prog_bar=name in ("loss", "answer"))
        return losses["loss"]

    def on_train_batch_end(self, outputs: Any, batch: StreamBatch, batch_idx: int) -> None:
        """Log the throughput."""
        frames = batch.seconds.numel()
        self.log("train/frames_per_s", frames / (time.perf_counter() - self._begun_s), prog_bar=True)

    def validation_step(self, batch: StreamBatch, batch_idx: int) -> None:
        """Log the loss as a whole and by kind of question."""
        self._evaluate(batch, "val")

    def test_step(self, batch: StreamBatch, batch_idx: int) -> None:
        """The same on test data."""
        self._evaluate(batch, "test")

    def _evaluate(self, batch: StreamBatch, stage: str) -> None:
        losses = self.model.losses(batch.latents, batch.seconds, batch.queries)
        per_query = losses.pop("per_query")
        for name, value in losses.items():
            self.log(f"{stage}/{name}", value, batch_size=len(batch.seconds))
        for kind in sorted(set(batch.kinds)):
            chosen = [i for i, other in enumerate(batch.kinds) if other == kind]
            self.log(f"{stage}/answer_{kind}", per_query[chosen].mean(), batch_size=len(chosen))
