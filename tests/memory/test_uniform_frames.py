"""N frames spread evenly: which go, step by step."""

import pytest
import torch

from ssm_sense.memory.uniform_frames import UniformFrames


def test_the_frame_that_is_missed_least_goes(frame_tokens, latents, checks) -> None:
    memory = UniformFrames(frame_tokens(), frames=4)
    held = []
    for t, one in enumerate(latents[:10]):
        memory.observe(one, None, float(t))
        held.append([int(s) for s in memory.seconds])
    assert held == [
        [0],
        [0, 1],
        [0, 1, 2],
        [0, 1, 2, 3],
        [0, 2, 3, 4],  # 1, 2 and 3 lie in spans of 2 each: the earliest goes
        [0, 2, 4, 5],  # 2 lies in a span of 3, then 3 and 4 in spans of 2
        [0, 2, 4, 6],  # 5 lies between 4 and 6
        [0, 2, 4, 7],  # 6 lies between 4 and 7; 2 and 4 in spans of 4
        [0, 4, 7, 8],  # 2 lies in a span of 4, as does 7, and comes first
        [0, 4, 7, 9],  # 8 lies between 7 and 9
    ]


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_it_answers_from_those_alone(frame_tokens, latents, checks, family: str) -> None:
    model = frame_tokens(family, begun=True)
    memory = UniformFrames(model, frames=4)
    checks.watch(memory, latents[:10])
    want = checks.plain(model, model.embed(latents[[0, 4, 7, 9]]).flatten(0, 1))
    torch.testing.assert_close(checks.scores(memory), want, atol=1e-5, rtol=1e-5)


def test_gaps_stay_alike_and_bytes_within_the_budget(frame_tokens, latents, checks) -> None:
    model = frame_tokens()
    each = 4 * 32 * 4 + 8
    memory = UniformFrames(model, budget_bytes=17 * each + 5)
    sizes = checks.watch(memory, latents.repeat(10, 1, 1))
    assert sizes == [n * each for n in range(1, 18)] + [17 * each] * 383
    assert (memory.seconds[0], memory.seconds[-1]) == (0.0, 399.0)
    gaps = [b - a for a, b in zip(memory.seconds, memory.seconds[1:], strict=False)]
    # The newest gap is still growing.
    assert max(gaps[:-1]) <= 3 * min(gaps[:-1])
    with pytest.raises(ValueError, match="at least 1040, 2 frames"):
        UniformFrames(model, budget_bytes=2 * each - 1)
    with pytest.raises(ValueError, match="frames: expected at least 2"):
        UniformFrames(model, frames=1)


def test_what_every_policy_must_do(frame_tokens, latents, checks) -> None:
    model = frame_tokens()
    checks.contract(lambda: UniformFrames(model, frames=5), latents[:16], 9)
    with pytest.raises(ValueError, match="seconds: expected one for each of 3 frames"):
        UniformFrames(model).load_state_dict({"frames": torch.zeros(3, 4, 32), "seconds": torch.zeros(2)})
