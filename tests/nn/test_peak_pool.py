"""An event is pooled by its peaks, which a boundary clears."""

import pytest
import torch
from torch import Tensor

from ssm_sense.nn.episode import Episode
from ssm_sense.nn.peak_pool import PeakPool

WIDTH, PLACES = 16, 4


def pool() -> PeakPool:
    torch.manual_seed(0)
    return PeakPool(WIDTH, tokens=3)


def frames(count: int, streams: int = 2) -> Tensor:
    return torch.randn(streams, count, PLACES, WIDTH, generator=torch.Generator().manual_seed(1))


def boundaries(count: int, share: float) -> Tensor:
    return torch.rand(2, count, generator=torch.Generator().manual_seed(2)) < share


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 2, 37, 64, 65])
def test_it_is_the_maximum_over_the_event_so_far(count: int, share: float) -> None:
    model, u, boundary = pool(), frames(count), boundaries(count, share)
    pooled, after = model(u, boundary, model.initial_state(2))
    for stream in range(2):
        first = 0
        for t in range(count):
            first = t if boundary[stream, t] else first
            peak = model.value(u[stream, first : t + 1]).amax((0, 1))
            torch.testing.assert_close(pooled[stream, t].flatten(), model.norm(peak))
        torch.testing.assert_close(after["peak"][stream], peak)
    assert torch.equal(after["last"], pooled[:, -1])


@pytest.mark.parametrize("cuts", [[1], [7], [19], list(range(1, 20))], ids=str)
def test_cutting_changes_no_bit_and_the_state_does_not_grow(cuts: list[int]) -> None:
    model, u, boundary = pool().double(), frames(20).double(), boundaries(20, 0.3)
    whole, after = model(u, boundary, model.initial_state(2))
    state, parts = model.initial_state(2), []
    for x, b in zip(u.tensor_split(cuts, 1), boundary.tensor_split(cuts, 1), strict=True):
        part, state = model(x, b, state)
        parts.append(part)
        assert state.nbytes == after.nbytes == model.initial_state(2).nbytes
    # The maximum is exact; the linear map before it may round otherwise when it has fewer rows.
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(state["peak"], after["peak"], atol=1e-12, rtol=1e-12)


def test_the_gradient_goes_to_where_a_peak_was_and_is_whole() -> None:
    model, u = pool(), frames(30).requires_grad_()
    peaks = model.value(u).amax((1, 2))
    _, after = model(u, torch.zeros(2, 30, dtype=torch.bool), model.initial_state(2))
    weight = torch.randn(peaks.shape, generator=torch.Generator().manual_seed(3))
    (wanted,) = torch.autograd.grad((peaks * weight).sum(), u)
    (found,) = torch.autograd.grad((after["peak"] * weight).sum(), u)
    torch.testing.assert_close(found, wanted)


def test_an_event_without_frames_is_finite() -> None:
    episode = Episode(WIDTH, tokens=2, layers=1, pool="peak")
    state = episode.flush(episode.initial_state(3))
    assert all(part.isfinite().all() for part in state.values())
    assert episode.read(state, torch.randn(4, WIDTH)).isfinite().all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="tokens: expected 1 or more, got 0"):
        PeakPool(WIDTH, 0)
    with pytest.raises(ValueError, match="pool: expected 'peak' or 'attention', got 'mean'"):
        Episode(WIDTH, pool="mean")  # type: ignore[arg-type]
