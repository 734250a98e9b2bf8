"""A frame's surprise, for policies that do not predict for themselves."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ssm_sense.nn.sources import AdjacentDifference, SurpriseSource
from ssm_sense.state import State


class Level:
    """How surprising each frame of a stream is: as it is told, or by a source that watches along.

    Args:
        source: finds frames surprising; one that is told the surprise of a frame does not see that frame.
        default: makes the source where none is given, from S and V of the first frame. `AdjacentDifference` expects
            each frame to be like the one before and so needs no training.
    """

    def __init__(
        self,
        source: SurpriseSource | None = None,
        default: Callable[[int, int], SurpriseSource] = AdjacentDifference,
    ) -> None:
        self.source, self.default = source.eval() if source is not None else None, default
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self.state = State({})
        self.begun = False

    def of(self, latents: Tensor, told: float | None) -> float:
        """The surprise of the next frame, standardised latents (S, V); 1 for a stream's first."""
        level = 1.0
        if told is None:
            if self.source is None:
                self.source = self.default(*latents.shape).to(latents.device)
            state = self.state if len(self.state) else self.source.initial_state(1)
            wrong, after = self.source(latents[None, None], state)
            self.state, level = after.clone(), float(wrong.mean())
        elif self.begun:
            level = told
        self.begun = True
        return level

    def state_dict(self) -> dict[str, Tensor]:
        """``source.…`` of the source, and ``begun``."""
        begun = {"begun": torch.tensor(True)} if self.begun else {}
        return {**begun, **State.join({"source": self.state})}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        self.state, self.begun = State(state).sub("source"), "begun" in state

    @property
    def nbytes(self) -> int:
        """Of the source's state, and one."""
        return self.state.nbytes + self.begun
