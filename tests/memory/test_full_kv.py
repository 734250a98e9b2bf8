"""Full KV is one plain causal pass over the whole stream, and its bytes say so."""

import pytest
import torch

from ssm_sense.memory.full_kv import FullKV
from ssm_sense.memory.kv_cache import fork, keys_and_values, token_bytes


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_it_is_a_plain_pass_over_all_frames(frame_tokens, latents, checks, family: str) -> None:
    model = frame_tokens(family, begun=True)
    memory = FullKV(model)
    sizes = checks.watch(memory, latents)
    want = checks.plain(model, model.embed(latents).flatten(0, 1))
    torch.testing.assert_close(checks.scores(memory), want, atol=1e-4, rtol=1e-4)
    assert sizes == [token_bytes(model.language) * (3 + 4 * n) for n in range(1, 41)]


def test_what_every_policy_must_do(frame_tokens, latents, checks) -> None:
    model = frame_tokens("qwen3", begun=True)
    checks.contract(lambda: FullKV(model), latents[:12], 7)
    with pytest.raises(ValueError, match=r"got 0\.keys"):
        FullKV(model).load_state_dict({"0.keys": torch.ones(1)})


def test_layers_grow_in_place_and_their_copies_apart(frame_tokens, latents, checks) -> None:
    memory = FullKV(frame_tokens())
    checks.watch(memory, latents[:3])
    before = [tensor.clone() for pair in keys_and_values(memory.cache) for tensor in pair]
    one, other = fork(memory.cache), fork(memory.cache)
    new = torch.ones_like(before[0][:, :, :2])
    for cache in (one, other):
        assert cache.layers[0].update(new, new)[0].shape[2] == 3 * 4 + 2
    assert all(torch.equal(old, now) for old, now in zip(before, sum(keys_and_values(memory.cache), ()), strict=True))
    place = memory.cache.layers[0].keys.data_ptr()
    checks.watch(memory, latents[3:5], 3)
    assert memory.cache.layers[0].keys.data_ptr() == place
