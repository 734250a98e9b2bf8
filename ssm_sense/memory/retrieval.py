"""Answering from the few frames that a question is about, chosen anew in every layer of the language model.

As in Cambrian-S (arXiv 2511.04670, its released attention) and ReKV (arXiv 2503.00540): in each layer the mean query
of the question is compared, by cosine, with the mean key of each frame, both before the rotary embedding, and the
question attends to the opening, the k most alike frames in order of time, and itself. The layers may choose
differently, and where frames differ in length they then hold different numbers of tokens, each with its own positions.

The language model's own forward pass runs; hooks exchange what each attention layer is given.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.kv_cache import KeyValues, answer_from, rotate
from ssm_sense.memory.policy import Answer


def answer_retrieved(
    language: CausalLM,
    opening: Sequence[KeyValues],
    frames: Sequence[KeyValues],
    top_k: int,
    prompt: str,
    options: Sequence[str] = (),
    max_new_tokens: int = 8,
    repetition_penalty: float = 1.0,
) -> Answer:
    """Answer a prompt behind the opening and, in each layer, the frames that it is about. Nothing given is changed.

    As in the released code of Cambrian-S the opening is among the candidates with a similarity of 0: where fewer than
    k frames are more alike than that, it takes one of the k places, and it is always attended to.
    """
    blocks = [*opening, *frames]
    if len(frames) == 0:
        raise ValueError("frames: expected at least one to choose from, got none")
    cache = DynamicCache()
    cache.layers = [_layer(blocks[0].keys[i : i + 1, :, :0]) for i in range(len(blocks[0].keys))]
    with _retrieving(language, blocks, len(opening), top_k):
        return answer_from(language, cache, prompt, options, max_new_tokens, repetition_penalty)


def choose(query: Tensor, keys: Sequence[Tensor], opening: int, top_k: int) -> list[int]:
    """Which blocks one layer attends to, in order: the first `opening` of them, and the most alike among all.

    Args:
        query: (heads, width), the question's mean query.
        keys: of each block (heads of keys, n, width); a head of keys serves as many heads of queries as there are
            times more of these.
        opening: blocks that are no frames; their similarity counts as 0.
        top_k: how many of the most alike.
    """
    means = torch.stack([block.mean(1) for block in keys])
    means = means.repeat_interleave(len(query) // means.shape[1], dim=1)
    alike = F.cosine_similarity(query.flatten().float()[None], means.flatten(1).float(), dim=-1)
    alike[:opening] = 0
    best = alike.topk(min(top_k, len(alike))).indices.tolist()
    return sorted({*range(opening), *best})


@contextmanager
def _retrieving(language: CausalLM, blocks: Sequence[KeyValues], opening: int, top_k: int) -> Iterator[None]:
    """The first pass of each layer fills its cache with the blocks it chooses; every pass gets the layer's own
    positions and mask."""
    if language.lm is None:
        raise RuntimeError("expected a loaded language model, call load() first")
    model: Any = language.lm.base_model

    def before(attention: Any, arguments: tuple[Any, ...], given: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        hidden: Tensor = given["hidden_states"]
        i: int = attention.layer_idx
        layer = given["past_key_values"].layers[i]
        if not layer.get_seq_length():
            here = [block.keys[i] for block in blocks]
            chosen = choose(_mean_query(attention, hidden), here, opening, top_k)
            keys = torch.cat([here[b] for b in chosen], dim=1)
            layer.keys = rotate(language, keys, torch.arange(keys.shape[1]))[None]
            layer.values = torch.cat([blocks[b].values[i] for b in chosen], dim=1)[None]
        past, n = layer.get_seq_length(), hidden.shape[1]
        order = torch.arange(past + n, device=hidden.device)
        hides = torch.finfo(hidden.dtype).min * (order > order[past:, None]).to(hidden.dtype)
        own = {"position_embeddings": model.rotary_emb(hidden, order[None, past:]), "attention_mask": hides[None, None]}
        return arguments, {**given, **own}

    with ExitStack() as stack:
        for layer in model.layers:
            handle = layer.self_attn.register_forward_pre_hook(before, with_kwargs=True)
            stack.callback(handle.remove)
        yield


def _mean_query(attention: Any, hidden: Tensor) -> Tensor:
    """The mean over tokens of an attention layer's queries (heads, width), before rotation."""
    queries = attention.q_proj(hidden).view(*hidden.shape[1:2], -1, attention.head_dim)
    if hasattr(attention, "q_norm"):
        queries = attention.q_norm(queries)
    return queries.mean(0)


def _layer(empty: Tensor) -> DynamicLayer:
    """A layer of a cache that holds nothing yet."""
    layer = DynamicLayer()
    layer.update(empty, empty)
    return layer
