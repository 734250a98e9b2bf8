"""Attention sinks: which tokens stay, worked by hand, and what is read from them."""

import pytest
import torch

from ssm_sense.memory.attention_sinks import AttentionSinks
from ssm_sense.memory.kv_cache import token_bytes
from ssm_sense.state import State

ASKED = ("how many chairs are there", ["A. one", "B. two"])


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
@pytest.mark.parametrize("begun", [False, True])
def test_the_first_and_the_newest_tokens_stay(frame_tokens, latents, family: str, begun: bool) -> None:
    """In one layer, what is held equals a plain pass over the tokens that are worked out by hand."""
    model = frame_tokens(family, layers=1, begun=begun)
    memory = AttentionSinks(model, sinks=2, recent=9)
    for t, one in enumerate(latents[:5]):
        memory.observe(one, None, float(t))
    tokens = model.embed(latents[:5]).flatten(0, 1)
    before = model.language.embed_opening()[0]
    n = len(before)
    assert n == (3 if begun else 0)
    every = torch.cat([before, tokens])
    # Sinks 0, 1; the frame of 4 that came last; before it the newest 9 − 4 = 5 of the rest.
    kept = torch.cat([every[:2], every[n + 16 - 5 :]])
    model.language.layout.__dict__["before"] = []
    want = model.language.score(kept[None], ASKED[0], ["A", "B"])
    got = memory.read(*ASKED)
    torch.testing.assert_close(torch.tensor(got.log_likelihoods), want, atol=1e-4, rtol=1e-4)
    assert memory.held[0].tokens == 11


@torch.no_grad()
def test_until_tokens_are_dropped_it_is_a_plain_pass(frame_tokens, latents) -> None:
    model = frame_tokens(begun=True)
    memory = AttentionSinks(model)
    want = model.language.score(torch.zeros(1, 0, 32), ASKED[0], ["A", "B"])
    torch.testing.assert_close(torch.tensor(memory.read(*ASKED).log_likelihoods), want, atol=1e-4, rtol=1e-4)
    for t, one in enumerate(latents[:9]):
        memory.observe(one, None, float(t))
    want = model.language.score(model.embed(latents[:9]).flatten(0, 1)[None], ASKED[0], ["A", "B"])
    torch.testing.assert_close(torch.tensor(memory.read(*ASKED).log_likelihoods), want, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_bytes_fill_the_budget_and_stay(frame_tokens, latents) -> None:
    model = frame_tokens()
    each = token_bytes(model.language)
    memory = AttentionSinks(model, budget_bytes=30 * each + 8)
    assert memory.recent == 26
    sizes = []
    for t, one in enumerate(latents):
        memory.observe(one, None, float(t))
        sizes.append(memory.nbytes)
        assert memory.nbytes == State(memory.state_dict()).nbytes <= 30 * each + 8
    assert sizes[:9] == [8 + each * n for n in (4, 8, 12, 16, 20, 24, 28, 30, 30)]
    assert set(sizes[8:]) == {30 * each + 8}
    with pytest.raises(ValueError, match="budget_bytes: expected at least"):
        AttentionSinks(model, budget_bytes=7 * each)
    with pytest.raises(ValueError, match="recent >= 4"):
        AttentionSinks(model, recent=3)


@torch.no_grad()
def test_saved_it_goes_on_and_reset_it_forgets(frame_tokens, latents) -> None:
    model = frame_tokens()
    asked, quiet, other = (AttentionSinks(model, 3, 12) for _ in range(3))
    for t, one in enumerate(latents[:20]):
        asked.observe(one, None, float(t))
        quiet.observe(one, None, float(t))
        asked.read(*ASKED)
    other.load_state_dict({k: v.clone() for k, v in quiet.state_dict().items()})
    for t, one in enumerate(latents[20:25]):
        for memory in (asked, quiet, other):
            memory.observe(one, None, 20.0 + t)
    assert asked.read(*ASKED) == quiet.read(*ASKED) == other.read(*ASKED)
    other.reset()
    assert other.nbytes == 0
    assert other.read(*ASKED) == AttentionSinks(model).read(*ASKED)
    with pytest.raises(ValueError, match=r"got also 0\.keys"):
        other.load_state_dict({"0.keys": torch.ones(1)})
