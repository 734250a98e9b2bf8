"""The episode state advances at boundaries only, holds to the bit between them, and is read without a trace."""

import pytest
import torch

from ssm_sense.nn.episode import Episode


def episode() -> Episode:
    torch.manual_seed(0)
    return Episode(width=16, tokens=2, layers=2)


def ssm(state) -> list[torch.Tensor]:
    return [v for k, v in state.items() if k.endswith("ssm")]


def test_between_boundaries_the_state_is_held_to_the_bit() -> None:
    model, none = episode(), torch.zeros(2, 30, dtype=torch.bool)
    start = model(torch.randn(2, 5, 4, 16), torch.tensor([[0, 0, 1, 0, 0]] * 2).bool(), model.initial_state(2))
    held = model(torch.randn(2, 30, 4, 16), none, start)
    assert all(torch.equal(a, b) for a, b in zip(ssm(start), ssm(held), strict=True))
    assert any(a.abs().sum() > 0 for a in ssm(start))


def test_an_event_is_written_as_it_was_up_to_its_last_frame() -> None:
    """What is written at a boundary at t comes from the frames before, so nothing at or after t matters."""
    model = episode()
    u, boundary = torch.randn(1, 6, 4, 16), torch.tensor([[0, 0, 0, 1, 0, 0]]).bool()
    changed = u.clone()
    changed[:, 3:] = torch.randn(1, 3, 4, 16)
    written = ssm(model(u, boundary, model.initial_state(1)))
    same = ssm(model(changed, boundary, model.initial_state(1)))
    assert all(torch.equal(a, b) for a, b in zip(written, same, strict=True))
    changed[:, 0] += 1
    assert not torch.equal(ssm(model(changed, boundary, model.initial_state(1)))[0], written[0])


@pytest.mark.parametrize("cut", [1, 4, 5, 19])
def test_cutting_changes_nothing(cut: int) -> None:
    model = episode()
    u, boundary = torch.randn(2, 20, 4, 16), torch.rand(2, 20) > 0.7
    whole = model(u, boundary, model.initial_state(2))
    middle = model(u[:, :cut], boundary[:, :cut], model.initial_state(2))
    pieces = model(u[:, cut:], boundary[:, cut:], middle)
    for name in whole:
        torch.testing.assert_close(pieces[name], whole[name], atol=1e-6, rtol=1e-5)
    assert whole.nbytes == model.initial_state(2).nbytes


def test_flushing_writes_the_event_in_progress_into_a_copy() -> None:
    model = episode()
    u = torch.randn(1, 7, 4, 16)
    quiet, then_ended = torch.zeros(1, 6, dtype=torch.bool), torch.tensor([[0] * 6 + [1]]).bool()
    state = model(u[:, :6], quiet, model.initial_state(1))
    before = {k: v.clone() for k, v in state.items()}
    flushed = model.flush(state)
    ended = model(u, then_ended, model.initial_state(1))
    for a, b in zip(ssm(flushed), ssm(ended), strict=True):
        torch.testing.assert_close(a, b)
    assert all(torch.equal(state[k], before[k]) for k in before)


def test_each_probe_reads_by_itself() -> None:
    model, probes = episode(), torch.randn(3, 16)
    state = model(torch.randn(2, 9, 4, 16), torch.rand(2, 9) > 0.5, model.initial_state(2))
    read = model.read(state, probes)
    assert read.shape == (2, 3, 2, 16)
    torch.testing.assert_close(read, torch.cat([model.read(state, probes[i : i + 1]) for i in range(3)], 1))
    assert not torch.allclose(read, model.read(model.initial_state(2), probes))
