"""No language model, in a language model's place: what a linear reader can read is then all that is taught."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from torch import Tensor

from ssm_sense.errors import UserError
from ssm_sense.language.causal_lm import CausalLM


class SilentLM(CausalLM):
    """Takes tokens of any width, costs nothing, and loses nothing whatever it is asked.

    For experiments on the memory alone: `StreamModule` with a `reader_weight` trains and measures it through its linear
    reader. It cannot answer, so a model that has it cannot be saved or stream.

    Args:
        width: Q of the tokens that it is handed.
    """

    def __init__(self, width: int) -> None:
        super().__init__(path="")
        if width < 1:
            raise ValueError(f"width: expected 1 or more, got {width}")
        self.width = width

    def load(self) -> Self:
        """There is nothing to read."""
        return self

    def save(self, folder: Path) -> None:
        """Raises UserError: there is nothing to write."""
        raise UserError(f"{folder}: expected a language model that answers, to be part of a model folder; got none")

    def loss(self, prefix: Tensor, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
        """Zeros (M,), one for each question."""
        return prefix.new_zeros(len(prompts))
