"""Counts set against how often a stream meets a kind: right with few and with many, left alone where all is usual."""

import pytest
import torch

from ssm_sense.nn.rates import Rates

USUAL = 0.25


def seen(rate: float, places: int, seed: int = 0, apart: float = 2.5) -> tuple[torch.Tensor, int]:
    """What places (n, 1) seem to hold, a posterior that is calibrated at the usual rate, and how many truly do."""
    draw = torch.Generator().manual_seed(seed)
    there = torch.rand(places, generator=draw) < rate
    evidence = torch.randn(places, generator=draw) * apart + torch.where(there, 1, -1) * apart**2 / 2
    prior = torch.logit(torch.tensor(USUAL))
    return torch.sigmoid(evidence + prior).unsqueeze(1), int(there.sum())


def calibrated() -> Rates:
    rates = Rates(1)
    rates.set(seen(USUAL, 20_000, seed=1)[0], torch.ones(1))
    assert rates.usual.item() == pytest.approx(USUAL, abs=0.01)
    return rates


def count(rates: Rates, held_nK: torch.Tensor) -> float:
    there = torch.ones(1, len(held_nK), dtype=torch.bool)
    so_far, _ = rates.count(held_nK.unsqueeze(0), there, rates.initial_state(1))
    return so_far.item()


@pytest.mark.parametrize(("rate", "places"), [(0.01, 600), (0.05, 600), (0.25, 600), (0.6, 100), (0.9, 60)])
def test_it_counts_in_houses_with_few_and_with_many(rate: float, places: int) -> None:
    """To within a twentieth, and twice the two things (8 places of .25) that stand for the usual rate."""
    rates, wrong, wrong_before = calibrated(), [], []
    for seed in range(20):
        held, true = seen(rate, places, seed)
        wrong.append(count(rates, held) - true)
        wrong_before.append(held.sum().item() - true)
    bias, before = (abs(sum(errors)) / 20 for errors in (wrong, wrong_before))
    assert bias < 0.05 * rate * places + 4
    if rate != USUAL:
        assert bias < before / 3


def test_where_nothing_can_be_told_the_usual_rate_stays() -> None:
    rates = calibrated()
    assert count(rates, rates.usual.expand(500, 1)) == pytest.approx(500 * rates.usual.item(), rel=1e-4)


def test_one_place_is_taken_at_its_word() -> None:
    """A stream of one place says next to nothing of its own rate."""
    for held in (0.1, 0.5, 0.9):
        assert count(calibrated(), torch.tensor([[held]])) == pytest.approx(held, abs=0.05)


def test_what_is_beyond_one_is_added_and_scaled() -> None:
    rates = calibrated()
    more = count(rates, torch.tensor([[3.0], [0.1]])) - count(rates, torch.tensor([[1.0], [0.1]]))
    assert more == pytest.approx(2.0)
    assert count(rates, torch.tensor([[9.0], [0.1]])) == count(rates, torch.tensor([[3.0], [0.1]])), "three at most"
    rates.set(seen(USUAL, 20_000, seed=1)[0] / 2, torch.tensor([2.0]))
    held, true = seen(0.05, 600)
    assert count(rates, held / 2) == pytest.approx(true, rel=0.25)


def test_a_forgotten_place_counts_as_one_that_is_kept() -> None:
    rates, (held, _) = calibrated(), seen(0.1, 300)
    held[::50] += 1.5
    state = rates.initial_state(2)
    for one in held[:-20]:
        state = rates.forget(torch.stack([one, one]), torch.tensor([True, False]), state)
    assert state.nbytes == rates.initial_state(2).nbytes
    there = torch.ones(2, 20, dtype=torch.bool)
    (kept, without), _ = rates.count(held[-20:].expand(2, -1, -1), there, state)
    assert kept.item() == pytest.approx(count(rates, held), rel=0.03)
    assert without.item() == pytest.approx(count(rates, held[-20:]), rel=1e-4)


def test_the_last_place_is_here_and_a_place_that_is_not_there_counts_nothing() -> None:
    rates, held = calibrated(), torch.tensor([[[0.9], [0.8], [1.7]]])
    none = rates.initial_state(1)
    whole, here = rates.count(held, torch.tensor([[True, True, True]]), none)
    rest, gone = rates.count(held, torch.tensor([[True, True, False]]), none)
    assert gone.item() == 0
    assert 1.6 < here.item() < 1.7
    assert whole.item() - rest.item() == pytest.approx(here.item(), abs=0.05), "the rate differs a little"


def test_kinds_of_no_known_scale_are_unknown() -> None:
    rates = Rates(3)
    assert not rates.known.any()
    rates.set(torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([1.0, 0.0, 1.0]))
    assert rates.known.tolist() == [True, False, False]
