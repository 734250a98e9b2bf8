"""Keys and values that can be cut, pooled, dropped and put together again: what all cache policies share.

Keys are held as they were before the rotary embedding, so a token may stand at any position. Whenever the language
model reads, what it is given is placed at 0, 1, 2, … without gaps: positions never exceed what is held, however long
the stream. Half-precision keys are rotated in float32.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.growing_layer import GrowingLayer
from ssm_sense.memory.policy import Answer, letters
from ssm_sense.nn.lfp import LatentScale


class FrameTokens(Protocol):
    """A trained model that turns each frame into tokens for its language model, as `SlidingWindow` does."""

    language: CausalLM
    scale: LatentScale
    frame_tokens: int
    """F, tokens a frame."""

    def embed(self, latents: Tensor) -> Tensor:
        """Latents (..., S, V) to frame tokens (..., F, Q)."""


@dataclass(frozen=True)
class KeyValues:
    """Of n tokens, in every layer of a language model."""

    keys: Tensor
    """(layers, heads, n, width), before rotation."""
    values: Tensor
    """(layers, heads, n, width)."""

    @property
    def tokens(self) -> int:
        """n."""
        return self.keys.shape[2]

    @property
    def nbytes(self) -> int:
        """Of keys and values."""
        return self.keys.nbytes + self.values.nbytes

    def part(self, start: int, stop: int) -> "KeyValues":
        """Tokens start to stop as a copy, so that it keeps no byte of the others alive."""
        return KeyValues(self.keys[:, :, start:stop].clone(), self.values[:, :, start:stop].clone())


def join(parts: Sequence[KeyValues]) -> KeyValues:
    """The tokens of one or more parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return KeyValues(torch.cat([p.keys for p in parts], dim=2), torch.cat([p.values for p in parts], dim=2))


def rotate(language: CausalLM, keys: Tensor, positions: Tensor) -> Tensor:
    """Turn keys (..., n, width) on by so many positions (n,); negative ones turn them back.

    Raises ValueError for a language model that rotates only a part of each head.
    """
    lm, rotary = _rotary(language)
    cosine, sine = rotary(torch.empty(0, device=keys.device, dtype=torch.float32), positions[None].to(keys.device))
    if cosine.shape[-1] != keys.shape[-1]:
        expected = f"expected a rotary embedding of whole heads, {keys.shape[-1]}"
        raise ValueError(f"{type(lm).__name__}: {expected}, got {cosine.shape[-1]}")
    # Some models scale what they rotate; that is in the keys already.
    scaling = float(rotary.attention_scaling)
    (left, right), (for_left, for_right) = keys.float().chunk(2, dim=-1), (sine[0] / scaling).chunk(2, dim=-1)
    turned = keys.float() * (cosine[0] / scaling)
    turned_left, turned_right = turned.chunk(2, dim=-1)
    turned_left -= right * for_left
    turned_right += left * for_right
    return turned.to(keys.dtype)


def opening(language: CausalLM) -> list[KeyValues]:
    """Of what comes before every stream; an empty list where nothing does."""
    embeds = language.embed_opening()
    return [extend(language, [], embeds)] if embeds.shape[1] else []


def extend(language: CausalLM, past: Sequence[KeyValues], embeds: Tensor) -> KeyValues:
    """Keys and values of new embeddings (1, n, Q) that attend to the parts of `past` and, causally, to each other."""
    return extend_hidden(language, past, embeds)[0]


def extend_hidden(language: CausalLM, past: Sequence[KeyValues], embeds: Tensor) -> tuple[KeyValues, Tensor]:
    """The same, and the last hidden states (1, n, Q) of the new embeddings."""
    lm, _ = _rotary(language)
    cache = _with_room(language, past, embeds.shape[1])
    before = cache.get_seq_length()
    embeds = embeds.to(lm.device, lm.dtype)
    hidden = lm.base_model(inputs_embeds=embeds, past_key_values=cache, use_cache=True).last_hidden_state
    pairs = keys_and_values(cache)
    positions = torch.arange(before, before + embeds.shape[1])
    keys = rotate(language, torch.cat([keys[:, :, before:] for keys, _ in pairs]), -positions)
    return KeyValues(keys, torch.cat([values[:, :, before:] for _, values in pairs])), hidden


def place(language: CausalLM, past: Sequence[KeyValues]) -> DynamicCache:
    """A cache for the language model with the parts one after the other from position 0 on. They stay as they are."""
    if not past:
        return DynamicCache()
    held = join(past)
    keys = rotate(language, held.keys, torch.arange(held.tokens))
    return DynamicCache([(k[None], v[None]) for k, v in zip(keys, held.values, strict=True)])


