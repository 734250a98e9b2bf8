"""Attention sinks: the stream's first tokens are never dropped, and a window of recent ones moves on behind them.

StreamingLLM (arXiv 2309.17453): windows break down once the very first tokens leave, on which attention has learned to
put what it has no use for. Tokens, not frames, are what comes and goes, and positions are those inside the cache.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ssm_sense.memory.kv_cache import (
    FrameTokens,
    KeyValues,
    answer_from,
    extend,
    fit,
    join,
    only,
    opening,
    pack,
    place,
    token_bytes,
    unpack,
)
from ssm_sense.memory.policy import Answer, Observation


class AttentionSinks:
    """Streams one video through a model of frame tokens, with attention sinks.

    Args:
        model: in eval mode, with its language model loaded.
        sinks: first tokens that stay, those before the first frame included.
        recent: newest tokens that are held besides. Both defaults are those of the released code's cache.
        budget_bytes: of keys and values; if given, it sets `recent`.

    Raises:
        ValueError: for a budget that does not hold the sinks and one frame.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False

    def __init__(self, model: FrameTokens, sinks: int = 4, recent: int = 512, budget_bytes: int | None = None) -> None:
        if budget_bytes is not None:
            least = sinks + model.frame_tokens
            recent = fit(budget_bytes - 8, token_bytes(model.language), "tokens", least) - sinks
        if sinks < 0 or recent < model.frame_tokens:
            raise ValueError(
                f"expected sinks >= 0 and recent >= {model.frame_tokens}, the tokens of a frame, got {sinks}, {recent}"
            )
        self.model, self.sinks, self.recent = model, sinks, recent
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.held: list[KeyValues] = []

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Make room for one frame among the recent tokens, then append it."""
        language = self.model.language
        held = self.held or opening(language)
        kept = [self._kept(held[0])] if held else []
        self.held = [join([*kept, extend(language, kept, self.model.embed(latents)[None])])]
        return Observation(float("nan"), 1.0, False)

    def _kept(self, held: KeyValues) -> KeyValues:
        """The sinks and the newest tokens, so many that one more frame fits."""
        newest = self.recent - self.model.frame_tokens
        if held.tokens <= self.sinks + newest:
            return held
        return join([held.part(0, self.sinks), held.part(held.tokens - newest, held.tokens)])

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer behind what is held."""
        held = self.held or opening(self.model.language)
        return answer_from(self.model.language, place(self.model.language, held), prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """Keys, before rotation, and values of what is held."""
        return pack("held", self.held)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy."""
        only(state, "held.")
        self.held = unpack("held", state, self.model.scale.mean.device)

    @property
    def nbytes(self) -> int:
        """Of keys, values and their number."""
        return sum(part.nbytes + 8 for part in self.held)
