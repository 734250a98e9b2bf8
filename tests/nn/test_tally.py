"""A tally adds what events bring, at boundaries only, whatever the cut, and says how far off it is."""

import pytest
import torch

from ssm_sense.nn.episode import Episode
from ssm_sense.nn.tally import Tally, tally_loss


def episode() -> Episode:
    torch.manual_seed(0)
    return Episode(width=16, tokens=2, layers=2, pool="peak", tallies=5)


def events(frames: int, *at: int) -> torch.Tensor:
    boundary = torch.zeros(1, frames, dtype=torch.bool)
    boundary[:, list(at)] = True
    return boundary


@torch.no_grad()
def test_it_is_the_sum_of_what_the_events_add() -> None:
    model, u, boundary = episode(), torch.randn(1, 20, 4, 16), events(20, 6, 13)
    after = model(u, boundary, model.initial_state(1))
    pooled, _ = model.pool(u, boundary, model.initial_state(1).sub("pool"))
    seen, _ = model._mix(pooled[:, [5, 12]], torch.ones(1, 2), model.initial_state(1))
    torch.testing.assert_close(after["tally"], model.tally(seen).sum(1))
    assert (after["tally"] > 0).all()
    torch.testing.assert_close(model.flush(after)["tally"], model(u[:, :1], events(1, 0), after)["tally"])
    assert not model.alone(after)["tally"].any()


@torch.no_grad()
def test_between_boundaries_it_is_held_to_the_bit() -> None:
    model = episode()
    start = model(torch.randn(1, 9, 4, 16), events(9, 4), model.initial_state(1))
    held = model(torch.randn(1, 50, 4, 16), events(50), start)
    assert torch.equal(held["tally"], start["tally"])
    assert held.nbytes == start.nbytes == model.initial_state(1).nbytes


@torch.no_grad()
@pytest.mark.parametrize("cut", [1, 7, 8, 29])
def test_cutting_changes_nothing(cut: int) -> None:
    model, u, boundary = episode(), torch.randn(2, 30, 4, 16), torch.rand(2, 30) > 0.7
    whole = model(u, boundary, model.initial_state(2))
    middle = model(u[:, :cut], boundary[:, :cut], model.initial_state(2))
    pieces = model(u[:, cut:], boundary[:, cut:], middle)
    torch.testing.assert_close(pieces["tally"], whole["tally"], atol=1e-5, rtol=1e-5)


def test_it_learns_to_count_what_comes_back_once() -> None:
    """Events show one of three rooms, each with things of its own: only the first sight of a room may add them."""
    torch.manual_seed(0)
    model = Episode(width=16, tokens=1, layers=1, pool="peak", tallies=1)
    rooms = torch.randn(3, 1, 16) * 2
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(300):
        order = torch.randint(3, (32, 6))
        boundary = torch.ones(32, 7, dtype=torch.bool)
        u = torch.cat([rooms[order], rooms[order[:, -1:]]], dim=1)
        found = model(u, boundary, model.initial_state(32))["tally"]
        true = torch.tensor([[len(set(row.tolist()))] for row in order])
        loss = tally_loss(found, true)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    off = (found.round() != true).float().mean()
    assert sum(losses[-20:]) < 0.2 * sum(losses[:20])
    assert off < 0.2, "six events of three rooms: without memory, their number alone says little"


def test_the_loss_is_about_relative_and_leaves_out_what_nobody_knows() -> None:
    found = torch.tensor([[2.0, 8.0, 3.0]], requires_grad=True)
    assert tally_loss(found, torch.tensor([[2, 8, -1]])) == 0
    little, much = (tally_loss(torch.tensor([n]), torch.tensor([m])) for n, m in ((2.0, 1), (20.0, 19)))
    assert little > 5 * much
    tally_loss(found, torch.tensor([[1, 8, -1]])).backward()
    assert found.grad is not None
    assert found.grad[0, 0] > 0
    assert not found.grad[0, 1:].any()
    assert tally_loss(found, torch.tensor([[-1, -1, -1]])) == 0


def test_kinds_there_must_be() -> None:
    with pytest.raises(ValueError, match="kinds: expected 1 or more, got 0"):
        Tally(16, 0)
