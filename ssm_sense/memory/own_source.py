"""Our model with surprise from a predictor of its own, which is trained beside it."""

from collections.abc import Sequence

from torch import Tensor

from ssm_sense.language.query import Query
from ssm_sense.memory.answering import NOTHING, Told
from ssm_sense.model import SsmSense
from ssm_sense.nn.sources import StatelessLFP


class OwnSource(SsmSense):
    """`SsmSense` whose `source` learns to predict the next frame by itself, on the same streams and steps.

    Its loss is weighed like the model's own prediction and reaches nothing but the source. Raises TypeError where the
    source is not one that learns (`StatelessLFP`, `OpenLoopLFP`).
    """

    def losses(
        self,
        latents_BTSV: Tensor,
        seconds_BT: Tensor,
        queries: Sequence[Query],
        told: Told = NOTHING,
    ) -> dict[str, Tensor]:
        """As `SsmSense`, and ``source``, what the source's predictions lose."""
        if not isinstance(self.source, StatelessLFP):
            raise TypeError(f"source: expected a predictor that learns, got {type(self.source).__name__}")
        losses = super().losses(latents_BTSV, seconds_BT, queries, told)
        own = self.source.losses(self.scale(latents_BTSV))["loss"]
        return {**losses, "loss": losses["loss"] + self.lfp_weight * own, "source": own}
