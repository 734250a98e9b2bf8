"""Frames that ours watches when asked: which are kept, and that nothing but the memory differs from ours."""

import pytest
import torch

from ssm_sense.memory.kept_frames import Keep, KeptFrames
from ssm_sense.memory.pooled_bank import dequantise, quantise
from ssm_sense.memory.recurrent import RecurrentMemory
from ssm_sense.model import SsmSense
from ssm_sense.nn.sources import EmaDistance

PROMPT, OPTIONS = "which", ["A. kitchen", "B. bedroom"]
EACH = 4 * (12 + 4) + 8
"""Bytes of a frame of 4 places and 12 features, with its time."""


@pytest.fixture
def latents() -> torch.Tensor:
    """Forty frames (40, 4, 12)."""
    return torch.randn(40, 4, 12, generator=torch.Generator().manual_seed(2))


def held_after(memory: KeptFrames, latents: torch.Tensor, surprises: list[float] | None = None) -> list[list[int]]:
    held = []
    for t, one in enumerate(latents):
        memory.observe(one, None if surprises is None else surprises[t], float(t))
        held.append([int(s) for s in memory.seconds])
    return held


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("last", [[1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6]]),
        ("uniform", [[0, 2, 3, 4], [0, 2, 4, 5], [0, 2, 4, 6]]),
        # A stream's first frame surprises by 1, whatever is told; of two equals the newer stays.
        ("surprising", [[0, 1, 2, 4], [0, 2, 4, 5], [0, 2, 4, 5]]),
    ],
)
def test_which_frame_goes(model: SsmSense, latents: torch.Tensor, keep: Keep, expected: list[list[int]]) -> None:
    memory = KeptFrames(model, keep, frames=4)
    surprises = [0.0, 0.5, 0.7, 0.1, 0.9, 0.5, 0.3]
    assert held_after(memory, latents[:7], surprises)[4:] == expected


@torch.inference_mode()
def test_a_question_is_answered_as_ours_would_that_had_seen_those_frames_alone(model, latents) -> None:
    memory, ours = KeptFrames(model, "uniform", frames=4), RecurrentMemory(model)
    model.scale.fit(3 * latents + 2)
    held_after(memory, latents[:7])
    for t in (0, 2, 4, 6):
        kept = dequantise(*quantise(model.scale(latents[t])))
        ours.observe(kept * model.scale.scale + model.scale.mean, None, float(t))
    # Windows of the closed loop are solved to a tolerance of 1e-6.
    wanted, found = ours.read(PROMPT, OPTIONS), memory.read(PROMPT, OPTIONS)
    torch.testing.assert_close(found.log_likelihoods, wanted.log_likelihoods, atol=1e-4, rtol=1e-4)
    assert memory.read(PROMPT, OPTIONS) == found
    memory.observe(latents[7], None, 7.0)
    assert memory.read(PROMPT, OPTIONS) != found


@torch.inference_mode()
def test_with_room_for_all_it_is_ours_but_for_rounding(model, latents) -> None:
    memory, ours = KeptFrames(model, frames=40), RecurrentMemory(model)
    for t, one in enumerate(latents):
        for policy in (memory, ours):
            policy.observe(one, None, float(t))
    wanted, found = ours.read(PROMPT, OPTIONS), memory.read(PROMPT, OPTIONS)
    torch.testing.assert_close(found.log_likelihoods, wanted.log_likelihoods, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("keep", ["last", "uniform", "surprising"])
def test_bytes_stay_within_the_budget(model: SsmSense, latents: torch.Tensor, checks, keep: Keep) -> None:
    # What finds surprise holds the frame before, as float32, and that the stream has begun.
    each, watching = (EACH + 8, 4 * 12 * 4 + 1) if keep == "surprising" else (EACH, 0)
    memory = KeptFrames(model, keep, budget_bytes=watching + 9 * each + 5)
    sizes = checks.watch(memory, latents)
    assert sizes == [watching + n * each for n in range(1, 10)] + [watching + 9 * each] * 31


def test_the_models_own_source_says_what_surprises(model: SsmSense, latents: torch.Tensor) -> None:
    calm = latents[:1].expand(12, -1, -1).clone()
    calm[5:] = latents[1]
    memory = KeptFrames(model, "surprising", frames=2)
    held_after(memory, calm)
    assert memory.seconds == [0.0, 5.0]
    model.source = EmaDistance(4, 12, decay=0.9)
    slow = KeptFrames(model, "surprising", frames=3)
    held_after(slow, calm)
    assert slow.seconds == [0.0, 5.0, 6.0]  # to a moving average the frame after is new as well


@pytest.mark.parametrize("keep", ["last", "uniform", "surprising"])
def test_what_every_policy_must_do(model: SsmSense, latents: torch.Tensor, checks, keep: Keep) -> None:
    checks.contract(lambda: KeptFrames(model, keep, frames=5), latents[:16], 9)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"keep": "first"}, "keep: expected one of last, uniform, surprising, got 'first'"),
        ({"frames": 1}, "frames: expected at least 2, got 1"),
        ({"budget_bytes": 2 * EACH - 1}, f"budget_bytes: expected at least {2 * EACH}, 2 frames, got {2 * EACH - 1}"),
    ],
)
def test_wrong_settings_are_refused(model: SsmSense, settings: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        KeptFrames(model, **settings)


def test_a_state_of_another_kind_is_refused(model: SsmSense, latents: torch.Tensor) -> None:
    memory = KeptFrames(model, "surprising", frames=3)
    held_after(memory, latents[:3])
    state = dict(memory.state_dict())
    with pytest.raises(ValueError, match=r"surprise: expected \(3,\), got nothing"):
        memory.load_state_dict({name: tensor for name, tensor in state.items() if name != "surprise"})
    with pytest.raises(ValueError, match=r"vectors: expected \(3, 4, 12\), got \(3, 5, 12\)"):
        memory.load_state_dict({**state, "vectors": torch.zeros(3, 5, 12, dtype=torch.int8)})
    with pytest.raises(ValueError, match=r"got also level\.begun"):
        KeptFrames(model, "last").load_state_dict(state)
