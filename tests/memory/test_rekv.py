"""ReKV: what a frame attends to, what a question retrieves, and every byte on the host."""

import pytest
import torch

from ssm_sense.memory.full_kv import FullKV
from ssm_sense.memory.kv_cache import token_bytes
from ssm_sense.memory.rekv import ReKV


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_while_everything_fits_it_is_a_plain_pass(frame_tokens, latents, checks, family: str) -> None:
    model = frame_tokens(family, begun=True)
    memory = ReKV(model)
    checks.watch(memory, latents[:10])
    want = checks.plain(model, model.embed(latents[:10]).flatten(0, 1))
    torch.testing.assert_close(checks.scores(memory), want, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_frame_attends_to_whole_frames_of_the_window(frame_tokens, latents, checks) -> None:
    """11 tokens are 2 frames of 4 before it: frame 9's keys in the second layer depend on frames 7 and 8 alone."""
    model = frame_tokens()

    def last_keys(shown: torch.Tensor) -> torch.Tensor:
        memory = ReKV(model, window_tokens=11)
        checks.watch(memory, shown)
        return memory.frames[-1].keys[1]

    want = last_keys(latents[:10])
    for changed, reached in ((0, False), (6, False), (7, True), (8, True)):
        other = latents[:10].clone()
        other[changed] = latents[30]
        assert torch.allclose(last_keys(other), want, atol=1e-5) != reached


@torch.no_grad()
def test_bytes_grow_with_the_stream_and_a_few_frames_answer(frame_tokens, latents, checks) -> None:
    model = frame_tokens(begun=True)
    memory, everything = ReKV(model, window_tokens=20, top_k=2), FullKV(model)
    each = token_bytes(model.language)
    sizes = checks.watch(memory, latents)
    assert sizes == [3 * each + 8 + n * (4 * each + 8) for n in range(1, 41)]
    checks.watch(everything, latents)
    assert not torch.allclose(checks.scores(memory), checks.scores(everything), atol=1e-3)
    with pytest.raises(ValueError, match="top_k >= 1"):
        ReKV(model, top_k=0)


def test_what_every_policy_must_do(frame_tokens, latents, checks) -> None:
    model = frame_tokens("llama", begun=True)
    checks.contract(lambda: ReKV(model, window_tokens=12, top_k=3), latents[:12], 7)
    with pytest.raises(ValueError, match=r"got also event\.0"):
        ReKV(model).load_state_dict({"event.0": torch.ones(1)})
