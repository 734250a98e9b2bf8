"""N frames spread evenly over the stream so far: how models with a fixed number of frames watch long videos.

Offline, N frames are picked once the length is known. A stream's length is not, and to pick evenly at any moment one
would have to hold every frame. So when one too many is held, that one goes whose neighbours are nearest to each other
in time, never the first nor the newest: N are held at all times, and gaps stay within about twice each other.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ssm_sense.memory.frame_list import FrameReader, frame_bytes, least_missed, stacked, tokens_of, unstacked
from ssm_sense.memory.kv_cache import FrameTokens, fit, only
from ssm_sense.memory.policy import Answer, Observation, bytes_of


class UniformFrames:
    """Holds the tokens of N frames spread over the stream.

    Args:
        model: in eval mode, with its language model loaded.
        frames: N, at least 2; 128 is what Cambrian-S is compared with on VSI-SUPER (arXiv 2511.04670).
        budget_bytes: of the tokens and times; if given, it sets `frames`.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False

    def __init__(self, model: FrameTokens, frames: int = 128, budget_bytes: int | None = None) -> None:
        if budget_bytes is not None:
            frames = fit(budget_bytes, frame_bytes(model) + 8, "frames", 2)
        if frames < 2:
            raise ValueError(f"frames: expected at least 2, got {frames}")
        self.model, self.frames = model, frames
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.reader = FrameReader(self.model)
        self.held: list[Tensor] = []
        self.seconds: list[float] = []

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Hold the frame; if that is one too many, let go of the one that is missed least."""
        self.reader.forget()
        self.held.append(tokens_of(self.model, latents))
        self.seconds.append(t_s)
        if len(self.held) > self.frames:
            least = least_missed(self.seconds)
            del self.held[least], self.seconds[least]
        return Observation(float("nan"), 1.0, False)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from the frames held."""
        return self.reader.answer(self.held, prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """``frames`` (n, F, Q) and ``seconds`` (n,), float64."""
        seconds = torch.tensor(self.seconds, dtype=torch.float64)
        return {"frames": stacked(self.model, self.held), "seconds": seconds}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy or model."""
        only(state, "frames", "seconds")
        held, seconds = unstacked(self.model, state, "frames"), state.get("seconds", torch.zeros(0))
        if seconds.shape != (len(held),):
            raise ValueError(f"seconds: expected one for each of {len(held)} frames, got {tuple(seconds.shape)}")
        self.held, self.seconds = held, seconds.tolist()
        self.reader.forget()

    @property
    def nbytes(self) -> int:
        """Of the tokens and their times."""
        return bytes_of(self.held) + 8 * len(self.seconds)
