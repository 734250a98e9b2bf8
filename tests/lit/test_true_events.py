"""When a model is told the true boundaries: at first, never in validation, or always for an oracle."""

from types import SimpleNamespace

import pytest
import torch

from ssm_sense.language.silent import SilentLM
from ssm_sense.lit.data import StreamBatch
from ssm_sense.lit.module import StreamModule
from ssm_sense.memory.answering import NOTHING
from ssm_sense.memory.blind import Blind

EVENTS = torch.tensor([[False, True]])
BATCH = StreamBatch(torch.zeros(1, 2, 1, 8), torch.zeros(1, 2).double(), EVENTS, [], [])


class Told(Blind):
    """Takes note of the boundaries that it is told, and loses nothing."""

    def losses(self, latents_BTSV, seconds_BT, queries, told=NOTHING):
        self.told = told.events_BT
        return {"loss": torch.zeros(()), "answer": torch.zeros(()), "per_query": torch.zeros(0)}


@pytest.mark.parametrize(
    ("settings", "step", "training", "validation"),
    [
        ({}, 0, False, False),
        ({"true_events_steps": 5}, 4, True, False),
        ({"true_events_steps": 5}, 5, False, False),
        ({"true_events_always": True}, 5, True, True),
    ],
)
def test_boundaries_are_told_where_they_should_be(settings, step, training, validation, monkeypatch) -> None:
    model = Told(SilentLM(8), language_width=8, vision_width=8)
    module = StreamModule(model, **settings)
    monkeypatch.setattr(StreamModule, "global_step", step)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    module._trainer = SimpleNamespace(world_size=1)
    module.training_step(BATCH, 0)
    assert (model.told is EVENTS) is training
    module.validation_step(BATCH, 0)
    assert (model.told is EVENTS) is validation
    module._sums.clear()
    module.test_step(BATCH, 0)
    assert (model.told is EVENTS) is validation
