"""MovieChat: short-term frames are merged into long-term memory, fragment by fragment (arXiv 2307.16449).

New frames enter a short-term buffer. After each fragment of them, the buffer's most similar neighbours are averaged
until few are left; these are appended to long-term memory and also stay in the buffer, where the next fragment joins
them. A question sees long-term memory, and then the buffer as it stands.

Frames are merged as tokens for the language model: there is no Q-Former here. The released code never bounds long-term
memory, whose length it states but does not use; here it is kept to that length by the same rule.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.memory.frame_list import FrameReader, frame_bytes, stacked, tokens_of, unstacked
from ssm_sense.memory.kv_cache import FrameTokens, fit, only
from ssm_sense.memory.policy import Answer, Observation, bytes_of


class MovieChat:
    """Streams one video through a model of frame tokens, with short- and long-term memory.

    Args:
        model: in eval mode, with its language model loaded.
        short: frames of the buffer when it is full.
        merged: frames that are left of it; a fragment is short − merged new ones, 16 as in the released code.
        long: frames of long-term memory.
        cosine: similarity is the mean cosine of tokens at the same place, as in the paper; otherwise the mean dot
            product of all pairs of tokens, as in the released code.
        budget_bytes: of both; if given, it sets `long`, and `short` where that would take more than half of it.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False

    def __init__(
        self,
        model: FrameTokens,
        short: int = 18,
        merged: int = 2,
        long: int = 256,
        cosine: bool = True,
        budget_bytes: int | None = None,
    ) -> None:
        if budget_bytes is not None:
            frames = fit(budget_bytes, frame_bytes(model), "frames", 2 * merged + 2)
            short = min(short, frames // 2)
            long = frames - short
        if not 1 <= merged < short or long < merged:
            raise ValueError(f"expected 1 <= merged < short and long >= merged, got {merged}, {short} and {long}")
        self.model, self.short, self.merged, self.long, self.cosine = model, short, merged, long, cosine
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.reader = FrameReader(self.model)
        self.buffer: list[Tensor] = []
        self.memory: list[Tensor] = []

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """One frame enters the buffer, which is merged after each fragment."""
        self.reader.forget()
        self.buffer.append(tokens_of(self.model, latents))
        # The first fragment finds nothing left of one before.
        if len(self.buffer) == (self.short if self.memory else self.short - self.merged):
            self.buffer = self._merged(self.buffer, self.merged)
            self.memory = self._merged([*self.memory, *self.buffer], self.long)
        return Observation(float("nan"), 1.0, False)

    def _merged(self, frames: Sequence[Tensor], most: int) -> list[Tensor]:
        """So many frames, the most similar neighbours averaged; of equal pairs, the oldest first."""
        left = list(frames)
        alike = [self._similarity(one, other) for one, other in pairwise(left)]
        while len(left) > most:
            i = alike.index(max(alike))
            left[i : i + 2] = [(left[i] + left[i + 1]) / 2]
            around = left[max(0, i - 1) : i + 2]
            alike[max(0, i - 1) : i + 2] = [self._similarity(a, b) for a, b in pairwise(around)]
        return left

    def _similarity(self, one: Tensor, other: Tensor) -> float:
        if self.cosine:
            return float(F.cosine_similarity(one.float(), other.float(), dim=-1).mean())
        return float((one.float() @ other.float().T).mean())

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from long-term memory and the buffer."""
        return self.reader.answer([*self.memory, *self.buffer], prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """``memory`` and ``buffer`` (n, F, Q)."""
        return {"memory": stacked(self.model, self.memory), "buffer": stacked(self.model, self.buffer)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy or model."""
        only(state, "memory", "buffer")
        self.memory, self.buffer = (unstacked(self.model, state, name) for name in ("memory", "buffer"))
        self.reader.forget()

    @property
    def nbytes(self) -> int:
        """Of all tokens."""
        return bytes_of(self.memory) + bytes_of(self.buffer)
