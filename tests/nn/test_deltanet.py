"""The gated delta rule over events: as its formula says, held between events, cut anywhere, learnt through."""

import pytest
import torch
from torch import Tensor

from ssm_sense.model import SsmSense
from ssm_sense.nn.deltanet import DeltaEpisode, GatedDelta, _written
from ssm_sense.nn.episode import Episode
from ssm_sense.state import State

WIDTH, PLACES = 16, 4


def episode(layers: int = 2) -> DeltaEpisode:
    torch.manual_seed(0)
    return DeltaEpisode(WIDTH, tokens=2, layers=layers, heads=2, head_width=8)


def stream(frames: int, streams: int = 2) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    u = torch.randn(streams, frames, PLACES, WIDTH, generator=draw)
    boundary = torch.rand(streams, frames, generator=draw) > 0.6
    boundary[:, 0] = False
    return u, boundary


def memories(state: State) -> list[Tensor]:
    return [tensor for name, tensor in state.items() if name.endswith("memory")]


def test_a_step_is_the_papers_equation() -> None:
    """S_t = S_{t-1} (α (I − β k kᵀ)) + β v kᵀ with S values by keys, equation 10; ours is its transpose."""
    draw = torch.Generator().manual_seed(2)
    memory, key, value = (torch.randn(shape, generator=draw) for shape in ((3, 8, 8), (3, 8), (3, 8)))
    key = torch.nn.functional.normalize(key, dim=-1)
    alpha, beta = torch.rand(3, generator=draw), torch.rand(3, generator=draw)
    for h in range(3):
        k, v, s = key[h, :, None], value[h, :, None], memory[h].T
        expected = s @ (alpha[h] * (torch.eye(8) - beta[h] * k @ k.T)) + beta[h] * v @ k.T
        torch.testing.assert_close(_written(memory, key, value, alpha, beta)[h], expected.T)


def test_a_known_key_gets_the_new_value_in_place_of_the_old() -> None:
    key = torch.nn.functional.normalize(torch.randn(1, 8), dim=-1)
    one, old, new = torch.ones(1), torch.randn(1, 8), torch.randn(1, 8)
    memory = _written(torch.zeros(1, 8, 8), key, old, one, one)
    torch.testing.assert_close((key.unsqueeze(-1) * memory).sum(-2), old)
    memory = _written(memory, key, new, one, one)
    torch.testing.assert_close((key.unsqueeze(-1) * memory).sum(-2), new)


def test_half_a_gate_writes_and_forgets_less_than_a_whole_one() -> None:
    torch.manual_seed(0)
    layer = GatedDelta(WIDTH, heads=2, head_width=8)
    x, memory = torch.randn(1, WIDTH), torch.randn(1, 2, 8, 8)
    moved = [(layer(x, memory, torch.tensor([gate]))[1] - memory).norm().item() for gate in (0.0, 0.5, 1.0)]
    assert moved[0] == 0 < moved[1] < moved[2]


def test_the_memory_stays_in_float32_where_the_rest_is_halved() -> None:
    torch.manual_seed(0)
    layer = GatedDelta(WIDTH, heads=2, head_width=8)
    x, memory, gate = torch.randn(3, WIDTH), torch.randn(3, 2, 8, 8), torch.tensor([0.0, 1.0, 1.0])
    exact, after = layer(x, memory, gate)
    with torch.autocast("cpu", torch.bfloat16):
        half, halved = layer(x, memory, gate)
    assert halved.dtype == torch.float32
    assert torch.equal(halved[0], memory[0])
    torch.testing.assert_close(halved, after, atol=2e-2, rtol=0)
    torch.testing.assert_close(half.float(), exact, atol=5e-2, rtol=0)


def test_between_boundaries_the_state_is_held_to_the_bit_and_streams_do_not_mix() -> None:
    model, (u, boundary) = episode(), stream(20)
    start = model(u, boundary, model.initial_state(2))
    held = model(u, torch.zeros_like(boundary), start)
    assert all(torch.equal(a, b) for a, b in zip(memories(held), memories(start), strict=True))
    boundary[1] = False
    one_goes_on = model(u.flip(1), boundary, start)
    for was, now in zip(memories(start), memories(one_goes_on), strict=True):
        assert torch.equal(now[1], was[1])
        assert not torch.equal(now[0], was[0])


