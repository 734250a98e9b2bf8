"""The blind model: it never sees a frame, and so measures what the questions alone give away."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ssm_sense.language.query import Query
from ssm_sense.memory.answering import NOTHING, AnsweringModel, Told
from ssm_sense.memory.policy import Answer, Observation, answer


class Blind(AnsweringModel):
    """The language model alone, trained on the same questions with no tokens before them."""

    def losses(
        self,
        latents_BTSV: Tensor,
        seconds_BT: Tensor,
        queries: Sequence[Query],
        told: Told = NOTHING,
    ) -> dict[str, Tensor]:
        """``loss`` of the answers, and ``per_query`` (K,)."""
        nothing = latents_BTSV.new_zeros(len(queries), 0, self.language_width)
        per_query = self.language.loss(nothing, [q.prompt for q in queries], [q.answer for q in queries])
        return {"loss": per_query.mean(), "answer": per_query.mean(), "per_query": per_query}

    def memory(self) -> "BlindMemory":
        """A memory that holds nothing."""
        return BlindMemory(self)


class BlindMemory:
    """Remembers nothing.

    Args:
        model: trained by the same loop as the models that see.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = True

    def __init__(self, model: Blind) -> None:
        self.model = model

    def reset(self) -> None:
        """Nothing to forget."""

    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Looks away."""
        return Observation(float("nan"), float("nan"), False)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """What the question alone suggests."""
        return answer(self.model.language, torch.zeros(1, 0, self.model.language_width), prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """Empty."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Raises ValueError for a state that is not empty."""
        if state:
            raise ValueError(f"expected no tensors, got {', '.join(sorted(state))}")

    @property
    def nbytes(self) -> int:
        """Always 0."""
        return 0
