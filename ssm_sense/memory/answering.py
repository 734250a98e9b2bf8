"""What a model that learns to answer questions about streams offers to the training loop."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from ssm_sense.errors import UserError
from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.query import Query
from ssm_sense.memory.policy import Policy
from ssm_sense.nn.lfp import LatentScale


class Told(NamedTuple):
    """What a model is told in training that it has to find by itself. None and negative numbers say nothing."""

    events_BT: Tensor | None = None
    """bool: true boundaries in place of found ones."""
    inventory_BT4K: Tensor | None = None
    """An inventory of the concepts to answer from in place of the model's own; of no use to one that keeps none."""
    sightings_n2XY: Tensor | None = None
    """The same of the sightings, for each query."""
    rooms_BT: Tensor | None = None
    """The number of the room that each frame was taken in, to learn to know one again."""
    beside_BTX: Tensor | None = None
    """Of each thing that is sought 0 where it is not in view, else 1 + the place of the concept that it is beside."""


NOTHING = Told()


class AnsweringModel(nn.Module, ABC):
    """Anything trained from vision latents and questions to answers, ours and its rivals alike.

    Args:
        language: the language model that answers.
        language_width: Q of that language model, stated here because its weights are loaded later.
        vision_width: V of the latents.

    Attributes:
        readout_width: features that `losses` hands to a linear reader at each moment; 0 if it hands over none.
        concepts: kinds of things that `losses` hands an inventory of over; none where none is kept.
        sought: things of which `losses` is told beside which concept they stand; none where no sightings are kept.
        places_in: weights that hold something of each of the S places of a frame, and the dimensions in which they do.
    """

    places_in: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    concepts: tuple[str, ...] = ()
    sought: tuple[str, ...] = ()

    def __init__(self, language: CausalLM, language_width: int, vision_width: int) -> None:
        super().__init__()
        self.readout_width = 0
        self.language = language
        self.language_width = language_width
        self.scale = LatentScale(vision_width)

    def load(self) -> None:
        """Read the language model's weights. Raises UserError if its width is not the one that was stated."""
        self.language.load()
        if self.language.width != self.language_width:
            raise UserError(
                f"language_width: expected {self.language.width}, the width of the language model, "
                f"got {self.language_width}"
            )

    @abstractmethod
    def losses(
        self,
        latents_BTSV: Tensor,
        seconds_BT: Tensor,
        queries: Sequence[Query],
        told: Told = NOTHING,
    ) -> dict[str, Tensor]:
        """Losses over B streams of T frames with questions put along the way.

        Args:
            latents_BTSV: vision latents. seconds_BT: float64 times of the frames.
            queries: what is asked of which stream after which frame.
            told: in training.

        Returns:
            ``loss``, the scalar to minimise; ``per_query`` (K,), each question's own loss; scalars for the log;
            and, where ``readout_width`` is above 0, ``readout`` (B, moments, readout_width) at each of the frames at
            which anything is asked, in order; and, where there are ``concepts``, ``inventory`` (B, T, 4, concepts),
            the `ROWS` of `nn.inventory` after every frame.
        """

    @abstractmethod
    def memory(self) -> Policy:
        """The policy that streams one video through this model."""
