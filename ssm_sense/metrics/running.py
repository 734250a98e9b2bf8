"""torchmetrics classes over the pure functions, for validation loops: they add up over batches and processes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from ssm_sense.metrics.boundary import (
    RELATIVE_DISTANCES,
    BoundaryCounts,
    auroc,
    boundary_counts,
    boundary_samples,
    detection_delays_s,
    relative_counts,
)
from ssm_sense.metrics.score import Score, robust


class AnswerScore(Metric):
    """The mean score of answers: MRA where the truth is a number, right or wrong elsewhere; nan before any."""

    higher_is_better = True
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(
        self,
        predictions: Sequence[str | None],
        truths: Sequence[str],
        options: Sequence[Sequence[str]] | None = None,
    ) -> None:
        """Score one answer a question; `options` has the options of each, empty for an open one."""
        choices = options if options is not None else [()] * len(truths)
        for prediction, truth, choice in zip(predictions, truths, choices, strict=True):
            self.total += self.credit(robust(prediction, truth, choice))
            self.count += 1

    def credit(self, score: Score) -> float:
        """What one answer adds to the mean."""
        return score.value

    def compute(self) -> Tensor:
        """The mean over all answers so far."""
        return (self.total / self.count).float()


class AnswerAccuracy(AnswerScore):
    """The share of answers that are exactly right, counts included."""

    def credit(self, score: Score) -> float:
        """1 for a right answer, 0 for any other."""
        return float(score.correct)


class BoundaryAUROC(Metric):
    """AUROC of surprise at true boundaries against elsewhere, all streams pooled; nan before both were seen.

    tolerance_s: see `boundary_samples`. Keeps one number a frame until reset.
    """

    higher_is_better = True
    full_state_update = False
    at: list[Tensor]
    elsewhere: list[Tensor]

    def __init__(self, tolerance_s: float = 0.0) -> None:
        super().__init__()
        self.tolerance_s = tolerance_s
        self.add_state("at", [], dist_reduce_fx="cat")
        self.add_state("elsewhere", [], dist_reduce_fx="cat")

    def update(self, times_s: Sequence[float], surprise: Tensor, events_s: Sequence[float]) -> None:
        """Add one whole stream: surprise (T,) of the frames at times_s (T,), true boundaries at events_s."""
        values = surprise.detach().float().cpu().tolist()
        at, elsewhere = boundary_samples(times_s, values, events_s, self.tolerance_s)
        self.at.append(torch.from_numpy(at).to(self.device))
        self.elsewhere.append(torch.from_numpy(elsewhere).to(self.device))

    def compute(self) -> Tensor:
        """The pooled AUROC of all streams so far."""
        return torch.tensor(auroc(_joined(self.at).numpy(), _joined(self.elsewhere).numpy()))


class BoundaryF1(Metric):
    """Micro-averaged F1 of found boundaries within ± tolerance_s of true ones, matched one to one."""

    higher_is_better = True
    full_state_update = False
    counts: Tensor

    def __init__(self, tolerance_s: float) -> None:
        super().__init__()
        self.tolerance_s = tolerance_s
        self.add_state("counts", torch.zeros(3, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, found_s: Sequence[float], true_s: Sequence[float]) -> None:
        """Add one whole stream's found and true boundaries, in seconds."""
        self.counts += torch.tensor(boundary_counts(found_s, true_s, self.tolerance_s), device=self.device)

    def compute(self) -> Tensor:
        """F1 over all streams so far."""
        return torch.tensor(BoundaryCounts(*self.counts.tolist()).f1)


class RelativeBoundaryF1(Metric):
    """Mean over relative distances .05 to .5 of the F1 within so much of a stream's length, as in GEBD.

    At each distance F1 is micro-averaged over streams; nan where nothing was found and nothing was there.
    """

    higher_is_better = True
    full_state_update = False
    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(len(RELATIVE_DISTANCES), 3, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, found_s: Sequence[float], true_s: Sequence[float], duration_s: float) -> None:
        """Add one whole stream's found and true boundaries, in seconds, and how long it is."""
        self.counts += torch.tensor(relative_counts(found_s, true_s, duration_s), device=self.device)

    def compute(self) -> Tensor:
        """The mean over distances, of all streams so far."""
        return torch.tensor([BoundaryCounts(*counts).f1 for counts in self.counts.tolist()]).mean()


class BoundariesPerMinute(Metric):
    """How often a boundary was found, over all streams together; nan before any."""

    full_state_update = False
    found: Tensor
    seconds: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("found", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("seconds", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, found_s: Sequence[float], duration_s: float) -> None:
        """Add one whole stream. Raises ValueError unless duration_s > 0."""
        if duration_s <= 0:
            raise ValueError(f"expected a duration above 0 s, got {duration_s}")
        self.found += len(found_s)
        self.seconds += duration_s

    def compute(self) -> Tensor:
        """Boundaries a minute so far."""
        return (60 * self.found / self.seconds).float()


class DetectionDelay(Metric):
    """Median seconds from a true boundary to its detection, over all that were detected; nan before any.

    window_s: see `detection_delays_s`. Keeps one number a detection until reset.
    """

    higher_is_better = False
    full_state_update = False
    delays_s: list[Tensor]

    def __init__(self, window_s: float) -> None:
        super().__init__()
        self.window_s = window_s
        self.add_state("delays_s", [], dist_reduce_fx="cat")

    def update(self, found_s: Sequence[float], true_s: Sequence[float]) -> None:
        """Add one whole stream's found and true boundaries, in seconds."""
        delays_s = detection_delays_s(found_s, true_s, self.window_s)
        self.delays_s.append(torch.tensor(delays_s, device=self.device))

    def compute(self) -> Tensor:
        """The median of all detections so far, the mean of the two in the middle where their number is even."""
        return torch.nanquantile(torch.cat([_joined(self.delays_s), torch.tensor([math.nan])]), 0.5)


def _joined(parts: list[Tensor] | Tensor) -> Tensor:
    """One vector on the CPU: torchmetrics hands over a list, or one tensor once processes were gathered."""
    return parts.cpu() if isinstance(parts, Tensor) else torch.cat([torch.zeros(0), *parts]).cpu()
