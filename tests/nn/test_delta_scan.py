"""The delta rule over a whole stream is the loop over its events: outputs, memory and gradients."""

import pytest
import torch
from torch import Tensor

from ssm_sense.nn import delta_scan as module
from ssm_sense.nn.delta_scan import ScannedDeltaEpisode, delta_scan
from ssm_sense.nn.deltanet import DeltaEpisode, _written

WIDTH = 16


def episodes(layers: int = 2) -> tuple[ScannedDeltaEpisode, DeltaEpisode]:
    torch.manual_seed(0)
    scanned = ScannedDeltaEpisode(WIDTH, tokens=2, layers=layers, heads=2, head_width=8)
    looped = DeltaEpisode(WIDTH, tokens=2, layers=layers, heads=2, head_width=8)
    looped.load_state_dict(scanned.state_dict())
    return scanned, looped


def stream(frames: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(2, frames, 4, WIDTH, generator=draw), torch.rand(2, frames, generator=draw) > 0.4


@pytest.mark.parametrize("length", [1, 7, 8, 9, 31])
def test_it_is_the_loop(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 8)
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, length, 6, dtype=torch.float64, generator=draw) for _ in range(3))
    key = torch.nn.functional.normalize(key, dim=-1)
    log_keep = -torch.rand(2, 3, length, dtype=torch.float64, generator=draw)
    write = torch.rand(2, 3, length, dtype=torch.float64, generator=draw)
    memory = torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=draw)
    out, after = delta_scan(query, key, value, log_keep, write, memory)
    for t in range(length):
        memory = _written(memory, key[..., t, :], value[..., t, :], log_keep[..., t].exp(), write[..., t])
        torch.testing.assert_close(out[..., t, :], (query[..., t, :].unsqueeze(-1) * memory).sum(-2))
    torch.testing.assert_close(after, memory)


def test_states_answers_and_gradients_are_the_loops() -> None:
    frames, boundary = stream(40)
    probes, results = torch.randn(3, WIDTH), []
    for memory in episodes():
        u = frames.clone().requires_grad_()
        state = memory(u, boundary, memory.initial_state(2))
        answer = memory.read(memory.flush(state), probes)
        answer.square().sum().backward()
        gradients = [u.grad, *(p.grad for p in memory.parameters())]
        results.append([*state.values(), answer, *(g for g in gradients if g is not None)])
    for scanned, looped in zip(*results, strict=True):
        torch.testing.assert_close(scanned, looped, atol=1e-5, rtol=1e-4)


def test_between_events_the_memory_is_held_to_the_bit_and_a_cut_changes_nothing() -> None:
    scanned, _ = episodes()
    frames, boundary = stream(40)
    state = scanned(frames, boundary, scanned.initial_state(2))
    held = scanned(frames, torch.zeros_like(boundary), state)
    assert all(torch.equal(held[name], state[name]) for name in ("0.memory", "1.memory"))
    part = scanned(frames[:, :13], boundary[:, :13], scanned.initial_state(2))
    part = scanned(frames[:, 13:], boundary[:, 13:], part)
    assert all(torch.allclose(part[name], state[name], atol=1e-5) for name in state)


def test_aligned_queries_begin_equal_to_keys() -> None:
    torch.manual_seed(0)
    aligned, free = (ScannedDeltaEpisode(WIDTH, 1, 1, 2, 8, aligned=flag) for flag in (True, False))
    query, key, _ = aligned.layers[0].query_key_value.weight.chunk(3)
    assert torch.equal(query, key)
    query, key, _ = free.layers[0].query_key_value.weight.chunk(3)
    assert not torch.equal(query, key)


def test_autocast_changes_nothing() -> None:
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 40, 6, generator=draw) for _ in range(3))
    key = torch.nn.functional.normalize(key, dim=-1)
    rates = -torch.rand(2, 40, generator=draw), torch.rand(2, 40, generator=draw)
    given = (query, key, value, *rates, torch.zeros(2, 6, 6))
    plain = delta_scan(*given)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = delta_scan(*given)
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(plain, mixed, strict=True))
