"""What training makes of a tally: a loss where its truth is known, and an error where it can never be."""

from types import SimpleNamespace

import pytest
import torch

from ssm_sense.data.world.names import CATEGORIES
from ssm_sense.language.silent import SilentLM
from ssm_sense.lit.data import StreamBatch
from ssm_sense.lit.module import StreamModule
from ssm_sense.memory.blind import Blind


class Counting(Blind):
    """Says that there are two of everything."""

    def losses(self, latents_BTSV, seconds_BT, queries, events_BT=None, tally_BM2K=None):
        zero = torch.zeros(())
        tally = torch.full((1, 1, 2, len(self.concepts)), 2.0)
        return {"loss": zero, "answer": zero, "per_query": torch.zeros(0), "tally": tally}


def module(concepts: tuple[str, ...], **settings) -> StreamModule:
    model = Counting(SilentLM(8), language_width=8, vision_width=8)
    model.concepts = concepts
    made = StreamModule(model, **settings)
    made._trainer = SimpleNamespace(world_size=1)
    return made


def batch(**counts: int) -> StreamBatch:
    true = torch.zeros(1, 1, 2, len(CATEGORIES), dtype=torch.int16)
    for category, count in counts.items():
        true[..., CATEGORIES.index(category)] = count
    return StreamBatch(torch.zeros(1, 2, 1, 8), torch.zeros(1, 2).double(), None, [], [], tally=true)


def test_each_concept_is_held_to_its_own_truth() -> None:
    made = module(("lamp", "chair"), tally_weight=3.0)
    right, _ = made._losses(batch(lamp=2, chair=2, plant=9), None)
    wrong, _ = made._losses(batch(lamp=2, chair=5), None)
    assert float(right["tally"]) == 0
    assert float(wrong["tally"]) > 0.1
    torch.testing.assert_close(wrong["loss"], 3.0 * wrong["tally"])
    assert "tally" not in made._losses(batch(lamp=2)._replace(tally=None), None)[0], "nobody knows"
    assert "tally" not in module(("lamp",))._losses(batch(lamp=2), None)[0], "it weighs nothing"


def test_a_concept_that_the_world_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected some of .*lamp.*, for a tally_weight above 0; got .*zebra"):
        module(("lamp", "zebra"), tally_weight=1.0)
    assert module(("zebra",)).tally_weight == 0
