"""What training makes of an inventory: a loss where its truth is known, and an error where it can never be."""

from types import SimpleNamespace

import pytest
import torch

from ssm_sense.data.world.dense import UNKNOWN
from ssm_sense.data.world.names import CATEGORIES, COUNTABLE, NEEDLES
from ssm_sense.language.silent import SilentLM
from ssm_sense.lit.data import StreamBatch
from ssm_sense.lit.module import StreamModule
from ssm_sense.memory.answering import NOTHING
from ssm_sense.memory.blind import Blind
from ssm_sense.nn.inventory import ROWS


class Counting(Blind):
    """Says that there are two of everything, all of it out of sight, and takes note of what it was told."""

    def losses(self, latents_BTSV, seconds_BT, queries, told=NOTHING):
        self.told, self.sightings, self.beside = told.inventory_BT4K, told.sightings_n2XY, told.beside_BTX
        zero, found = torch.zeros(()), torch.zeros(1, 2, len(ROWS), len(self.concepts))
        found[:, :, :2] = 2.0
        return {"loss": zero, "answer": zero, "per_query": torch.zeros(0), "inventory": found}


def module(concepts: tuple[str, ...], **settings) -> StreamModule:
    model = Counting(SilentLM(8), language_width=8, vision_width=8)
    model.concepts = concepts
    made = StreamModule(model, **settings)
    made._trainer = SimpleNamespace(world_size=1)
    return made


def test_to_look_alone_there_must_be_what_looks() -> None:
    model = Counting(SilentLM(8), language_width=8, vision_width=8)
    with pytest.raises(ValueError, match=r"look_alone: expected SsmSense, .* got Counting, 1.0 and 0"):
        StreamModule(model, inventory_weight=1.0, look_alone=True)


def batch(**counts: int) -> StreamBatch:
    true = torch.zeros(1, 2, len(ROWS), len(CATEGORIES), dtype=torch.int16)
    for category, count in counts.items():
        true[:, :, :2, CATEGORIES.index(category)] = count
    return StreamBatch(torch.zeros(1, 2, 1, 8), torch.zeros(1, 2).double(), None, [], [], inventory=true)


def test_each_concept_is_held_to_its_own_truth() -> None:
    made = module(("lamp", "chair"), inventory_weight=3.0)
    right, _ = made._losses(batch(lamp=2, chair=2, plant=9), None)
    wrong, _ = made._losses(batch(lamp=2, chair=5), None)
    assert float(right["inventory"]) < 1e-5
    assert float(wrong["inventory"]) > 0.1
    torch.testing.assert_close(wrong["loss"], 3.0 * wrong["inventory"])
    assert "inventory" not in made._losses(batch(lamp=2)._replace(inventory=None), None)[0], "nobody knows"
    assert "inventory" not in module(("lamp",))._losses(batch(lamp=2), None)[0], "it weighs nothing"


def test_it_is_told_in_training_alone() -> None:
    made = module(COUNTABLE)
    told = batch(lamp=7)._replace(told=batch(lamp=7).inventory)
    made._losses(told, None)
    assert made.model.told.shape == (1, 2, len(ROWS), len(COUNTABLE))
    assert made.model.told[0, 0, 0].tolist() == [7 if category == "lamp" else 0 for category in COUNTABLE]
    made.eval()
    made._losses(told, None)
    assert made.model.told is None


def test_sightings_are_told_and_taught_in_the_models_own_order() -> None:
    made = module((*COUNTABLE, "bed", "sofa"), inventory_weight=1.0)
    made.model.sought = ("snowman", "giant duck")
    beside = torch.zeros(1, 2, len(NEEDLES), dtype=torch.int16)
    beside[0, 0, NEEDLES.index("snowman")] = 1 + CATEGORIES.index("sofa")
    beside[0, 0, NEEDLES.index("giant duck")] = 1 + CATEGORIES.index("sink")
    beside[0, 1, NEEDLES.index("snowman")] = UNKNOWN
    told = torch.zeros(1, 2, len(NEEDLES), len(CATEGORIES), dtype=torch.float64)
    told[0, 1, NEEDLES.index("giant duck"), CATEGORIES.index("bed")] = 7.0
    made._losses(batch()._replace(beside=beside, told=batch().inventory, told_sightings=told), None)
    places = len(COUNTABLE)
    assert made.model.beside.tolist() == [[[places + 2, UNKNOWN], [UNKNOWN, 0]]], "of a sink this model knows nothing"
    assert made.model.sightings.shape == (1, 2, 2, places + 2)
    assert made.model.sightings[0, 1, 1].tolist() == [0.0] * places + [7.0, 0.0]
    unweighed = module(COUNTABLE)
    unweighed._losses(batch()._replace(beside=beside), None)
    assert unweighed.model.beside is None


def test_what_it_could_not_learn_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected some of .*lamp.*, for an inventory_weight above 0; got .*zebra"):
        module(("lamp", "zebra"), inventory_weight=1.0)
    assert module(("zebra",)).inventory_weight == 0
    model = Counting(SilentLM(8), language_width=8, vision_width=8)
    model.sought = ("unicorn",)
    with pytest.raises(
        ValueError, match=r"sought: expected some of .*snowman, for an inventory_weight .* got .*unicorn"
    ):
        StreamModule(model, inventory_weight=1.0)
    told = batch()._replace(told=batch().inventory)
    with pytest.raises(ValueError, match=r"expected chair, .* among them, for a data.told above 0; got \(\)"):
        module(())._losses(told, None)
