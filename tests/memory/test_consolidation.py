"""Keep, merge and drop as the released code of Cambrian-S does, step by step, worked by hand.

A frame is written as its number, its surprise, and its tokens: 4 if whole, 1 if pooled. τ is .5. Its one key is its
number, so that a mean shows what went into it.
"""

import pytest
import torch

from ssm_sense.memory.consolidation import Drop, DropMerge, ForgetOldest, Held, tokens
from ssm_sense.memory.kv_cache import KeyValues


def frame(number: float, surprise: float, length: int = 4) -> Held:
    keys = torch.full((1, 1, length, 1), float(number))
    return Held(KeyValues(keys, -keys), surprise)


def shown(frames: list[Held]) -> list[tuple[float, float, int]]:
    assert all(torch.equal(f.kv.keys, -f.kv.values) for f in frames)
    return [(float(f.kv.keys[0, 0, 0, 0]), f.surprise, f.kv.tokens) for f in frames]


def test_drop_takes_the_least_surprising_and_of_equals_the_oldest() -> None:
    frames = [frame(0, 1.0), frame(1, 0.25, 1), frame(2, 0.75), frame(3, 0.25, 1), frame(4, 0.5)]
    # 14 tokens against 13. Frame 1 goes: 13 left, which is not fewer. Frame 3 goes: 12.
    assert shown(Drop()(frames, 13, 0.5)) == [(0, 1.0, 4), (2, 0.75, 4), (4, 0.5, 4)]
    # Against 14.5, 13 would have been enough.
    assert [f[0] for f in shown(Drop()(frames, 14, 0.5))] == [0, 2, 3, 4]


def test_drop_merge_first_merges_runs_of_surprising_frames() -> None:
    frames = [
        frame(0, 1.0),
        frame(1, 0.25, 1),
        frame(2, 0.75),
        frame(4, 0.75),
        frame(5, 0.5),
        frame(6, 0.125, 1),
        frame(7, 0.5),
    ]
    # 2 and 4 become 3 at .75, and that with 5 becomes 4 at .625; 0, 1, 6 and 7 have no such neighbour:
    #   0 (1.0), 1 (.25), 4 (.625), 6 (.125), 7 (.5): 4 + 1 + 4 + 1 + 4 = 14 tokens.
    # Frame 6 is dropped, and 4 and 7, now neighbours and both surprising, become 5.5 at .5625: 9 tokens.
    assert shown(DropMerge()(frames, 20, 0.5)) == [(0, 1.0, 4), (1, 0.25, 1), (5.5, 0.5625, 4)]
    # Against 9 that is not enough: frame 1 is dropped, and 0 and 5.5 become 2.75 at .78125.
    assert shown(DropMerge()(frames, 9, 0.5)) == [(2.75, 0.78125, 4)]


def test_drop_merge_drops_one_even_where_merging_was_enough() -> None:
    frames = [frame(0, 1.0), frame(1, 0.75), frame(2, 0.5), frame(3, 0.25, 1), frame(4, 0.25, 1)]
    # 0 and 1 become .5 at .875, and with 2 it becomes 1.25 at .6875: 6 tokens, well under 13. Still 3 is dropped.
    assert shown(DropMerge()(frames, 13, 0.5)) == [(1.25, 0.6875, 4), (4, 0.25, 1)]


def test_drop_merge_at_either_end_merges_nothing_more() -> None:
    # The first is dropped: there is nothing before it to merge with.
    assert [f[0] for f in shown(DropMerge()([frame(0, 0.25), frame(1, 0.75), frame(2, 0.25, 1)], 8, 0.5))] == [1, 2]
    # The last is dropped: nothing comes after it.
    assert [f[0] for f in shown(DropMerge()([frame(0, 0.75), frame(1, 0.4, 1), frame(2, 0.25)], 8, 0.5))] == [0, 1]


def test_forget_oldest_and_budgets_that_hold_nothing() -> None:
    frames = [frame(0, 1.0), frame(1, 0.9), frame(2, 0.1), frame(3, 0.2)]
    assert [f[0] for f in shown(ForgetOldest()(frames, 12, 0.5))] == [2, 3]
    for rule in (Drop(), DropMerge(), ForgetOldest()):
        assert rule(frames, 0, 0.5) == []
        assert tokens(frames) == 16


Entry = tuple[float, float, int]


def released_procedure(frames: list[Entry], budget: int, threshold: float, merge: bool) -> list[Entry]:
    """The published procedure with its own indices: the text stands at 0 and counts as surprising, but has no tokens
    here; a search for the least surprising leaves it out and is off by one; entries are (number, surprise, tokens)."""
    cache = [(-1.0, 1.0, 0), *frames]

    def surprising(i: int) -> bool:
        return cache[i][1] >= threshold and cache[i + 1][1] >= threshold

    def merge_with_next(i: int) -> None:
        (a, s, n), (b, t, _) = cache[i], cache.pop(i + 1)
        cache[i] = ((a + b) / 2, (s + t) / 2, n)

    i = 1
    while merge and i < len(cache) - 1:
        if surprising(i):
            merge_with_next(i)
        else:
            i += 1
    while len(cache) > 1:
        i = int(torch.tensor([s for _, s, _ in cache[1:]], dtype=torch.float64).argmin())
        cache.pop(i + 1)
        if merge and 0 < i < len(cache) - 1 and surprising(i):
            merge_with_next(i)
        if sum(n for *_, n in cache) < budget:
            break
    return cache[1:]


@pytest.mark.parametrize("seed", range(20))
def test_random_sequences_agree_with_the_published_procedure(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    surprise = (torch.rand(30, generator=draw) * 64).round().div(64).tolist()
    frames = [frame(float(i), s, 4 if s >= 0.5 else 1) for i, s in enumerate(surprise)]
    budget = int(torch.randint(4, 60, (), generator=draw))
    for rule, merge in ((Drop(), False), (DropMerge(), True)):
        left = shown(rule(frames, budget, 0.5))
        want = released_procedure(shown(frames), budget, 0.5, merge)
        assert [(s, n) for _, s, n in left] == [(s, n) for _, s, n in want]
        assert [number for number, *_ in left] == pytest.approx([number for number, *_ in want], rel=1e-5)
