"""Everything: the keys and values of every frame that was ever seen, all of them attended to by the next one.

The linear upper bound on what a cache can hold, at the positions that the stream gave. Cost per frame, cost per answer
and bytes all grow with the stream, and so does the distance from the lengths that the model was trained on.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from ssm_sense.memory.kv_cache import FrameTokens, answer_from, fork, keys_and_values, opening, place
from ssm_sense.memory.policy import Answer, Observation

_SPARE = 1024
"""Tokens of room that a layer makes at a time, at the least; also an eighth of what it holds."""


class GrowingLayer(DynamicLayer):
    """A cache's layer that writes new tokens behind the old ones, where the usual one copies all of them each time.

    A copy of it grows by concatenation like any other, so that nobody writes into the room that is shared.
    """

    def __init__(self) -> None:
        super().__init__()
        self._room: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values (1, heads, n, width); returns all of them, as views."""
        before = self.get_seq_length()
        after = before + key_states.shape[2]
        if self._room is None or self._room[0].shape[2] < after:
            self._room = (self._roomier(self.keys, key_states, after), self._roomier(self.values, value_states, after))
        self.is_initialized, self.dtype, self.device = True, key_states.dtype, key_states.device
        for room, new in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, before:after] = new
        self.keys, self.values = (room[:, :, :after] for room in self._room)
        return self.keys, self.values

    def _roomier(self, held: Tensor | None, new: Tensor, tokens: int) -> Tensor:
        """Room for more than so many tokens, with what is held at its beginning."""
        shape = (*new.shape[:2], tokens + max(_SPARE, tokens // 8), new.shape[3])
        room = new.new_empty(shape)
        if held is not None:
            room[:, :, : held.shape[2]] = held
        return room

    def __copy__(self) -> DynamicLayer:
        """One that shares what is held, and grows by itself."""
        copied = DynamicLayer()
        for name in ("keys", "values", "dtype", "device", "is_initialized"):
            if hasattr(self, name):
                setattr(copied, name, getattr(self, name))
        return copied


class FullKV:
    """Streams one video through a model of frame tokens and forgets nothing.

    Args:
        model: in eval mode, with its language model loaded.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = False
    needs_training: ClassVar[bool] = False

    def __init__(self, model: FrameTokens) -> None:
        self.model = model
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.cache = DynamicCache()

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Append one frame."""
        language = self.model.language
        if self.cache.get_seq_length() == 0:
            self.cache = _growing(place(language, opening(language)))
        language.forward_embeds(self.model.embed(latents)[None], self.cache)
        return Observation(float("nan"), 1.0, False)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from everything."""
        language = self.model.language
        cache = fork(self.cache) if self.cache.get_seq_length() else place(language, opening(language))
        return answer_from(language, cache, prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """``keys``, after rotation, and ``values`` (layers, heads, n, width)."""
        if self.cache.get_seq_length() == 0:
            return {}
        keys, values = zip(*keys_and_values(self.cache), strict=True)
        return {"keys": torch.cat(keys), "values": torch.cat(values)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy."""
        if not state:
            return self.reset()
        if state.keys() != {"keys", "values"} or state["keys"].shape != state["values"].shape:
            raise ValueError(f"expected keys and values of one shape, got {', '.join(sorted(state))}")
        device = self.model.scale.mean.device
        keys, values = (state[name].to(device, copy=True) for name in ("keys", "values"))
        self.cache = _growing(DynamicCache([(k[None], v[None]) for k, v in zip(keys, values, strict=True)]))

    @property
    def nbytes(self) -> int:
        """Of all keys and values; room for more is not counted."""
        if self.cache.get_seq_length() == 0:
            return 0
        return sum(keys.nbytes + values.nbytes for keys, values in keys_and_values(self.cache))


def _growing(cache: DynamicCache) -> DynamicCache:
    """The same in layers that grow in place."""
    grown = DynamicCache()
    grown.layer_class_to_replicate = GrowingLayer
    for keys, values in keys_and_values(cache):
        layer = GrowingLayer()
        layer.update(keys, values)
        grown.layers.append(layer)
    return grown
