"""A linear reader: what can be read off a memory without a language model."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LinearReader(nn.Module):
    """Answers many questions at once by one linear map of normalised features.

    A language model's questions teach a recurrence a few answers a step, through a model that must first learn to read
    them. This one is asked everything at once: the dense easy targets beside which the hard ones are learned.

    Args:
        width: of the features.
        groups: (questions, answers of each, weight of their mean loss) by kind of question.
    """

    def __init__(self, width: int, groups: Sequence[tuple[int, int, float]]) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width: expected 1 or more, got {width}; a memory that hands over nothing cannot be read")
        self.groups = tuple(groups)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, sum(questions * answers for questions, answers, _ in groups))

    def forward(self, features: Tensor) -> list[Tensor]:
        """(..., width) to logits (..., questions, answers) of each group."""
        parts = self.out(self.norm(features)).split([questions * answers for questions, answers, _ in self.groups], -1)
        return [part.unflatten(-1, group[:2]) for part, group in zip(parts, self.groups, strict=True)]

    def losses(self, features: Tensor, truth: Tensor) -> list[Tensor]:
        """Mean cross-entropy of each group; 0 where a group has no known answer.

        truth: (..., questions of all groups), integers, negative where unknown.
        """
        wanted = truth.split([questions for questions, _, _ in self.groups], -1)
        losses = []
        for logits, answers in zip(self.forward(features), wanted, strict=True):
            nll = F.cross_entropy(
                logits.flatten(0, -2), answers.flatten().long().clamp_min(-1), ignore_index=-1, reduction="sum"
            )
            losses.append(nll / (answers >= 0).sum().clamp_min(1))
        return losses

    def loss(self, losses: Sequence[Tensor]) -> Tensor:
        """The weighted mean of the groups' losses."""
        weights = torch.tensor([weight for _, _, weight in self.groups], device=losses[0].device)
        return (torch.stack(list(losses)) * weights).sum() / weights.sum()
