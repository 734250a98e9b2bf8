"""The temporal encoder: streaming equals parallel, reading leaves no trace, resets cut the past off."""

import torch

from ssm_sense.nn.temporal import TemporalEncoder


def encoder() -> TemporalEncoder:
    torch.manual_seed(0)
    return TemporalEncoder(vision_width=12, width=16, grid=2, layers=2)


def test_streaming_equals_parallel() -> None:
    model, frames = encoder(), 40
    x, gate = torch.randn(2, frames, 4, 12), torch.rand(2, frames, 4)
    keep = (torch.rand(2, frames) > 0.1).float()
    whole, end = model(x, model.initial_state(2), gate, keep)
    state, steps = model.initial_state(2), []
    for t in range(frames):
        u, state = model(x[:, t : t + 1], state, gate[:, t : t + 1], keep[:, t : t + 1])
        steps.append(u)
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-5, rtol=1e-5)
    for name in end:
        torch.testing.assert_close(state[name], end[name], atol=1e-5, rtol=1e-5)


def test_state_bytes_do_not_grow() -> None:
    model = encoder()
    start = model.initial_state(1)
    _, state = model(torch.randn(1, 10, 4, 12), start)
    _, later = model(torch.randn(1, 90, 4, 12), state)
    assert start.nbytes == state.nbytes == later.nbytes


def test_reading_depends_on_the_state_and_changes_none_of_it() -> None:
    model = encoder()
    probes = torch.randn(3, 4, 16)
    _, state = model(torch.randn(2, 5, 4, 12), model.initial_state(2))
    before = {k: v.clone() for k, v in state.items()}
    read = model.read(state, probes)
    assert read.shape == (2, 3, 4, 16)
    assert all(torch.equal(state[k], before[k]) for k in before)
    assert not torch.allclose(read, model.read(model.initial_state(2), probes))
    alone = torch.cat([model.read(state, probes[i : i + 1]) for i in range(3)], 1)
    torch.testing.assert_close(read, alone)


def test_places_mix_within_a_frame_only() -> None:
    model = encoder()
    x = torch.randn(1, 3, 4, 12)
    changed = x.clone()
    changed[:, 2, 0] += 1
    y, y_changed = model(x, model.initial_state(1))[0], model(changed, model.initial_state(1))[0]
    torch.testing.assert_close(y[:, :2], y_changed[:, :2])
    assert not torch.allclose(y[:, 2, 3], y_changed[:, 2, 3])
