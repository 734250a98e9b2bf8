"""A language model that predicts frames: in a stream as in training, and its surprise is what the policies go by."""

import pytest
import torch
import torch.nn.functional as F

from ssm_sense.language.query import Query
from ssm_sense.memory.cambrian_count import CambrianCount
from ssm_sense.memory.cambrian_s import CambrianS
from ssm_sense.memory.kv_cache import token_bytes
from ssm_sense.memory.lfp_window import Foresight, LFPWindow
from ssm_sense.nn.pool import pool_places
from ssm_sense.nn.sources import RandomSurprise


@pytest.fixture
def make(frame_tokens):
    def lfp(family: str = "qwen2", begun: bool = True) -> LFPWindow:
        language = frame_tokens(family, begun=begun).language
        torch.manual_seed(5)
        model = LFPWindow(language, 32, vision_width=12, places=9, window=5).eval()
        model.scale.fit(torch.randn(100, 12) * 2 + 1)
        for weight in (model.connector.straight.weight, model.head.up.weight, model.head.down.weight):
            torch.nn.init.normal_(weight, std=0.5)
        return model

    return lfp


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_surprise_in_a_stream_is_that_of_training(make, latents, family: str) -> None:
    """A frame of training attends to itself and 4 before it; in a stream, to a sensory window of 4."""
    model = make(family, begun=False)
    predicted, target = model.predictions(latents[None])[0], pool_places(model.scale(latents), 2)
    want = 1 - F.cosine_similarity(predicted[:-1], target[1:], dim=-1).mean(-1)
    threshold = float(want.sort().values[29:31].mean())
    for policy in (CambrianS(model, window=4), CambrianCount(model, window=4, threshold=threshold)):
        seen = [policy.observe(one, None, float(t)) for t, one in enumerate(latents)]
        assert seen[0].surprise == 1.0
        torch.testing.assert_close(torch.tensor([one.surprise for one in seen[1:]]), want, atol=1e-4, rtol=1e-4)
    cuts = [t for t, one in enumerate(seen) if one.boundary]
    assert cuts == [t + 1 for t in range(39) if want[t] > threshold]
    assert 0 < len(cuts) <= 9


@torch.no_grad()
def test_losses_by_hand(make, latents, checks) -> None:
    model = make()
    queries = [Query(0, 20, checks.prompt, "B")]
    losses = model.losses(latents[None], torch.arange(40.0)[None], queries)
    predicted, target = model.predictions(latents[None])[0, :-1], pool_places(model.scale(latents), 2)[1:]
    squared, cosine = (predicted - target).square().mean(), 1 - F.cosine_similarity(predicted, target, dim=-1).mean()
    torch.testing.assert_close(losses["lfp_squared"], squared)
    torch.testing.assert_close(losses["lfp_cosine"], cosine)
    torch.testing.assert_close(losses["loss"], losses["per_query"].mean() + 0.1 * (squared + cosine))


def test_what_is_told_or_injected_comes_first(make, latents) -> None:
    model = make()
    told, injected = CambrianS(model), CambrianS(model, RandomSurprise())
    for memory in (told, injected):
        memory.observe(latents[0], None, 0.0)
    assert told.observe(latents[1], 0.25, 1.0).surprise == 0.25
    assert injected.foresight.expected is None
    other = CambrianS(model, RandomSurprise())
    want = [other.observe(one, None, float(t)).surprise for t, one in enumerate(latents[:2])]
    assert injected.observe(latents[1], None, 1.0).surprise == want[1]


def test_a_model_without_a_head_expects_nothing(frame_tokens, latents) -> None:
    foresight = Foresight(frame_tokens())
    foresight.after(torch.zeros(1, 4, 32))
    assert foresight.surprise(latents[0]) is None
    assert (foresight.nbytes, foresight.state_dict()) == (0, {})


@torch.no_grad()
def test_bytes_count_what_is_expected_and_the_contract_holds(make, latents, checks) -> None:
    model = make()
    each = 4 * token_bytes(model.language) + 16
    opening = 3 * token_bytes(model.language) + 8
    assert checks.watch(CambrianS(model), latents[:2]) == [n * each + opening + 1 + 4 * 4 * 12 for n in (1, 2)]
    checks.contract(lambda: CambrianS(model, window=3, threshold=0.9, budget_tokens=30, top_k=4), latents[:16], 9)
    checks.contract(lambda: CambrianCount(model, window=3, threshold=0.9), latents[:12], 7)
    budget = 12 * each
    assert max(checks.watch(CambrianS(model, threshold=0.9, budget_bytes=budget), latents)) <= budget
    assert max(checks.watch(CambrianCount(model, threshold=9.0, budget_bytes=budget), latents)) <= budget
