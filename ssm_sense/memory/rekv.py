"""ReKV: every frame's keys and values are put aside, and a question fetches those of the frames that it is about.

ReKV (arXiv 2503.00540): frames are encoded with a sliding window; the keys and values of all of them are kept in host
memory; a question retrieves, in every layer, the frames most like it, and attends to those alone. The upper bound on
what retrieval can do, with memory that grows with the stream. It holds them on the host, and all of it is counted.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ssm_sense.memory.kv_cache import FrameTokens, KeyValues, answer_from, extend, only, opening, pack, place, unpack
from ssm_sense.memory.policy import Answer, Observation, bytes_of
from ssm_sense.memory.retrieval import answer_retrieved


class ReKV:
    """Streams one video through a model of frame tokens and retrieves by question.

    Args:
        model: in eval mode, with its language model loaded.
        window_tokens: of the frames before it that a frame attends to, besides what comes before the stream; 15,000 in
            the paper, which is 76 frames of 196 tokens.
        top_k: frames that a question retrieves in each layer; 64 in the paper.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = False
    needs_training: ClassVar[bool] = False
    holds: ClassVar[str] = "host"

    def __init__(self, model: FrameTokens, window_tokens: int = 15_000, top_k: int = 64) -> None:
        if window_tokens < 0 or top_k < 1:
            raise ValueError(f"expected window_tokens >= 0 and top_k >= 1, got {window_tokens} and {top_k}")
        self.model, self.window_tokens, self.top_k = model, window_tokens, top_k
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.opening: list[KeyValues] = []
        self.frames: list[KeyValues] = []

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Encode one frame behind the window, and put it with the others."""
        language = self.model.language
        if not self.frames:
            self.opening = opening(language)
        reach = self.window_tokens // self.model.frame_tokens
        past = [*self.opening, *self.frames[max(0, len(self.frames) - reach) :]]
        device = latents.device
        new = extend(language, _on(past, device), self.model.embed(latents)[None])
        self.frames += _on([new], torch.device("cpu"))
        return Observation(float("nan"), 1.0, False)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from the frames most like the question."""
        language = self.model.language
        if not self.frames:
            return answer_from(language, place(language, opening(language)), prompt, options)
        device = self.model.scale.mean.device
        return answer_retrieved(
            language, _on(self.opening, device), _on(self.frames, device), self.top_k, prompt, options
        )

    def state_dict(self) -> Mapping[str, Tensor]:
        """Keys, before rotation, and values of what comes before the stream and of every frame."""
        return {**pack("opening", self.opening), **pack("frames", self.frames)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy."""
        only(state, "opening.", "frames.")
        self.opening, self.frames = unpack("opening", state), unpack("frames", state)

    @property
    def nbytes(self) -> int:
        """Of all keys and values, and of each frame's number of tokens."""
        return bytes_of(self.opening) + bytes_of(self.frames) + 8 * (len(self.opening) + len(self.frames))


def _on(parts: Sequence[KeyValues], device: torch.device) -> list[KeyValues]:
    return [KeyValues(part.keys.to(device), part.values.to(device)) for part in parts]
