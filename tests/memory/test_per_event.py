"""The per-event reading: each event by itself, as it stood before its reset, and the numbers added."""

import pytest
import torch

from ssm_sense.memory.per_event import PerEventMemory
from ssm_sense.model import SsmSense

PROMPT = "how many chairs"
OPTIONS = ("A. kitchen", "B. bedroom")


def rooms(frames: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    looks = torch.randn(frames // 6 + 1, 4, 12, generator=draw).repeat_interleave(6, 0)[:frames]
    return looks + 0.3 * torch.randn(frames, 4, 12, generator=draw)


@pytest.fixture
def memory(model: SsmSense) -> PerEventMemory:
    model.language.generate = lambda prefix, prompt: str(int(prefix.abs().sum() * 100) % 10)  # any number of the state
    memory = PerEventMemory(model)
    memory.expect([(PROMPT, ()), (PROMPT, ()), ("which", OPTIONS)])
    return memory


@torch.inference_mode()
def test_the_sum_is_that_of_events_each_watched_from_a_blank_episode(memory: PerEventMemory, model: SsmSense) -> None:
    latents = rooms(40)
    began = [0] + [t for t in range(40) if memory.observe(latents[t], None, float(t)).boundary]
    assert len(began) > 3
    total = 0
    for start, stop in zip(began, [*began[1:], 40], strict=True):
        # The event alone: the episode is blank, and the event state was blank after the reset that began it.
        state = model.initial_state(1)
        if start:
            before = PerEventMemory(model)
            for t in range(start):
                before.observe(latents[t], None, float(t))
            state = before.state
        for t in range(start, stop):
            seconds = torch.tensor([[float(t)]], dtype=torch.float64)
            _, state = model.observe(latents[t][None, None], seconds, state)
        total += int(memory.read_event(state, PROMPT).text)
    assert memory.read(PROMPT).text == str(total)
    assert [one.events for one in memory.running] == [len(began) - 1]
    assert memory.read(PROMPT).text == str(total)


@torch.inference_mode()
def test_what_is_counted_in_another_place_is_asked_about_by_itself_too(memory: PerEventMemory, model: SsmSense) -> None:
    assert model.inventory is not None
    torch.nn.init.normal_(model.inventory.places.down.weight)
    model.policy.threshold.fill_(2.0)
    model.inventory.places.unlike.fill_(-5.0)
    seen = [memory.observe(one, None, float(t)) for t, one in enumerate(rooms(30))]
    assert not any(one.boundary for one in seen)
    assert [t for t, one in enumerate(seen) if one.moved] == [6, 12, 18, 24]
    assert [one.events for one in memory.running] == [4]


@torch.inference_mode()
def test_an_event_read_alone_owes_nothing_to_the_episode(memory: PerEventMemory, model: SsmSense) -> None:
    latents = rooms(30)
    for t in range(30):
        memory.observe(latents[t], None, float(t))
    state = memory.state
    other = {k: torch.randn_like(v) for k, v in state.items() if k.startswith("episode.") and "last" not in k}
    assert other
    assert memory.read_event(type(state)({**state, **other}), PROMPT) == memory.read_event(state, PROMPT)
    assert not torch.equal(model.tokens(type(state)({**state, **other})), model.tokens(state))


def test_a_saved_tally_goes_on(memory: PerEventMemory, model: SsmSense) -> None:
    latents = rooms(40)
    for t in range(25):
        memory.observe(latents[t], None, float(t))
    other = PerEventMemory(model)
    with pytest.raises(ValueError, match="0 announced questions, got 1"):
        other.load_state_dict(memory.state_dict())
    other.expect([(PROMPT, ())])
    other.load_state_dict(memory.state_dict())
    for t in range(25, 40):
        memory.observe(latents[t], None, float(t))
        other.observe(latents[t], None, float(t))
    assert other.running == memory.running
    assert other.read(PROMPT) == memory.read(PROMPT)
    assert other.nbytes == memory.nbytes == model.initial_state(1).nbytes + 3 * 8


@torch.inference_mode()
def test_a_new_stream_counts_from_nothing_and_other_questions_are_read_as_ever(memory: PerEventMemory) -> None:
    latents = rooms(20)
    for t in range(20):
        memory.observe(latents[t], None, float(t))
    assert memory.running[0].events > 0
    assert memory.read("which", OPTIONS).text in "AB"
    seen = memory.model.prefix(memory.state, "another")
    assert memory.read("another").text == memory.model.language.generate(seen, "another")
    memory.reset()
    assert [(one.prompt, one.total, one.events) for one in memory.running] == [(PROMPT, 0, 0)]
