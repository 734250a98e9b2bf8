"""Cambrian-S: a memory of keys and values ordered by surprise (arXiv 2511.04670, §5, and its released code for VSR).

A frame attends to what comes before the stream and to a sensory window of the frames before it. When it leaves the
window it enters long-term memory: whole if it was surprising, else averaged over squares of pool × pool places. Over
budget, memory is consolidated. A question sees long-term memory, with the window's frames put through the same gate
into a copy of it, and in each layer attends only to the frames that it is about. Keys are held before the rotary
embedding and placed without gaps each time.

Surprise comes from the model's own prediction where it makes one (`LFPWindow`, as in the paper), or from any source
that is injected. One thing differs from the released code: its frames end each row with a token, which pooling takes
in (8 × 9 places); ours have none.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.memory.consolidation import Consolidation, DropMerge, Held, tokens
from ssm_sense.memory.kv_cache import (
    FrameTokens,
    KeyValues,
    answer_from,
    extend_hidden,
    only,
    opening,
    pack,
    place,
    token_bytes,
    unpack,
)
from ssm_sense.memory.level import Level
from ssm_sense.memory.lfp_window import Foresight
from ssm_sense.memory.policy import Answer, Observation
from ssm_sense.memory.retrieval import answer_retrieved
from ssm_sense.nn.sources import SurpriseSource
from ssm_sense.state import State

_FRAME_BYTES = 16
"""Of a frame's surprise and its number of tokens."""


