"""An event is written by the most that it surprised: worked by hand, cut anywhere, held to the bit where it is shut."""

import pytest
import torch
from torch import Tensor, nn

from ssm_sense.nn.delta_scan import ScannedDeltaEpisode
from ssm_sense.nn.deltanet import DeltaEpisode
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.event_gate import EventGate

WIDTH, PLACES = 16, 4
GATE = EventGate(low=0.2, high=0.6)
MEMORIES = {
    "episode": lambda gate: Episode(WIDTH, tokens=2, layers=2, state_size=4, gate=gate),
    "delta": lambda gate: DeltaEpisode(WIDTH, tokens=2, layers=2, heads=2, head_width=8, gate=gate),
    "scanned": lambda gate: ScannedDeltaEpisode(WIDTH, tokens=2, layers=2, heads=2, head_width=8, gate=gate),
}


def memory(name: str, gate: EventGate | None = GATE) -> nn.Module:
    torch.manual_seed(0)
    return MEMORIES[name](gate)


def stream(frames: int, loudest: float = 0.8) -> tuple[Tensor, Tensor, Tensor]:
    """Two streams, their boundaries, and surprise between 0 and ``loudest``."""
    draw = torch.Generator().manual_seed(1)
    u = torch.randn(2, frames, PLACES, WIDTH, generator=draw)
    boundary = torch.rand(2, frames, generator=draw) > 0.6
    boundary[:, 0] = False
    return u, boundary, loudest * torch.rand(2, frames, generator=draw)


def test_it_opens_with_the_peak_of_the_event_that_ended() -> None:
    wrong = torch.tensor([[0.1, 0.5, 0.3, 0.2, 0.1, 0.9, 0.3, 0.4]])
    boundary = torch.tensor([[0, 0, 0, 1, 0, 1, 1, 0]]).bool()
    written, after = GATE(wrong, boundary, GATE.initial_state(1))
    # Events 0-2 (peak .5), 3-4 (.2), 5 (.9), and 6-7, still in progress (.4).
    torch.testing.assert_close(written, torch.tensor([[0, 0, 0, 0.75, 0, 0.0, 1.0, 0]]))
    torch.testing.assert_close(after["level"], torch.tensor([0.4]))
    torch.testing.assert_close(GATE.so_far(after, torch.zeros(1, 2, WIDTH)), torch.tensor([0.5]))


@pytest.mark.parametrize("name", MEMORIES)
@pytest.mark.parametrize("cuts", [[1], [13], [29], list(range(1, 30))], ids=str)
def test_streaming_equals_the_whole_however_it_is_cut(name: str, cuts: list[int]) -> None:
    model, (u, boundary, wrong) = memory(name), stream(30)
    whole = model(u, boundary, model.initial_state(2), wrong)
    state = model.initial_state(2)
    for parts in zip(*(x.tensor_split(cuts, dim=1) for x in (u, boundary, wrong)), strict=True):
        state = model(parts[0], parts[1], state, parts[2])
        assert state.nbytes == whole.nbytes == model.initial_state(2).nbytes
    assert torch.equal(state["gate.level"], whole["gate.level"])
    for key in whole:
        torch.testing.assert_close(state[key], whole[key], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", MEMORIES)
def test_what_never_surprises_is_never_written_and_what_always_does_is_as_without_a_gate(name: str) -> None:
    gated, bare = memory(name), memory(name, gate=None)
    u, boundary, _ = stream(30)
    start = gated(u, boundary, gated.initial_state(2), torch.ones(2, 30))
    kept = [key for key in start if not key.startswith(("pool.", "gate."))]
    free = bare(u, boundary, bare.initial_state(2))
    assert kept
    assert all(torch.equal(start[key], free[key]) for key in kept)
    quiet = stream(30, loudest=0.2)[2]
    # The event that the first piece left in progress had surprised, and is written at the next boundary.
    settled = gated(u, boundary, start, quiet)
    held = gated(u, boundary, settled, quiet)
    assert all(torch.equal(settled[key], held[key]) for key in kept)
    assert any(not torch.equal(start[key], settled[key]) for key in kept)


@pytest.mark.parametrize("name", MEMORIES)
def test_flushing_writes_by_the_level_so_far_and_alone_keeps_it(name: str) -> None:
    model, (u, boundary, wrong) = memory(name), stream(12)
    state = model(u[:, :11], boundary[:, :11], model.initial_state(2), wrong[:, :11])
    boundary[:, 11] = True
    ended = model(u, boundary, model.initial_state(2), wrong)
    flushed = model.flush(state)
    for key in flushed:
        if not key.startswith(("pool.", "gate.")):
            torch.testing.assert_close(flushed[key], ended[key], atol=1e-6, rtol=1e-5)
    assert torch.equal(model.alone(state)["gate.level"], state["gate.level"])
    assert model.read(flushed, torch.randn(3, WIDTH)).isfinite().all()


def test_what_cannot_be_is_refused() -> None:
    for low, high in ((0.5, 0.5), (0.6, 0.5), (-0.1, 0.5)):
        with pytest.raises(ValueError, match=f"expected 0 <= low < high, got {low} and {high}"):
            EventGate(low, high)
    for name in MEMORIES:
        model, (u, boundary, _) = memory(name), stream(5)
        with pytest.raises(ValueError, match="expected that of every frame, got None"):
            model(u, boundary, model.initial_state(2))