def test_an_event_is_written_as_its_frames_left_it() -> None:
    """Nothing at or after the boundary that ends it matters, everything before does."""
    model = episode()
    u, boundary = torch.randn(1, 6, PLACES, WIDTH), torch.tensor([[0, 0, 0, 1, 0, 0]]).bool()
    changed = u.clone()
    changed[:, 3:] = torch.randn(1, 3, PLACES, WIDTH)
    written = memories(model(u, boundary, model.initial_state(1)))
    same = memories(model(changed, boundary, model.initial_state(1)))
    assert all(torch.equal(a, b) for a, b in zip(written, same, strict=True))
    changed[:, 1] += 1
    assert not torch.equal(memories(model(changed, boundary, model.initial_state(1)))[0], written[0])


@pytest.mark.parametrize("cuts", [[1], [13], [29], list(range(1, 30))], ids=str)
def test_streaming_equals_the_whole_however_it_is_cut(cuts: list[int]) -> None:
    model, (u, boundary) = episode(), stream(30)
    whole = model(u, boundary, model.initial_state(2))
    state = model.initial_state(2)
    for part, here in zip(u.tensor_split(cuts, dim=1), boundary.tensor_split(cuts, dim=1), strict=True):
        state = model(part, here, state)
        assert state.nbytes == whole.nbytes == model.initial_state(2).nbytes
    for name in whole:
        torch.testing.assert_close(state[name], whole[name], atol=1e-6, rtol=1e-5)


def test_flushing_writes_the_event_in_progress_into_a_copy() -> None:
    model, (u, boundary) = episode(), stream(20)
    boundary[:, -1] = True
    state = model(u[:, :-1], boundary[:, :-1], model.initial_state(2))
    before = state.clone()
    ended = model(u, boundary, model.initial_state(2))
    for a, b in zip(memories(model.flush(state)), memories(ended), strict=True):
        torch.testing.assert_close(a, b)
    assert all(torch.equal(state[name], before[name]) for name in before)


def test_each_probe_reads_by_itself_and_leaves_no_trace() -> None:
    model, (u, boundary), probes = episode(), stream(9), torch.randn(3, WIDTH)
    state = model(u, boundary, model.initial_state(2))
    before = state.clone()
    read = model.read(state, probes)
    assert read.shape == (2, 3, 2, WIDTH)
    torch.testing.assert_close(read, torch.cat([model.read(state, probes[i : i + 1]) for i in range(3)], 1))
    assert not torch.allclose(read, model.read(model.alone(state), probes))
    assert all(torch.equal(state[name], before[name]) for name in before)


def test_it_stays_bounded_over_many_events() -> None:
    model = episode()
    state = model.initial_state(1)
    every = torch.ones(1, 100, dtype=torch.bool)
    with torch.no_grad():
        sizes = []
        for _ in range(5):
            state = model(torch.randn(1, 100, PLACES, WIDTH), every, state)
            sizes.append(max(float(memory.abs().max()) for memory in memories(state)))
    assert max(sizes) < 10


def test_it_takes_the_episodes_place_in_the_model(model: SsmSense) -> None:
    """Streamed and whole agree, a late question teaches the first frames, and every parameter learns."""
    model.episode = episode()
    draw = torch.Generator().manual_seed(4)
    latents = torch.randn(1, 7, 4, 12, generator=draw).repeat_interleave(6, 1)
    latents = latents + 0.3 * torch.randn(latents.shape, generator=draw)
    seconds = torch.arange(42, dtype=torch.float64)[None]
    _, whole = model.observe(latents, seconds, model.initial_state(1))
    state = model.initial_state(1)
    with torch.no_grad():
        for t in range(42):
            _, state = model.observe(latents[:, t : t + 1], seconds[:, t : t + 1], state)
    assert whole["episode.0.memory"].abs().sum() > 0
    for name in whole:
        torch.testing.assert_close(state[name], whole[name], atol=1e-4, rtol=1e-4)
    latents.requires_grad_(True)
    _, state = model.observe(latents, seconds, model.initial_state(1))
    model.tokens(state).sum().backward()
    assert latents.grad is not None
    assert latents.grad[0, 0].abs().sum() > 0
    assert [name for name, p in model.episode.named_parameters() if p.grad is None] == []


def test_a_layer_takes_the_bytes_of_a_recurrent_episodes() -> None:
    ours, theirs = (kind(128, tokens=4, layers=2).initial_state(1).nbytes for kind in (DeltaEpisode, Episode))
    assert ours == theirs


def test_bad_sizes_are_named() -> None:
    for bad in ({"tokens": 0}, {"layers": 0}, {"heads": 0}, {"head_width": 0}):
        with pytest.raises(ValueError, match="of 1 or more, got"):
            DeltaEpisode(WIDTH, **bad)