class CambrianS:
    """Streams one video through a model of frame tokens, with surprise-ordered memory.

    The defaults are the paper's for VSR of 10 minutes. Those for 240 differ in dropping without merging; those between
    in nearly everything, which was chosen by duration.

    Args:
        model: in eval mode, with its language model loaded.
        source: of surprise, where `observe` is not told it; by default the model's own prediction if it makes one, and
            else `AdjacentDifference`.
        window: W, frames of the sensory window.
        threshold: τ, the surprise from which on a frame is held whole.
        pool: side of the squares that other frames are averaged over; 1 leaves them whole.
        consolidation: what goes when memory is over its budget.
        budget_tokens: of long-term memory, what comes before the stream included.
        top_k: frames that a question attends to in each layer; 1 attends to all of memory, as in the released code.
        budget_bytes: of everything held: the window, which takes no more than half of it, long-term memory, surprise
            and the source's state. If given, it sets `budget_tokens`.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = True
    """Of the head that predicts; a `source` of surprise stands in for it."""

    def __init__(
        self,
        model: FrameTokens,
        source: SurpriseSource | None = None,
        window: int = 32,
        threshold: float = 0.35,
        pool: int = 2,
        consolidation: Consolidation | None = None,
        budget_tokens: int = 16_384,
        top_k: int = 32,
        budget_bytes: int | None = None,
    ) -> None:
        self.model, self.level = model, Level(source)
        self.foresight = Foresight(model, wanted=source is None)
        self.threshold, self.pool, self.top_k = threshold, pool, top_k
        self.consolidation = consolidation if consolidation is not None else DropMerge()
        self.budget_tokens, self.budget_bytes = budget_tokens, budget_bytes
        self._token_bytes = token_bytes(model.language)
        frame = model.frame_tokens * self._token_bytes + _FRAME_BYTES
        if budget_bytes is not None:
            window = min(window, budget_bytes // (2 * frame))
        if window < 1 or top_k < 1:
            raise ValueError(
                f"expected window >= 1, top_k >= 1 and budget_bytes for 2 frames of {frame}, got {window}, {top_k} "
                f"and {budget_bytes}"
            )
        self.window = window
        self.side = math.isqrt(model.frame_tokens)
        if pool < 1 or (pool > 1 and (self.side < pool or self.side**2 != model.frame_tokens)):
            raise ValueError(f"pool: expected 1 to {self.side}, with frames of square shape, got {pool}")
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.opening: list[KeyValues] = []
        self.sensory: list[Held] = []
        self.memory: list[Held] = []
        self.level.reset()
        self.foresight.reset()

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """One frame enters the window, and one may leave it."""
        language = self.model.language
        if not self.sensory:
            self.opening = opening(language)
        told = surprise if surprise is not None else self.foresight.surprise(latents)
        level = self.level.of(self.model.scale(latents), told)
        past = [*self.opening, *(frame.kv for frame in self.sensory)]
        kv, hidden = extend_hidden(language, past, self.model.embed(latents)[None])
        self.foresight.after(hidden)
        self.sensory.append(Held(kv, level))
        if len(self.sensory) > self.window:
            self.memory = self._remember(self.memory, self.sensory.pop(0))
        return Observation(level, 1.0, False)

    def _remember(self, memory: Sequence[Held], frame: Held) -> list[Held]:
        """Long-term memory with one more frame."""
        if self.pool > 1 and frame.surprise < self.threshold:
            frame = Held(self._pooled(frame.kv), frame.surprise)
        after, budget = [*memory, frame], self._budget()
        return self.consolidation(after, budget, self.threshold) if tokens(after) > budget else after

    def _budget(self) -> int:
        """Tokens that the frames of long-term memory may have."""
        before = sum(part.tokens for part in self.opening)
        if self.budget_bytes is None:
            return self.budget_tokens - before
        window = self.window * (self.model.frame_tokens * self._token_bytes + _FRAME_BYTES)
        fixed = window + before * self._token_bytes + 8 * len(self.opening) + self._surprise_bytes
        # No frame has less than a token, so there is room for each frame's own bytes.
        return max(0, self.budget_bytes - fixed) // (self._token_bytes + _FRAME_BYTES)

    def _pooled(self, kv: KeyValues) -> KeyValues:
        def pooled(x: Tensor) -> Tensor:
            image = x.transpose(2, 3).flatten(0, 1).unflatten(2, (self.side, self.side))
            return F.avg_pool2d(image, self.pool).flatten(2).unflatten(0, x.shape[:2]).transpose(2, 3).contiguous()

        return KeyValues(pooled(kv.keys), pooled(kv.values))

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from long-term memory and the window, both consolidated."""
        language = self.model.language
        memory = self.memory
        for frame in self.sensory:
            memory = self._remember(memory, frame)
        before, frames = self.opening or opening(language), [frame.kv for frame in memory]
        # Generation as in the released code.
        if frames and self.top_k > 1:
            return answer_retrieved(language, before, frames, self.top_k, prompt, options, 16, 1.1)
        return answer_from(language, place(language, [*before, *frames]), prompt, options, 16, 1.1)

    def state_dict(self) -> Mapping[str, Tensor]:
        """Keys, before rotation, values and surprise of window and memory, and the source's state."""
        held = pack("opening", self.opening)
        for name, frames in (("sensory", self.sensory), ("memory", self.memory)):
            if frames:
                held |= pack(name, [frame.kv for frame in frames])
                held[f"{name}.surprise"] = torch.tensor([frame.surprise for frame in frames], dtype=torch.float64)
        found = {"level": State(self.level.state_dict()), "foresight": State(self.foresight.state_dict())}
        return {**held, **State.join(found)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy."""
        only(state, "opening.", "sensory.", "memory.", "level.", "foresight.")
        device = self.model.scale.mean.device
        self.opening = unpack("opening", state, device)
        self.sensory, self.memory = (_held(name, state, device) for name in ("sensory", "memory"))
        self.level.load_state_dict(State(state).sub("level").to(device))
        self.foresight.load_state_dict(State(state).sub("foresight").to(device))

    @property
    def nbytes(self) -> int:
        """Of everything that `state_dict` names."""
        frames = sum(frame.kv.nbytes + _FRAME_BYTES for frame in (*self.sensory, *self.memory))
        return frames + sum(part.nbytes + 8 for part in self.opening) + self._surprise_bytes

    @property
    def _surprise_bytes(self) -> int:
        return self.level.nbytes + self.foresight.nbytes


def _held(name: str, state: Mapping[str, Tensor], device: torch.device) -> list[Held]:
    parts, surprise = unpack(name, state, device), state.get(f"{name}.surprise", torch.zeros(0))
    if surprise.shape != (len(parts),):
        raise ValueError(f"{name}.surprise: expected one for each of {len(parts)} frames, got {tuple(surprise.shape)}")
    return [Held(part, level) for part, level in zip(parts, surprise.tolist(), strict=True)]
