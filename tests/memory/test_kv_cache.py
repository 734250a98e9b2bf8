"""Keys before rotation: cut and put together anywhere, they are what a plain pass computes."""

import pytest
import torch

from ssm_sense.memory import kv_cache
from ssm_sense.memory.kv_cache import KeyValues

FAMILIES = ("qwen2", "qwen3", "llama")


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_frame_by_frame_equals_one_plain_pass(frame_tokens, latents, family: str) -> None:
    model = frame_tokens(family, begun=True)
    language = model.language
    parts = kv_cache.opening(language)
    for one in latents[:6]:
        parts.append(kv_cache.extend(language, parts, model.embed(one)[None]))
    want = language.score(model.embed(latents[:6]).flatten(0, 1)[None], "how many chairs", ["A", "B"])
    got = kv_cache.answer_from(language, kv_cache.place(language, parts), "how many chairs", ["A. one", "B. two"])
    torch.testing.assert_close(torch.tensor(got.log_likelihoods), want, atol=1e-4, rtol=1e-4)
    plain = language.generate(model.embed(latents[:6]).flatten(0, 1)[None], "how many chairs")
    assert kv_cache.answer_from(language, kv_cache.place(language, parts), "how many chairs").text == plain


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_with_one_layer_any_kept_frames_equal_a_plain_pass_over_them(frame_tokens, latents, family: str) -> None:
    """There, keys and values do not depend on what was seen before."""
    model = frame_tokens(family, layers=1)
    language = model.language
    parts: list[KeyValues] = []
    for one in latents[:7]:
        parts.append(kv_cache.extend(language, parts, model.embed(one)[None]))
    kept = [0, 3, 4, 6]
    want = language.score(model.embed(latents[kept]).flatten(0, 1)[None], "how many chairs", ["A", "B"])
    cache = kv_cache.place(language, [parts[i] for i in kept])
    got = kv_cache.answer_from(language, cache, "how many chairs", ["A. one", "B. two"])
    torch.testing.assert_close(torch.tensor(got.log_likelihoods), want, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_turning_on_and_back_is_nothing_and_turns_add_up(frame_tokens) -> None:
    language = frame_tokens("llama").language
    keys = torch.randn(2, 2, 5, 8)
    there = kv_cache.rotate(language, keys, torch.tensor([0, 1, 7, 100, 4000]))
    assert torch.equal(there[:, :, 0], keys[:, :, 0])
    assert (there[:, :, 1:] - keys[:, :, 1:]).abs().amax() > 0.1
    back = kv_cache.rotate(language, there, -torch.tensor([0, 1, 7, 100, 4000]))
    torch.testing.assert_close(back, keys, atol=1e-4, rtol=1e-4)
    step = kv_cache.rotate(language, keys, torch.full((5,), 3))
    torch.testing.assert_close(
        kv_cache.rotate(language, step, torch.full((5,), 4)), kv_cache.rotate(language, keys, torch.full((5,), 7))
    )


@torch.no_grad()
def test_a_fork_grows_by_itself_and_shares_what_it_began_with(frame_tokens, latents) -> None:
    model = frame_tokens()
    _, cache = model.language.forward_embeds(model.embed(latents[0])[None])
    forked = kv_cache.fork(cache)
    assert forked.layers[0].keys is cache.layers[0].keys
    model.language.forward_embeds(model.embed(latents[1])[None], forked)
    assert (cache.get_seq_length(), forked.get_seq_length()) == (4, 8)


@torch.no_grad()
def test_what_comes_leaves_what_is_held_as_it_was(frame_tokens, latents) -> None:
    model = frame_tokens(begun=True)
    parts = kv_cache.opening(model.language)
    before = [(part.keys.clone(), part.values.clone()) for part in parts]
    new = kv_cache.extend(model.language, parts, model.embed(latents[0])[None])
    assert new.tokens == 4
    assert all(torch.equal(p.keys, k) and torch.equal(p.values, v) for p, (k, v) in zip(parts, before, strict=True))
    one_more = kv_cache.extend(model.language, [*parts, new], model.embed(latents[0])[None])
    assert torch.equal(
        kv_cache.extend(model.language, [*parts, new], model.embed(latents[0])[None]).keys, one_more.keys
    )


def test_packed_parts_come_back_and_wrong_ones_are_named() -> None:
    parts = [KeyValues(torch.randn(2, 2, n, 8), torch.randn(2, 2, n, 8)) for n in (3, 1, 4)]
    packed = kv_cache.pack("held", parts)
    back = kv_cache.unpack("held", packed)
    assert [part.tokens for part in back] == [3, 1, 4]
    for one, other in zip(parts, back, strict=True):
        assert torch.equal(one.keys, other.keys)
        assert torch.equal(one.values, other.values)
    assert kv_cache.pack("held", []) == {}
    assert kv_cache.unpack("held", {}) == []
    with pytest.raises(ValueError, match=r"held\.keys, held\.values"):
        kv_cache.unpack("held", {"held.keys": packed["held.keys"]})
    with pytest.raises(ValueError, match="8 tokens in all, got 9"):
        kv_cache.unpack("held", {**packed, "held.tokens": torch.tensor([4, 5])})
    with pytest.raises(ValueError, match=r"got also event\.0"):
        kv_cache.only({"held.keys": packed["held.keys"], "event.0": torch.ones(1)}, "held.")


def test_bytes_of_a_token_are_those_of_the_cache(frame_tokens, latents) -> None:
    for family in FAMILIES:
        model = frame_tokens(family)
        with torch.no_grad():
            held = kv_cache.extend(model.language, [], model.embed(latents[0])[None])
        assert held.nbytes == 4 * kv_cache.token_bytes(model.language) == 4 * 2 * 2 * 2 * 8 * 4
    with pytest.raises(ValueError, match="at least 200, 2 frames, got 199"):
        kv_cache.fit(199, 100, "frames", 2)
