"""An event is pooled over all its frames, by sums that a boundary clears."""

import pytest
import torch
from torch import Tensor

from ssm_sense.nn.event_pool import EventPool

WIDTH, PLACES = 16, 4


def pool(dtype: torch.dtype = torch.float32) -> EventPool:
    torch.manual_seed(0)
    return EventPool(WIDTH, tokens=3, heads=2).to(dtype)


def frames(count: int, streams: int = 2) -> Tensor:
    return torch.randn(streams, count, PLACES, WIDTH, generator=torch.Generator().manual_seed(1))


def attention(model: EventPool, event_SD: Tensor) -> Tensor:
    """What the queries make of one event (n, D), by a softmax over all of it."""
    score = model.score(event_SD)
    score = 8 * torch.tanh(score / 8)
    value = model.value(event_SD).unflatten(-1, (model.tokens * model.heads, -1))
    mean = torch.einsum("nh,nhd->hd", torch.softmax(score, 0), value).reshape(model.tokens, WIDTH)
    return model.norm(mean + model.size(score.logsumexp(0).view(model.tokens, model.heads)))


def test_it_is_softmax_attention_over_the_event_so_far() -> None:
    model, u = pool(), frames(9)
    boundary = torch.zeros(2, 9, dtype=torch.bool)
    boundary[0, 4] = True
    pooled, _ = model(u, boundary, model.initial_state(2))
    for stream, first, last in ((0, 0, 3), (0, 4, 4), (0, 4, 8), (1, 0, 0), (1, 0, 8)):
        wanted = attention(model, u[stream, first : last + 1].flatten(0, 1))
        torch.testing.assert_close(pooled[stream, last], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cuts", [[1], [7], [19], list(range(1, 20))], ids=str)
def test_cutting_changes_nothing_and_the_state_does_not_grow(cuts: list[int]) -> None:
    model, u = pool(), frames(20)
    boundary = torch.rand(2, 20, generator=torch.Generator().manual_seed(2)) > 0.7
    whole, after = model(u, boundary, model.initial_state(2))
    state, parts = model.initial_state(2), []
    for x, b in zip(u.tensor_split(cuts, 1), boundary.tensor_split(cuts, 1), strict=True):
        part, state = model(x, b, state)
        parts.append(part)
        assert state.nbytes == after.nbytes == model.initial_state(2).nbytes
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-6, rtol=1e-5)
    for name in after:
        torch.testing.assert_close(state[name], after[name], atol=1e-5, rtol=1e-5)


def test_what_was_before_a_boundary_is_gone_to_the_bit() -> None:
    model, u, other = pool(), frames(8), frames(8).flip(1)
    boundary = torch.zeros(2, 8, dtype=torch.bool)
    boundary[:, 5] = True
    changed = torch.cat([other[:, :5], u[:, 5:]], 1)
    a, _ = model(u, boundary, model.initial_state(2))
    b, _ = model(changed, boundary, model.initial_state(2))
    assert torch.equal(a[:, 5:], b[:, 5:])
    assert not torch.allclose(a[:, 4], b[:, 4])


def test_every_frame_of_an_event_is_taught() -> None:
    """The gradient of what is written at an event's end reaches its first frame undiminished in kind."""
    model, u = pool(), frames(30).requires_grad_()
    pooled, _ = model(u, torch.zeros(2, 30, dtype=torch.bool), model.initial_state(2))
    (gradient,) = torch.autograd.grad(pooled[:, -1].square().mul(torch.arange(WIDTH)).sum(), u)
    size = gradient.abs().mean((0, 2, 3))
    assert size.min() > 0.1 * size.max()


def test_more_of_the_same_is_not_the_same() -> None:
    """The average of equal frames is equal; the denominator tells one from ten."""
    model, u = pool(), frames(1).expand(2, 10, PLACES, WIDTH)
    pooled, _ = model(u, torch.zeros(2, 10, dtype=torch.bool), model.initial_state(2))
    assert not torch.allclose(pooled[:, 0], pooled[:, 9], atol=1e-2)


def test_extreme_features_stay_finite() -> None:
    model = pool()
    pooled, state = model(1e6 * frames(50), torch.zeros(2, 50, dtype=torch.bool), model.initial_state(2))
    assert pooled.isfinite().all()
    assert state["sums"].isfinite().all()


@pytest.mark.parametrize(("tokens", "heads"), [(0, 2), (2, 3)])
def test_sizes_that_do_not_fit_are_refused(tokens: int, heads: int) -> None:
    with pytest.raises(ValueError, match="expected tokens of 1 or more and heads that divide"):
        EventPool(WIDTH, tokens, heads)