def _with_room(language: CausalLM, past: Sequence[KeyValues], tokens: int) -> DynamicCache:
    """The same as `place`, and room for so many tokens more, so that none of it is copied when they come."""
    cache = DynamicCache()
    if past:
        before = sum(part.tokens for part in past)
        room = past[0].keys.new_zeros(*past[0].keys.shape[:2], tokens, past[0].keys.shape[3])
        held = join([*past, KeyValues(room, room)])
        keys = rotate(language, held.keys, torch.arange(held.tokens))
        cache.layers += [GrowingLayer.begun(k[None], v[None], before) for k, v in zip(keys, held.values, strict=True)]
    return cache


def answer_from(
    language: CausalLM,
    cache: DynamicCache,
    prompt: str,
    options: Sequence[str] = (),
    max_new_tokens: int = 8,
    repetition_penalty: float = 1.0,
) -> Answer:
    """Answer a prompt put behind a cache, which is used up: the likeliest option's letter, or a greedy answer."""
    logits, after = language.forward_embeds(language.embed_prompt(prompt), cache)
    if not options:
        return Answer(language.generate_after(logits, after, max_new_tokens, repetition_penalty))
    names = letters(options)
    scores = language.score_after(logits, after, names).tolist()
    return Answer(names[scores.index(max(scores))], tuple(scores))


def fork(cache: DynamicCache) -> DynamicCache:
    """A cache that shares the tensors of another and grows by itself; caches grow by concatenation, never in place."""
    forked = DynamicCache()
    forked.layers = [copy.copy(layer) for layer in cache.layers]
    return forked


def keys_and_values(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    """Each attention layer's keys and values (1, heads, tokens, width), keys after rotation."""
    return [(cast(Tensor, layer.keys), cast(Tensor, layer.values)) for layer in cast(list[DynamicLayer], cache.layers)]


def pack(name: str, parts: Sequence[KeyValues]) -> dict[str, Tensor]:
    """Parts as tensors ``name.keys``, ``name.values`` and ``name.tokens`` (parts,); nothing for no parts."""
    if not parts:
        return {}
    held = join(parts)
    lengths = torch.tensor([part.tokens for part in parts])
    return {f"{name}.keys": held.keys, f"{name}.values": held.values, f"{name}.tokens": lengths}


def unpack(name: str, state: Mapping[str, Tensor], device: torch.device | None = None) -> list[KeyValues]:
    """What `pack` was given, on a device; raises ValueError where some of it is missing or does not fit together."""
    names = [f"{name}.{part}" for part in ("keys", "values", "tokens")]
    found = [state.get(one) for one in names]
    if all(one is None for one in found):
        return []
    keys, values, lengths = found
    if keys is None or values is None or lengths is None or keys.ndim != 4 or keys.shape != values.shape:
        raise ValueError(f"expected {', '.join(names)} of one shape, got {', '.join(sorted(state)) or 'nothing'}")
    sizes = lengths.tolist()
    if sum(sizes) != keys.shape[2]:
        raise ValueError(f"{names[2]}: expected lengths of {keys.shape[2]} tokens in all, got {sum(sizes)}")
    pairs = zip(keys.split(sizes, dim=2), values.split(sizes, dim=2), strict=True)
    return [KeyValues(k.to(device, copy=True), v.to(device, copy=True)) for k, v in pairs]


def only(state: Mapping[str, Tensor], *prefixes: str) -> None:
    """Raises ValueError if a state holds anything whose name begins with none of the prefixes."""
    foreign = sorted(name for name in state if not name.startswith(prefixes))
    if foreign:
        raise ValueError(f"expected a state of {', '.join(prefixes)}, got also {', '.join(foreign)}")


def shaped(state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises ValueError for the first of these tensors that a state lacks, or has in another shape."""
    for name, expected in shapes.items():
        found = tuple(state[name].shape) if name in state else "nothing"
        if found != expected:
            raise ValueError(f"{name}: expected {expected}, got {found}")


def token_bytes(language: CausalLM) -> int:
    """Bytes of one token's keys and values in all layers."""
    lm, _ = _rotary(language)
    config = lm.config.get_text_config()
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * config.num_key_value_heads * width * lm.dtype.itemsize


def fit(budget_bytes: int, each: int, what: str, least: int = 1) -> int:
    """How many things of `each` bytes a budget holds. Raises ValueError if it is fewer than `least`."""
    count = budget_bytes // each
    if count < least:
        raise ValueError(f"budget_bytes: expected at least {least * each}, {least} {what}, got {budget_bytes}")
    return count


def _rotary(language: CausalLM) -> tuple[Any, Any]:
    if language.lm is None:
        raise RuntimeError("expected a loaded language model, call load() first")
    return language.lm, language.lm.base_model.rotary_emb
