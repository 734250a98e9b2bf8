"""The supervised probe: it learns what it is shown, and any cut of a stream gives the same."""

import pytest
import torch

from ssm_sense.nn.probe import BoundaryProbe, train_probe

PLACES, WIDTH = 4, 6


def rooms(seed: int, frames: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Every frame is another picture; events are where one channel's sign changes for good."""
    draw = torch.Generator().manual_seed(seed)
    latents = torch.randn(frames, PLACES, WIDTH, generator=draw)
    room = torch.arange(frames) // 10
    latents[..., 0] = 3.0 * (1 - 2 * (room % 2))[:, None].float()
    return latents, torch.cat([torch.zeros(1, dtype=torch.bool), room[1:] != room[:-1]])


def test_it_finds_what_it_was_taught() -> None:
    taught = [rooms(seed) for seed in range(8)]
    probe = train_probe([x for x, _ in taught], [y for _, y in taught], steps=200, learning_rate=0.05)
    latents, events = rooms(7)
    with torch.no_grad():
        level, _ = probe(latents[None], probe.initial_state(1))
    found = level[0, :, 0]
    assert found[0] == 1.0
    elsewhere = found[2:][~(events[2:] | events[1:-1])]
    assert (found[1:][events[1:]][:, None] > elsewhere).float().mean() > 0.95
    assert torch.equal(level[0, 1:, 0], level[0, 1:, -1])


def test_any_cut_of_a_stream_gives_the_same() -> None:
    torch.manual_seed(0)
    probe = BoundaryProbe(PLACES, WIDTH).eval()
    latents = torch.stack([rooms(1)[0], rooms(2)[0]])
    with torch.no_grad():
        whole, _ = probe(latents, probe.initial_state(2))
        first, state = probe(latents[:, :23], probe.initial_state(2))
        rest, after = probe(latents[:, 23:], state)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole)
    assert state.nbytes == after.nbytes == probe.initial_state(2).nbytes


def test_it_must_be_told_of_every_frame() -> None:
    latents, events = rooms(0)
    with pytest.raises(ValueError, match="events: expected one for each frame"):
        train_probe([latents], [events[:-1]])
