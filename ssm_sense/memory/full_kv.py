"""Everything: the keys and values of every frame that was ever seen, all of them attended to by the next one.

The linear upper bound on what a cache can hold, at the positions that the stream gave. Cost per frame, cost per answer
and bytes all grow with the stream, and so does the distance from the lengths that the model was trained on.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from transformers import DynamicCache

from ssm_sense.memory.growing_layer import GrowingLayer
from ssm_sense.memory.kv_cache import FrameTokens, answer_from, fork, keys_and_values, opening, place
from ssm_sense.memory.policy import Answer, Observation


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
