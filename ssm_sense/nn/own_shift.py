"""The shift of a model's own features as its surprise."""

import torch
from torch import Tensor

from ssm_sense.nn.shift import FeatureShift
from ssm_sense.nn.sources import SurpriseSource
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.state import State


class OwnShift(SurpriseSource):
    """`FeatureShift` of the encoder of the model that it is a source of, its state dropped before every frame.

    It has no weights: what the encoder learned in order to predict, and to be read, tells one place from another.
    `SsmSense` says which encoder that is, by `of`.

    Args:
        decay: of the moving average.
    """

    def __init__(self, decay: float = 0.8) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected a share in [0, 1), got {decay}")
        self.decay = decay
        self._shift: tuple[FeatureShift, ...] = ()

    def of(self, encoder: TemporalEncoder) -> None:
        """Take the features of this encoder, which stays the model's: a tuple hides it from the module's weights."""
        self._shift = (FeatureShift(encoder, self.decay, memory=False),)

    def initial_state(self, streams: int) -> State:
        """``distance.…``, the moving average of features."""
        return self._own().initial_state(streams)

    @torch.no_grad()
    def forward(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """Surprise (B, T, S) of T frames, and the state after them."""
        return self._own()(latents_BTSV, state)

    def _own(self) -> FeatureShift:
        if not self._shift:
            raise RuntimeError("expected an encoder, call of() first")
        return self._shift[0]
