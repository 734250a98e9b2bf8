"""The last N frames: which are held, what they cost, and that a plain pass over them answers."""

import pytest
import torch

from ssm_sense.memory.frame_list import frame_bytes
from ssm_sense.memory.last_frames import LastFrames


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_it_answers_from_the_last_four_alone(frame_tokens, latents, checks, family: str) -> None:
    model = frame_tokens(family, begun=True)
    memory = LastFrames(model)
    checks.watch(memory, latents[:9])
    torch.testing.assert_close(
        checks.scores(memory), checks.plain(model, model.embed(latents[5:9]).flatten(0, 1)), atol=1e-5, rtol=1e-5
    )


def test_bytes_stop_at_the_budget(frame_tokens, latents, checks) -> None:
    model = frame_tokens()
    each = 4 * 32 * 4  # tokens, width, bytes
    assert frame_bytes(model) == each
    sizes = checks.watch(LastFrames(model, budget_bytes=6 * each - 1), latents)
    assert sizes == [each, 2 * each, 3 * each, 4 * each] + [5 * each] * 36
    with pytest.raises(ValueError, match="at least 512, 1 frames, got 511"):
        LastFrames(model, budget_bytes=each - 1)
    with pytest.raises(ValueError, match="frames: expected at least 1"):
        LastFrames(model, frames=0)


def test_what_every_policy_must_do(frame_tokens, latents, checks) -> None:
    model = frame_tokens(begun=True)
    checks.contract(lambda: LastFrames(model), latents[:12], 7)
    with pytest.raises(ValueError, match=r"expected frames \(n, 4, 32\), got \(3, 2, 32\)"):
        LastFrames(model).load_state_dict({"frames": torch.zeros(3, 2, 32)})
