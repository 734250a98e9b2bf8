"""Retrieval layer by layer: what is chosen, worked by hand, and that the chosen frames are all that is seen."""

import pytest
import torch

from ssm_sense.memory import kv_cache
from ssm_sense.memory.retrieval import answer_retrieved, choose


def test_choice_by_hand() -> None:
    """Two heads of queries to one of keys; each block's mean key points somewhere else."""
    query = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    alike = {"same": [1.0, 0.0], "half": [1.0, 1.0], "none": [0.0, 1.0], "against": [-1.0, 0.0]}

    def block(name: str) -> torch.Tensor:
        """Two tokens whose mean is that direction."""
        return torch.tensor([[alike[name], alike[name]]]) + torch.tensor([[[0.0, 5.0], [0.0, -5.0]]])

    keys = [block(name) for name in ("same", "none", "against", "half", "same")]
    assert choose(query, keys, 0, 1) == [0]
    assert choose(query, keys, 0, 2) == [0, 4]
    assert choose(query, keys, 0, 3) == [0, 3, 4]
    assert choose(query, keys, 0, 9) == [0, 1, 2, 3, 4]
    # The first is now the opening: it is always there, and its similarity is 0 whatever its keys are.
    assert choose(query, keys, 1, 2) == [0, 3, 4]
    assert choose(query, [block("same"), block("against"), block("against")], 1, 1) == [0]
    assert choose(query, [block("same"), block("against"), block("half")], 1, 2) == [0, 2]


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_with_all_frames_it_is_a_plain_pass(frame_tokens, latents, checks, family: str) -> None:
    model = frame_tokens(family, begun=True)
    opening = kv_cache.opening(model.language)
    frames: list[kv_cache.KeyValues] = []
    for one in latents[:6]:
        frames.append(kv_cache.extend(model.language, [*opening, *frames], model.embed(one)[None]))
    tokens = model.embed(latents[:6]).flatten(0, 1)
    got = answer_retrieved(model.language, opening, frames, 7, "how many chairs are there", ["A. one", "B. two"])
    torch.testing.assert_close(torch.tensor(got.log_likelihoods), checks.plain(model, tokens), atol=1e-4, rtol=1e-4)
    said = answer_retrieved(model.language, opening, frames, 7, "how many chairs")
    assert said.text == model.language.generate(tokens[None], "how many chairs")
    assert not any(layer.self_attn._forward_pre_hooks for layer in model.language.lm.base_model.layers)


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_in_one_layer_it_is_a_plain_pass_over_the_chosen_frames(frame_tokens, latents, checks, family: str) -> None:
    model = frame_tokens(family, layers=1)
    language = model.language
    frames: list[kv_cache.KeyValues] = []
    for one in latents[:8]:
        frames.append(kv_cache.extend(language, frames, model.embed(one)[None]))
    # The question's mean query, from the layer's own parts.
    (layer,) = language.lm.base_model.layers
    attention = layer.self_attn
    queries = attention.q_proj(layer.input_layernorm(language.embed_prompt("how many chairs are there")))
    queries = queries.view(-1, 4, 8)
    query = (attention.q_norm(queries) if family == "qwen3" else queries).mean(0)
    chosen = choose(query, [frame.keys[0] for frame in frames], 0, 3)
    assert len(chosen) == 3 < len(frames)
    got = answer_retrieved(language, [], frames, 3, "how many chairs are there", ["A. one", "B. two"])
    want = checks.plain(model, model.embed(latents[chosen]).flatten(0, 1))
    torch.testing.assert_close(torch.tensor(got.log_likelihoods), want, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_frames_of_different_lengths_get_contiguous_positions(frame_tokens, latents, checks) -> None:
    model = frame_tokens("llama", layers=1)
    tokens = [model.embed(one)[: 4 if t % 2 else 1] for t, one in enumerate(latents[:5])]
    frames = [kv_cache.extend(model.language, [], one[None]) for one in tokens]
    got = answer_retrieved(model.language, [], frames, 9, "how many chairs are there", ["A. one", "B. two"])
    want = checks.plain(model, torch.cat(tokens))
    torch.testing.assert_close(torch.tensor(got.log_likelihoods), want, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="frames: expected at least one"):
        answer_retrieved(model.language, [], [], 9, "how many")
