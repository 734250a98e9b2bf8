"""A source that learns does so beside the model, and neither teaches the other."""

from collections.abc import Callable

import pytest
import torch

from ssm_sense.language.query import Query
from ssm_sense.language.silent import SilentLM
from ssm_sense.memory.own_source import OwnSource
from ssm_sense.nn.ablated import OpenLoopLFP
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.lfp import LFPHead
from ssm_sense.nn.sources import EmaDistance, StatelessLFP, SurpriseSource
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder

ASKED = [Query(0, 5, "what", "this"), Query(1, 11, "what", "that")]


def encoder() -> TemporalEncoder:
    return TemporalEncoder(vision_width=6, width=8, grid=2, layers=1, heads=2)


def model(source: SurpriseSource) -> OwnSource:
    return OwnSource(
        encoder(), LFPHead(8, 6), SurprisePolicy(), Episode(8, tokens=1, layers=1), SilentLM(8), 8, source=source
    ).train()


def streams() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 12, 4, 6, generator=generator), torch.arange(12, dtype=torch.float64).expand(2, -1)


@pytest.mark.parametrize("kind", [StatelessLFP, OpenLoopLFP])
def test_the_source_learns_from_its_own_loss_alone(kind: Callable[..., StatelessLFP]) -> None:
    torch.manual_seed(0)
    made = model(kind(encoder(), LFPHead(8, 6)))
    losses = made.losses(*streams(), ASKED)
    assert losses["answer"] == 0
    lfp = losses["lfp_squared"] + losses["lfp_cosine"]
    torch.testing.assert_close(losses["loss"], made.lfp_weight * (lfp + losses["source"]))
    own = torch.autograd.grad(losses["source"], [*made.parameters()], retain_graph=True, allow_unused=True)
    taught = {name for (name, _), found in zip(made.named_parameters(), own, strict=True) if found is not None}
    assert {name.split(".")[0] for name in taught} == {"source"}
    rest = torch.autograd.grad(
        losses["loss"] - made.lfp_weight * losses["source"], [*made.parameters()], allow_unused=True
    )
    for (name, _), found in zip(made.named_parameters(), rest, strict=True):
        assert not name.startswith("source.") or found is None or not found.any()


def test_a_source_that_does_not_learn_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a predictor that learns, got EmaDistance"):
        model(EmaDistance(4, 6)).losses(*streams(), ASKED)
