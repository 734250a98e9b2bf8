"""Frames held as tokens: when they are read, and that what was read for one question serves the next."""

from collections.abc import Callable

import pytest
import torch

from ssm_sense.memory.last_frames import LastFrames
from ssm_sense.memory.ma_lmm import MaLmm
from ssm_sense.memory.movie_chat import MovieChat
from ssm_sense.memory.policy import Policy
from ssm_sense.memory.sliding_window import SlidingWindow
from ssm_sense.memory.uniform_frames import UniformFrames

POLICIES = [LastFrames, MaLmm, MovieChat, UniformFrames]


@pytest.fixture
def model(frame_tokens: Callable[..., SlidingWindow]) -> SlidingWindow:
    return frame_tokens(begun=True)


@pytest.fixture
def passes(model: SlidingWindow) -> list[int]:
    """Tokens of every forward pass from now on."""
    lengths: list[int] = []

    def note(module: object, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        lengths.append(kwargs["inputs_embeds"].shape[1])

    assert model.language.lm is not None
    model.language.lm.base_model.register_forward_pre_hook(note, with_kwargs=True)
    return lengths


@pytest.mark.parametrize("made", POLICIES)
def test_frames_are_read_once_until_they_change(
    made: Callable[[SlidingWindow], Policy], model: SlidingWindow, passes: list[int], latents: torch.Tensor, checks
) -> None:
    policy = made(model)
    checks.watch(policy, latents[:3])
    frames, prompt = (
        part.shape[1] for part in (model.language.embed_opening(), model.language.embed_prompt(checks.prompt))
    )
    frames += 3 * model.frame_tokens
    first = checks.scores(policy)
    assert passes[:2] == [frames, prompt]
    passes.clear()
    assert torch.equal(checks.scores(policy), first)
    assert passes[0] == prompt
    saved = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    passes.clear()
    policy.observe(latents[3], None, 3.0)
    assert not torch.equal(checks.scores(policy), first)
    assert passes[0] == frames + model.frame_tokens
    passes.clear()
    policy.load_state_dict(saved)
    assert torch.equal(checks.scores(policy), first)
    assert passes[0] == frames
    passes.clear()
    policy.reset()
    assert not torch.equal(checks.scores(policy), first)
    assert passes[0] == frames - 3 * model.frame_tokens


def test_a_long_answer_leaves_nothing_behind(model: SlidingWindow, latents: torch.Tensor, checks) -> None:
    policy = LastFrames(model)
    checks.watch(policy, latents[:4])
    first = checks.scores(policy)
    assert policy.read(checks.prompt)
    assert torch.equal(checks.scores(policy), first)
