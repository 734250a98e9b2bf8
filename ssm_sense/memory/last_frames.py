"""The last N frames and nothing else: SimpleStream (arXiv 2604.02317), which few memories beat.

Frames are held as tokens and read anew with every question, so no frame carries anything of those before it.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ssm_sense.memory.frame_list import FrameReader, frame_bytes, stacked, tokens_of, unstacked
from ssm_sense.memory.kv_cache import FrameTokens, fit, only
from ssm_sense.memory.policy import Answer, Observation, bytes_of


class LastFrames:
    """Holds the tokens of the newest frames.

    Args:
        model: in eval mode, with its language model loaded.
        frames: how many; 4 at one frame a second in the paper.
        budget_bytes: if given, it sets `frames`.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False

    def __init__(self, model: FrameTokens, frames: int = 4, budget_bytes: int | None = None) -> None:
        if budget_bytes is not None:
            frames = fit(budget_bytes, frame_bytes(model), "frames")
        if frames < 1:
            raise ValueError(f"frames: expected at least 1, got {frames}")
        self.model, self.frames = model, frames
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.reader = FrameReader(self.model)
        self.held: list[Tensor] = []

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """The newest comes, the oldest goes."""
        self.reader.forget()
        self.held = [*self.held, tokens_of(self.model, latents)][-self.frames :]
        return Observation(float("nan"), 1.0, False)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from the frames held."""
        return self.reader.answer(self.held, prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """``frames`` (n, F, Q)."""
        return {"frames": stacked(self.model, self.held)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy or model."""
        only(state, "frames")
        self.held = unstacked(self.model, state, "frames")
        self.reader.forget()

    @property
    def nbytes(self) -> int:
        """Of the tokens."""
        return bytes_of(self.held)
