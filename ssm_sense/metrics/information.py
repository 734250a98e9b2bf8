"""How many bits an answer shows that a memory holds."""

import math


def recalled_bits(accuracy: float, answers: int) -> float:
    """A lower bound on the mutual information of truth and answer, in bits, by Fano's inequality.

    For M equally likely answers and a share a of right ones,

        I ≥ log₂ M − h(a) − (1 − a) log₂(M − 1),   h(a) = −a log₂ a − (1 − a) log₂(1 − a)

    and 0 where a is no better than chance, 1 / M. Being convex in a, it holds for the mean over facts as well.

    Raises ValueError for fewer than two answers or a share outside [0, 1].
    """
    if answers < 2 or not 0 <= accuracy <= 1:
        raise ValueError(f"expected 2 answers or more and a share in [0, 1], got {answers} and {accuracy}")
    if accuracy <= 1 / answers:
        return 0.0
    wrong = 1 - accuracy
    entropy = -sum(p * math.log2(p) for p in (accuracy, wrong) if p > 0)
    return math.log2(answers) - entropy - wrong * math.log2(answers - 1)
