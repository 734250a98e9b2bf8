"""Events watched whole are the same events watched frame by frame, and asking changes nothing."""

import pytest
import torch
from torch import nn

from ssm_sense.nn.bank import EventBank
from ssm_sense.nn.delta_scan import ScannedDeltaEpisode
from ssm_sense.nn.episode import Episode
from ssm_sense.nn.event_gate import EventGate
from ssm_sense.nn.frame_bank import FrameBank
from ssm_sense.nn.latent_reader import LatentReader, held_bytes, surprise_within
from ssm_sense.state import State

WIDTH, FRAMES, EVENTS = 16, 4, 6
MEMORIES = {
    "episode": lambda: Episode(WIDTH, tokens=2, layers=1, state_size=4),
    "bank": lambda: EventBank(WIDTH, tokens=2, events=4, judged="age"),
    "delta": lambda: ScannedDeltaEpisode(WIDTH, tokens=2, layers=1, heads=2, head_width=8),
    "frames": lambda: FrameBank(WIDTH, 8),
    "gated episode": lambda: Episode(WIDTH, tokens=2, layers=1, state_size=4, gate=EventGate(0.8, 1.6)),
    "gated delta": lambda: ScannedDeltaEpisode(
        WIDTH, tokens=2, layers=1, heads=2, head_width=8, gate=EventGate(0.8, 1.6)
    ),
    "surprising bank": lambda: EventBank(WIDTH, tokens=2, events=4, judged="peak"),
}


def reader(memory: nn.Module) -> LatentReader:
    torch.manual_seed(0)
    return LatentReader(memory, vision_width=WIDTH, others=7, places=5, counts=2, most=9)


def frames() -> torch.Tensor:
    return torch.randn(3, EVENTS, FRAMES, WIDTH, generator=torch.Generator().manual_seed(1)) / WIDTH**0.5


@pytest.mark.parametrize("name", MEMORIES)
def test_an_event_at_a_time_is_a_frame_at_a_time(name: str) -> None:
    model = reader(MEMORIES[name]())
    whole = model.watch(frames(), model.initial_state(3))
    state = model.memory.initial_state(3)
    for event in range(EVENTS):
        for frame in range(FRAMES):
            u = model.encoder(frames()[:, event, frame])[:, None, None]
            boundary = torch.full((3, 1), event > 0 and frame == 0)
            before = frames()[:, event, max(frame - 1, 0)]
            wrong = 1 - torch.cosine_similarity(before, frames()[:, event, frame], dim=-1)
            state = model.memory(u, boundary, state, wrong.unsqueeze(1))
    assert all(torch.allclose(whole[key], state[key], atol=1e-5) for key in state)


@pytest.mark.parametrize("name", MEMORIES)
def test_splitting_is_invisible_and_asking_changes_nothing(name: str) -> None:
    model = reader(MEMORIES[name]())
    state = model.watch(frames()[:, :1], model.initial_state(3))
    state = model.watch(frames()[:, 1:], state)
    before: State = state.clone()
    answers = model.answer(state, torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(2)))
    assert [tuple(logits.shape) for logits in answers] == [(3, 4, 5), (3, 5, 5), (3, 2, 10)]
    assert all(torch.equal(before[key], state[key]) for key in state)
    whole = model.watch(frames(), model.initial_state(3))
    assert all(torch.allclose(whole[key].float(), state[key].float(), atol=1e-5) for key in state)


def test_surprise_is_of_what_lies_inside_an_event() -> None:
    frames = torch.eye(3)[torch.tensor([[[0, 0, 0], [1, 1, 2], [2, 0, 0]]])]
    assert surprise_within(frames).tolist() == [[0, 1, 1]]
    assert surprise_within(frames[:, :, :1]).tolist() == [[0, 0, 0]]


def test_bytes_are_those_of_the_memory() -> None:
    model = reader(MEMORIES["episode"]())
    state = model.watch(frames(), model.initial_state(3))
    assert held_bytes(model, state) == model.memory.initial_state(3).nbytes
    model = reader(MEMORIES["frames"]())
    assert held_bytes(model, model.watch(frames(), model.initial_state(3))) == 3 * 8 * WIDTH
